//! Uploads that are not what they were said to be.

use serde_json::json;

use crate::fixtures::Picture;
use crate::harness::{Body, Stack, User, on_stack};

async fn is_rejected(stack: &'static Stack, user: &User, picture: &Picture, code: &str, reason: &str) {
    let created = user.create("Suspicious", picture).await;
    created.put(stack, &picture.bytes).await.assert_status(200);
    let image = user.rejected(&created.id).await;
    assert_eq!((&image["reject_code"], &image["reject_reason"]), (&json!(code), &json!(reason)));
    assert!(image["image_url"].is_null());
    assert!(image.list("thumbnails").is_empty());
    stack.no_blobs(&created.id).await;
    assert!(stack.claim(&user.id, "Suspicious").await.is_none());
    stack.get(format!("/api/images/{}", created.id)).await.problem(404);
    user.delete(format!("/api/images/{}", created.id)).await.assert_status(204);
    let me = user.get("/api/me").await.assert_json(200);
    assert_eq!(me["usage"]["images"], 0);
}

#[test]
fn files_that_are_not_images_are_rejected() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for picture in [Picture::text_as_jpeg(), Picture::html_as_png()] {
            is_rejected(stack, &user, &picture, "not_an_image", "The file is not an image.").await;
        }
    });
}

#[test]
fn an_image_of_another_type_than_declared_is_rejected() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for (picture, found, declared) in [
            (Picture::png(80, 60).declared_as("image/jpeg", "jpg"), "PNG", "JPEG"),
            (Picture::jpeg(80, 60).declared_as("image/png", "png"), "JPEG", "PNG"),
            (Picture::gif(80, 60).declared_as("image/webp", "webp"), "GIF", "WebP"),
            (Picture::webp(80, 60).declared_as("image/gif", "gif"), "WebP", "GIF"),
        ] {
            let reason = format!("The file was sent as {declared}, but it is {found}.");
            is_rejected(stack, &user, &picture, "type_mismatch", &reason).await;
        }
    });
}

#[test]
fn an_image_that_was_cut_off_is_rejected() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for picture in Picture::every_format(320, 240) {
            is_rejected(stack, &user, &picture.truncated(), "truncated", "The file ends before the image does.").await;
        }
    });
}

#[test]
fn a_damaged_image_is_rejected() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let reason = "The file is damaged and cannot be decoded.";
        is_rejected(stack, &user, &Picture::png(320, 240).scribbled(), "corrupt", reason).await;
    });
}

#[test]
fn an_image_of_too_many_pixels_is_rejected_however_small_its_file() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for (picture, side) in
            [(Picture::png_bomb(), 20_000), (Picture::jpeg_bomb(), 65_500), (Picture::gif_bomb(), 65_535)]
        {
            let reason = format!("The image has {side} x {side} pixels; at most 100000000 pixels are allowed.");
            is_rejected(stack, &user, &picture, "too_many_pixels", &reason).await;
        }
    });
}

#[test]
fn an_image_that_lacks_its_last_rows_is_ready_with_a_warning() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut cut = Picture::jpeg(400, 800);
        cut.bytes.truncate(cut.bytes.len() - 40);
        for (title, picture, warnings) in
            [("Whole", Picture::jpeg(320, 240), json!(null)), ("Cut", cut, json!(["truncated"]))]
        {
            let image = user.publish(title, &picture).await;
            assert_eq!((&image["status"], &image["warnings"]), (&json!("ready"), &warnings));
            assert!(image["reject_code"].is_null());
        }
    });
}

#[test]
fn a_rejected_image_is_listed_with_its_reason_until_it_is_deleted() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let fake = Picture::text_as_jpeg();
        let created = user.create("Suspicious", &fake).await;
        created.put(stack, &fake.bytes).await.assert_status(200);
        let rejected = user.rejected(&created.id).await;
        let listed = user.pages("/api/images?status=rejected").await;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0]["reject_reason"], rejected["reject_reason"]);
        assert_eq!(listed[0]["reject_code"], "not_an_image");
        user.post(format!("/api/images/{}/upload", created.id), serde_json::json!({})).await.problem(409);
    });
}

#[test]
fn a_second_upload_to_a_rejected_image_is_swept() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let fake = Picture::text_as_jpeg();
        let created = user.create("Suspicious", &fake).await;
        created.put(stack, &fake.bytes).await.assert_status(200);
        user.rejected(&created.id).await;
        stack.no_blobs(&created.id).await;
        // Its blob is gone, so the same URL admits it once more.
        created.put(stack, &fake.bytes).await.assert_status(200);
        stack.no_blobs(&created.id).await;
        user.rejected(&created.id).await;
    });
}
