//! /api/plans, and what a plan decides

use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, on_stack};

fn heights(image: &Value) -> Vec<u64> {
    let mut heights: Vec<u64> = image.list("thumbnails").iter().map(|thumbnail| thumbnail.number("height")).collect();
    heights.sort_unstable();
    heights
}

#[test]
fn the_default_plans_are_there() {
    on_stack(async |stack| {
        let answer = stack.get("/api/plans").await.assert_json(200);
        assert_eq!(answer["content_types"][0], "image/jpeg");
        let plans = answer.list("results");
        for (name, heights, original, links) in [
            ("Basic", json!([200]), false, false),
            ("Premium", json!([200, 400]), true, false),
            ("Enterprise", json!([200, 400]), true, true),
        ] {
            let plan =
                plans.iter().find(|plan| plan["name"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"));
            assert_eq!(plan["thumbnail_heights"], heights);
            assert_eq!(plan["webp_thumbnails"], true);
            assert_eq!(plan["original_link"], original);
            assert_eq!(plan["expiring_links"], links);
            for limit in ["max_image_bytes", "max_images"] {
                assert!(plan.get(limit).is_some(), "no {limit} in {plan}");
            }
        }
    });
}

#[test]
fn a_plan_decides_the_heights_and_the_right_to_the_original() {
    on_stack(async |stack| {
        let picture = Picture::jpeg(600, 450);
        for (plan, expected, original) in
            [("Basic", vec![200], false), ("Premium", vec![200, 400], true), ("Enterprise", vec![200, 400], true)]
        {
            let user = stack.user_on(plan).await;
            let shown = user.publish("Shown", &picture).await;
            let hidden = user.hide("Hidden", &picture).await;
            for image in [&shown, &hidden] {
                assert_eq!(heights(image), expected, "{plan}");
                assert_eq!(image["image_url"].is_string(), original, "{plan}: {image}");
            }
        }
    });
}

#[test]
fn nothing_is_enlarged_and_nothing_is_made_twice() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        for (height, expected) in
            [(450, vec![200, 400]), (400, vec![200, 400]), (300, vec![200, 300]), (200, vec![200]), (90, vec![90])]
        {
            let image = user.publish(&format!("High {height}"), &Picture::jpeg(160, height)).await;
            assert_eq!(heights(&image), expected, "of {height}");
        }
    });
}

#[test]
fn the_feed_gives_no_original_that_the_owners_plan_withholds() {
    on_stack(async |stack| {
        let basic = stack.user().await;
        let premium = stack.user_on("Premium").await;
        let withheld = basic.publish("Harbour", Picture::small()).await;
        let given = premium.publish("Harbour", Picture::small()).await;
        // Whoever looks: it is the owner's plan that counts.
        for image in [&withheld, &given] {
            let path = format!("/api/images/{}", image.str("id"));
            let expected = image["image_url"].clone();
            assert_eq!(stack.get(&path).await.assert_json(200)["image_url"], expected);
            assert_eq!(premium.get(&path).await.assert_json(200)["image_url"], expected);
            assert_eq!(basic.get(&path).await.assert_json(200)["image_url"], expected);
        }
        assert!(withheld["image_url"].is_null());
        assert!(given["image_url"].is_string());
    });
}
