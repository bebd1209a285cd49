//! /media

use http::Method;
use reqwest::Url;
use serde_json::Value;

use crate::fixtures::{Picture, is_upright, thumbnail_of};
use crate::harness::{Answer, Body, Stack, eventually, on_stack, parts, unique};

fn path(url: &str) -> String {
    if url.starts_with('/') {
        return url.to_owned();
    }
    Url::parse(url).expect("a URL").path().to_owned()
}

fn thumbnail_url(image: &Value) -> &str {
    image.list("thumbnails")[0].str("url")
}

/// Where a redirect leads, and for how many seconds it will.
fn presigned(answer: &Answer) -> (String, u64) {
    let location = answer.must_header("location").to_owned();
    let seconds = Url::parse(&location)
        .expect("a redirect leads to a URL")
        .query_pairs()
        .find(|(name, _)| name == "X-Amz-Expires")
        .unwrap_or_else(|| panic!("{location} never expires"))
        .1
        .parse()
        .expect("seconds");
    (location, seconds)
}

/// The 404 response for a thumbnail of an image that does not exist.
async fn nothing(stack: &Stack) -> (u16, String) {
    let answer = stack.get(format!("/media/thumbnail/{}/{}/200.jpg", uuid::Uuid::new_v4(), uuid::Uuid::now_v7())).await;
    let shown = anonymised(&answer);
    assert_eq!(shown.0, 404);
    shown
}

fn anonymised(answer: &Answer) -> (u16, String) {
    let mut text = answer.text();
    if let Ok(mut problem) = serde_json::from_slice::<Value>(&answer.body) {
        if let Some(problem) = problem.as_object_mut() {
            problem.remove("instance");
        }
        text = problem.to_string();
    }
    (answer.status, text)
}

#[test]
fn a_public_thumbnail_is_served_to_anyone_under_its_stable_url() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for picture in Picture::every_format(320, 240) {
            let image = user.publish(picture.extension, &picture).await;
            let (owner, id) = parts(image.str("id"));
            let url = thumbnail_url(&image);
            assert_eq!(path(url), format!("/media/thumbnail/{owner}/{id}/200.{}", picture.extension));
            let answer = stack.get(url).await.assert_status(200);
            assert_eq!(answer.must_header("content-type"), picture.content_type);
            assert_eq!(image.list("thumbnails")[0]["content_type"], picture.content_type);
            assert_eq!(answer.must_header("cache-control"), "public, max-age=60, must-revalidate, stale-if-error=0");
            assert_eq!(answer.must_header("content-length"), answer.body.len().to_string());
            answer.must_header("x-request-id");
            let tag = answer.must_header("etag");
            let again = stack.get(url).header("if-none-match", tag).await.assert_status(304);
            assert_eq!(again.must_header("etag"), tag);
            assert!(again.body.is_empty());
            let head = stack.head(url).await.assert_status(200);
            assert!(head.body.is_empty());
            assert_eq!(head.must_header("content-type"), picture.content_type);
            assert_eq!(head.must_header("etag"), tag);
        }
    });
}

#[test]
fn a_thumbnail_is_webp_for_clients_that_name_it() {
    const BROWSERS: [&str; 3] = [
        "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
        "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
        "image/webp",
    ];
    const OTHERS: [&str; 5] =
        ["*/*", "image/*", "image/webp;q=0, */*", "image/jpeg, image/png, image/gif, image/webp;q=0.5", ""];
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut pictures = Picture::every_format(320, 240).to_vec();
        pictures.push(Picture::transparent_png(320, 240));
        for picture in &pictures {
            let title = format!("{} of {} bytes", picture.extension, picture.bytes.len());
            let image = user.publish(&title, picture).await;
            let url = thumbnail_url(&image);
            let first = stack.get(url).await.assert_status(200);
            assert_eq!(first.must_header("content-type"), picture.content_type);
            assert_eq!(first.must_header("vary"), "Accept");
            for accept in OTHERS {
                let answer = stack.get(url).header("accept", accept).await.assert_status(200);
                assert!(answer.body == first.body, "{title}: {accept}");
                assert_eq!(answer.must_header("vary"), "Accept");
            }
            let webp = stack.get(url).header("accept", BROWSERS[0]).await.assert_status(200);
            assert_eq!(webp.must_header("content-type"), "image/webp");
            assert_eq!(webp.must_header("cache-control"), first.must_header("cache-control"));
            let (own, other) = (webp.must_header("etag"), first.must_header("etag"));
            if picture.content_type == "image/webp" {
                assert!(webp.body == first.body && own == other, "{title}");
                continue;
            }
            assert!(webp.body.len() < first.body.len(), "{title}: {} of {}", webp.body.len(), first.body.len());
            assert_ne!(own, other);
            let as_webp = Picture { content_type: "image/webp", bytes: Vec::new(), ..*picture };
            let seen = thumbnail_of(&as_webp, 200, &webp.body);
            if title.contains("jpg") {
                is_upright(&seen);
            }
            let stored = image::load_from_memory(&first.body).expect("an image");
            assert_eq!((seen.width(), seen.height()), (stored.width(), stored.height()));
            for accept in BROWSERS {
                let again = stack.get(url).header("accept", accept).header("if-none-match", own).await;
                assert_eq!(again.assert_status(304).must_header("vary"), "Accept");
                // The tag of the other encoding is no match.
                let again = stack.get(url).header("accept", accept).header("if-none-match", other).await;
                assert!(again.assert_status(200).body == webp.body, "{title}");
                let head = stack.head(url).header("accept", accept).await.assert_status(200);
                assert_eq!((head.must_header("content-type"), head.must_header("etag")), ("image/webp", own));
                assert_eq!(head.must_header("vary"), "Accept");
            }
            stack.get(url).header("if-none-match", own).await.assert_status(200);
            // It has no address of its own.
            let (stem, _) = url.rsplit_once('.').expect("an extension");
            stack.get(format!("{stem}.webp")).header("accept", "image/webp").await.assert_status(404);
        }
    });
}

#[test]
fn the_thumbnails_of_private_images_are_in_their_first_encoding() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.hide("Diary", Picture::small()).await;
        let answer = stack.get(thumbnail_url(&image)).header("accept", "image/webp").await.assert_status(200);
        assert_eq!(answer.must_header("content-type"), "image/jpeg");
    });
}

#[test]
fn a_public_original_is_a_redirect_that_lasts_a_minute() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        for picture in Picture::every_format(64, 48) {
            let image = user.publish(picture.extension, &picture).await;
            let (owner, id) = parts(image.str("id"));
            let url = image.str("image_url");
            assert_eq!(path(url), format!("/media/imageupload/{owner}/{id}.{}", picture.extension));
            let answer = stack.get(url).await.assert_status(302);
            assert_eq!(answer.must_header("cache-control"), "no-store");
            let (location, seconds) = presigned(&answer);
            assert!((1..=60).contains(&seconds), "{location}");
            let original = stack.get(&location).await.assert_status(200);
            assert!(original.body == picture.bytes, "other bytes came back");
            assert_eq!(original.must_header("content-type"), picture.content_type);
            original.must_header("content-disposition");

            let head = stack.head(url).await.assert_status(302);
            let (location, _) = presigned(&head);
            let head = stack.head(&location).await.assert_status(200);
            assert_eq!(head.must_header("content-type"), picture.content_type);
        }
    });
}

#[test]
fn an_original_follows_its_owners_plan() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let image = user.publish("Harbour", Picture::small()).await;
        let url = image.str("image_url");
        stack.get(url).await.assert_status(302);
        stack.set_plan(&user.id, Some("Basic")).await;
        let gone = eventually("the original to be withheld", async || {
            let answer = stack.get(url).await;
            (answer.status != 302).then_some(answer)
        })
        .await;
        assert_eq!(anonymised(&gone), nothing(stack).await);
        let shown = user.image(image.str("id")).await;
        assert!(shown["image_url"].is_null());
        stack.set_plan(&user.id, None).await;
        stack.get(url).await.assert_status(404);
    });
}

#[test]
fn everything_missing_is_the_same_404() {
    on_stack(async |stack| {
        let nothing = nothing(stack).await;
        let user = stack.user_on("Premium").await;
        let basic = stack.user().await;
        let picture = Picture::small();
        let hidden = user.hide("Hidden", picture).await;
        let withheld = basic.publish("Withheld", picture).await;
        let pending = user.pending("Pending").await;
        let deleted = user.publish("Deleted", picture).await;
        user.delete(format!("/api/images/{}", deleted.str("id"))).await.assert_status(204);
        let shown = user.publish("Shown", picture).await;

        let mut paths = Vec::new();
        for image in [&hidden, &pending.image, &deleted] {
            let (owner, id) = parts(image.str("id"));
            paths.push(format!("/media/imageupload/{owner}/{id}.jpg"));
            paths.push(format!("/media/thumbnail/{owner}/{id}/200.jpg"));
            paths.push(format!("/media/thumbnail/{owner}/{id}/240.jpg"));
        }
        let (owner, id) = parts(withheld.str("id"));
        paths.push(format!("/media/imageupload/{owner}/{id}.jpg"));
        let (owner, id) = parts(shown.str("id"));
        let stranger = uuid::Uuid::new_v4();
        paths.extend([
            format!("/media/imageupload/{owner}/{id}.png"),
            format!("/media/imageupload/{owner}/{id}"),
            format!("/media/imageupload/{stranger}/{id}.jpg"),
            format!("/media/imageupload/{id}/{owner}.jpg"),
            format!("/media/imageupload/{owner}/nonsense.jpg"),
            format!("/media/thumbnail/{owner}/{id}/200.png"),
            format!("/media/thumbnail/{owner}/{id}/200"),
            format!("/media/thumbnail/{owner}/{id}/201.jpg"),
            format!("/media/thumbnail/{owner}/{id}/0200.jpg"),
            format!("/media/thumbnail/{owner}/{id}/-200.jpg"),
            format!("/media/thumbnail/{owner}/{id}/99999999999999999999.jpg"),
            format!("/media/thumbnail/{stranger}/{id}/200.jpg"),
            format!("/media/thumbnail/{owner}/{id}/..%2F..%2F200.jpg"),
        ]);
        for path in paths {
            let answer = stack.get(&path).await;
            assert_eq!(anonymised(&answer), nothing, "{answer}");
            assert_eq!(answer.header("location"), None, "{answer}");
            let head = stack.head(&path).await.assert_status(404);
            assert!(head.body.is_empty());
            // Not even its owner is given a private image under its public address.
            assert_eq!(user.get(&path).await.status, 404, "{path}");
        }
    });
}

#[test]
fn media_are_only_read() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let image = user.publish("Harbour", Picture::small()).await;
        for url in [thumbnail_url(&image), image.str("image_url")] {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                let answer = stack.call(method, url).await;
                let allow = answer.must_header("allow").to_owned();
                answer.problem(405);
                let mut allowed: Vec<&str> = allow.split(',').map(str::trim).collect();
                allowed.retain(|method| *method != "OPTIONS");
                allowed.sort_unstable();
                assert_eq!(allowed, ["GET", "HEAD"]);
            }
        }
    });
}

#[test]
fn the_buckets_themselves_give_and_take_nothing_without_a_signature() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let image = user.publish("Harbour", Picture::small()).await;
        let redirect = stack.get(image.str("image_url")).await.assert_status(302);
        let mut url = Url::parse(redirect.must_header("location")).expect("a URL");
        url.set_query(None);
        stack.get(&url).await.assert_status(403);
        let endpoint = std::env::var("AWS_ENDPOINT_URL").expect("the stack's own");
        let keys = stack.blobs(image.str("id")).await;
        for bucket in [&stack.originals, &stack.thumbnails] {
            stack.get(format!("{endpoint}/{bucket}")).await.assert_status(403);
            for key in &keys {
                stack.get(format!("{endpoint}/{bucket}/{key}")).await.assert_status(403);
            }
            stack
                .call(Method::PUT, format!("{endpoint}/{bucket}/{}", unique()))
                .body(b"mine".to_vec())
                .await
                .assert_status(403);
        }
    });
}
