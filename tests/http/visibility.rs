//! A private image gives nothing to anyone else, by any route, known or guessed.

use std::time::SystemTime;

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use reqwest::Url;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, Stack, User, eventually, on_stack, parts, unknown_id};

/// Where an image would be, if it were public.
fn addresses(picture: &Picture, id: &str) -> Vec<String> {
    let (owner, image) = parts(id);
    let ending = picture.extension;
    [100, 200, 240, 400]
        .iter()
        .map(|height| format!("/media/thumbnail/{owner}/{image}/{height}.{ending}"))
        .chain([format!("/media/imageupload/{owner}/{image}.{ending}")])
        .collect()
}

/// An answer's headers but for those that differ from one answer to the next.
fn of_all(answer: &Answer) -> Vec<(String, String)> {
    let own = ["date", "x-request-id", "apigw-requestid", "x-amzn-requestid", "x-amzn-trace-id"];
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    headers.sort();
    headers
}

/// Every way in which somebody who knows an image's id could try to get something of it.
async fn gives_nothing(stack: &Stack, id: &str, picture: &Picture, other: &User) {
    let path = format!("/api/images/{id}");
    let owner = parts(id).0.to_string();
    for unknown in [unknown_id(&other.id), unknown_id(&owner)] {
        let unknown = format!("/api/images/{unknown}");
        for (call, control) in [(stack.get(&path), stack.get(&unknown)), (other.get(&path), other.get(&unknown))] {
            let (answer, control) = (call.await, control.await);
            assert_eq!(of_all(&answer), of_all(&control), "the 404 tells that the image exists");
            assert_eq!(answer.problem(404), control.problem(404), "the 404 tells that the image exists");
        }
    }
    for address in addresses(picture, id) {
        stack.get(&address).await.assert_status(404);
        other.get(&address).await.assert_status(404);
        stack.head(&address).await.assert_status(404);
    }
    other.patch(&path, json!({"visibility": "public"})).await.assert_status(403);
    other.post(format!("{path}/upload"), json!({})).await.assert_status(403);
    other.delete(&path).await.assert_status(403);
    for list in ["/api/images", "/api/explore?limit=100"] {
        let seen = other.pages(list).await;
        assert!(!seen.iter().any(|image| image["id"] == id), "{list}");
    }
}

fn thumbnails(image: &Value) -> Vec<&str> {
    image.list("thumbnails").iter().map(|thumbnail| thumbnail.str("url")).collect()
}

#[test]
fn a_private_image_gives_nothing_to_anyone_else() {
    on_stack(async |stack| {
        let owner = stack.user_on("Premium").await;
        let other = stack.user_on("Enterprise").await;
        let picture = Picture::jpeg(640, 480);
        let image = owner.hide("Diary", &picture).await;
        gives_nothing(stack, image.str("id"), &picture, &other).await;
        owner.get(format!("/api/images/{}", image.str("id"))).await.assert_status(200);
    });
}

#[test]
fn a_pending_public_image_gives_nothing_to_anyone_else() {
    on_stack(async |stack| {
        let owner = stack.user_on("Premium").await;
        let other = stack.user().await;
        let pending = owner.pending("Soon").await;
        gives_nothing(stack, &pending.id, Picture::small(), &other).await;
    });
}

#[test]
fn a_private_images_urls_are_presigned_for_its_owner() {
    on_stack(async |stack| {
        let owner = stack.user_on("Premium").await;
        let picture = Picture::jpeg(640, 480);
        let image = owner.hide("Diary", &picture).await;
        let until = DateTime::from_str(image.str("url_expires_at"), DateTimeFormat::DateTime).expect("a time").secs();
        let left = until - DateTime::from(SystemTime::now()).secs();
        assert!((840..=900).contains(&left), "URLs of private images live 15 minutes, not {left} s");
        let mut urls = thumbnails(&image);
        assert_eq!(urls.len(), 2);
        urls.push(image.str("image_url"));
        for url in urls {
            let answer = stack.get(url).await.assert_status(200);
            assert_eq!(answer.must_header("content-type"), "image/jpeg");
            let mut unsigned = Url::parse(url).expect("a presigned URL is absolute");
            assert!(
                unsigned.query_pairs().any(|(name, value)| {
                    name == "X-Amz-Expires" && value.parse::<u64>().is_ok_and(|age| age <= 900)
                }),
                "{url}"
            );
            unsigned.set_query(None);
            stack.get(unsigned).await.assert_status(403);
        }
        let original = stack.get(image.str("image_url")).await.assert_status(200);
        assert!(original.body == picture.bytes, "other bytes came back");
    });
}

#[test]
fn an_image_that_becomes_private_is_served_nowhere() {
    on_stack(async |stack| {
        let owner = stack.user_on("Premium").await;
        let other = stack.user().await;
        let picture = Picture::small();
        let image = owner.publish("Party", picture).await;
        let path = format!("/api/images/{}", image.str("id"));
        stack.get(&path).await.assert_status(200);
        other.get(&path).await.assert_status(200);
        let mut urls = thumbnails(&image);
        urls.push(image.str("image_url"));
        // These are the addresses that give nothing of a private image.
        let guessed = addresses(picture, image.str("id"));
        for url in &urls {
            let path = Url::parse(url).expect("a URL is absolute").path().to_owned();
            assert!(guessed.contains(&path), "{path} is not among {guessed:?}");
        }
        for url in &urls {
            assert!(stack.get(url).await.status < 400, "{url}");
        }
        owner.patch(&path, json!({"visibility": "private"})).await.assert_status(200);
        stack.get(&path).await.problem(404);
        for url in &urls {
            eventually(&format!("{url} to close"), async || (stack.get(url).await.status == 404).then_some(())).await;
        }
        gives_nothing(stack, image.str("id"), picture, &other).await;
    });
}

#[test]
fn an_image_that_becomes_public_again_has_the_same_urls() {
    on_stack(async |stack| {
        let owner = stack.user_on("Premium").await;
        let image = owner.publish("Party", Picture::small()).await;
        let path = format!("/api/images/{}", image.str("id"));
        for visibility in ["private", "public"] {
            owner.patch(&path, json!({"visibility": visibility})).await.assert_status(200);
        }
        let again = stack.get(&path).await.assert_json(200);
        assert_eq!(again["thumbnails"], image["thumbnails"]);
        assert_eq!(again["image_url"], image["image_url"]);
        assert!(again["url_expires_at"].is_null());
        for url in thumbnails(&image) {
            eventually(&format!("{url} to open"), async || (stack.get(url).await.status == 200).then_some(())).await;
        }
    });
}

#[test]
fn public_image_is_visible_without_private_data_of_its_owner() {
    on_stack(async |stack| {
        let owner = stack.user().await;
        let other = stack.user().await;
        let image = owner.publish("Party", Picture::small()).await;
        let path = format!("/api/images/{}", image.str("id"));
        for call in [stack.get(&path), other.get(&path), owner.get(&path)] {
            let answer = call.await;
            assert!(!answer.text().contains(&owner.email));
            assert_eq!(answer.assert_json(200)["id"], image["id"]);
        }
        stack.get(&path).token("nonsense").await.assert_status(401);
    });
}
