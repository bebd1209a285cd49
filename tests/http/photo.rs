//! How a photograph was taken: all of it for its owner, for others what the owner lets them see.

use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, on_stack, parts};

fn photo(answer: Answer) -> Value {
    answer.assert_json(200)["photo"].clone()
}

#[test]
fn the_owner_sees_how_an_image_was_taken_and_others_what_the_owner_lets_them_see() {
    on_stack(async |stack| {
        let (owner, other) = (stack.user_on("Premium").await, stack.user_on("Premium").await);
        let place = json!({"latitude": 52.52, "longitude": 13.404722});
        for picture in
            [Picture::turned_jpeg(80, 60, 6), Picture::turned_png(80, 60, 6), Picture::turned_webp(80, 60, 6)]
        {
            let image = owner.publish(picture.extension, &picture).await;
            let path = format!("/api/images/{}", image.str("id"));
            let whole = json!({"make": "TINTYPE-CAMERA 7", "place": place});
            let own = owner.get(&path).await.assert_status(200);
            let foreign = stack.get(&path).await.assert_status(200);
            assert_ne!(own.must_header("etag"), foreign.must_header("etag"));
            assert_eq!((photo(own), photo(foreign)), (whole.clone(), Value::Null));
            assert_eq!(photo(other.get(&path).await), Value::Null);

            other.patch(&path, json!({"photo_public": true})).await.assert_problem(403, "not_owner");
            let changed = owner.patch(&path, json!({"photo_public": true})).await.assert_json(200);
            assert_eq!((&changed["photo"], &changed["photo_public"]), (&whole, &json!(true)));
            let public = json!({"make": "TINTYPE-CAMERA 7"});
            assert_eq!(photo(stack.get(&path).await), public);
            assert_eq!(photo(other.get(&path).await), public);
            assert_eq!(photo(owner.get(&path).await), whole);

            owner.patch(&path, json!({"photo_public": false})).await.assert_status(200);
            assert_eq!(photo(stack.get(&path).await), Value::Null);
        }
        for list in ["/api/images", "/api/explore?limit=100"] {
            assert!(owner.pages(list).await.iter().all(|image| image["photo"].is_null()), "{list}");
        }
        let page = owner.get(format!("/i/{}", owner.pages("/api/images").await[0].str("id"))).await.text();
        assert!(!page.contains("TINTYPE-CAMERA"));
    });
}

#[test]
fn xmp_says_what_exif_data_does_not() {
    on_stack(async |stack| {
        let owner = stack.user_on("Premium").await;
        let place = json!({"latitude": 48.208333, "longitude": 16.370833});
        let public = json!({"make": "TINTYPE-CAMERA 8", "taken_at": "1975-08"});
        let whole = json!({"make": "TINTYPE-CAMERA 8", "taken_at": "1975-08", "place": place});
        for picture in Picture::with_xmp() {
            let image = owner.publish(picture.extension, &picture).await;
            let path = format!("/api/images/{}", image.str("id"));
            assert_eq!(photo(owner.get(&path).await), whole, "{}", picture.extension);
            assert_eq!(photo(stack.get(&path).await), Value::Null);
            owner.patch(&path, json!({"photo_public": true})).await.assert_status(200);
            assert_eq!(photo(stack.get(&path).await), public);
        }
        let image = owner.publish("Both", &Picture::tiff(true)).await;
        let place = json!({"latitude": 52.52, "longitude": 13.404722});
        let both = json!({"make": "TINTYPE-CAMERA 7", "taken_at": "1975-08", "place": place});
        assert_eq!(photo(owner.get(format!("/api/images/{}", image.str("id"))).await), both);
    });
}

#[test]
fn an_image_without_metadata_has_no_photo() {
    on_stack(async |stack| {
        let owner = stack.user().await;
        let image = owner.publish("Plain", Picture::small()).await;
        let answer = owner.get(format!("/api/images/{}", image.str("id"))).await.assert_json(200);
        assert!(answer.get("photo").is_none());
    });
}

#[test]
fn an_original_that_says_where_it_was_taken_is_its_owners_alone() {
    on_stack(async |stack| {
        let (owner, other) = (stack.user_on("Enterprise").await, stack.user_on("Premium").await);
        let picture = Picture::turned_jpeg(80, 60, 6);
        let image = owner.publish("Placed", &picture).await;
        let (user, key) = parts(image.str("id"));
        let path = format!("/api/images/{}", image.str("id"));
        let listed = owner.pages("/api/images").await;
        for shown in [&owner.get(&path).await.assert_json(200), &listed[0]] {
            let original = stack.get(shown.str("image_url")).await.assert_status(200);
            assert!(original.body == picture.bytes, "other bytes came back");
            assert!(shown["url_expires_at"].is_string(), "{shown}");
        }
        for shown in [stack.get(&path).await.assert_json(200), other.get(&path).await.assert_json(200)] {
            assert!(shown["image_url"].is_null() && shown.get("url_expires_at").is_none(), "{shown}");
        }
        let feed = stack.get("/api/explore?limit=100").await.assert_json(200);
        let found = feed.list("results").iter().find(|found| found["id"] == image["id"]);
        assert!(found.is_none_or(|found| found["image_url"].is_null()), "{found:?}");
        let address = format!("/media/imageupload/{user}/{key}.jpg");
        for answer in [stack.get(&address).await, owner.get(&address).await, stack.head(&address).await] {
            answer.assert_status(404);
        }
        // Thumbnails say nothing, and whoever creates a link gives the file away.
        stack.get(image.list("thumbnails")[0].str("url")).await.assert_status(200);
        let link = owner.link(&image, json!({})).await;
        stack.get(link.str("link_url")).await.assert_status(302);

        // Wherever in the file the place is.
        let pictures = Picture::with_xmp().into_iter().chain([Picture::tiff(true), Picture::pair()]);
        for (number, picture) in pictures.enumerate() {
            let image = owner.publish(&format!("Placed {number}"), &picture).await;
            let path = format!("/api/images/{}", image.str("id"));
            let (user, key) = parts(image.str("id"));
            stack.get(owner.get(&path).await.assert_json(200).str("image_url")).await.assert_status(200);
            let shown = stack.get(&path).await.assert_json(200);
            assert!(shown["image_url"].is_null(), "{} {shown}", picture.extension);
            stack.get(format!("/media/imageupload/{user}/{key}.{}", picture.extension)).await.assert_status(404);
        }

        let plain = owner.publish("Plain", Picture::small()).await;
        assert!(plain.get("url_expires_at").is_none(), "{plain}");
        stack.get(plain.str("image_url")).await.assert_status(302);
    });
}
