//! Thumbnails of uploaded photographs.

use image::GenericImageView;
use serde_json::Value;

use crate::fixtures::{Picture, is_upright, thumbnail_of};
use crate::harness::{Body, Stack, User, on_stack};

async fn thumbnails(stack: &Stack, image: &Value) -> Vec<(u64, Vec<u8>)> {
    let mut thumbnails = Vec::new();
    for thumbnail in image.list("thumbnails") {
        let answer = stack.get(thumbnail.str("url")).await.assert_status(200);
        thumbnails.push((thumbnail.number("height"), answer.body));
    }
    thumbnails
}

async fn is_well_made(stack: &'static Stack, user: &User, title: &str, picture: &Picture) {
    let image = user.publish(title, picture).await;
    assert_eq!(image["width"], picture.width, "{title}");
    assert_eq!(image["height"], picture.height, "{title}");
    let made = thumbnails(stack, &image).await;
    let mut heights: Vec<u64> = made.iter().map(|(height, _)| *height).collect();
    heights.sort_unstable();
    assert_eq!(heights, picture.heights(&[200, 400]), "{title}");
    for (place, (height, bytes)) in made.iter().enumerate() {
        let seen = thumbnail_of(picture, *height, bytes);
        is_upright(&seen);
        let told = &image.list("thumbnails")[place];
        assert_eq!(told["width"], seen.width());
        assert_eq!(told["content_type"], picture.content_type);
    }
}

#[test]
fn thumbnails_have_heights_of_plan_and_ratio_of_original() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        for picture in Picture::every_format(900, 600) {
            is_well_made(stack, &user, picture.extension, &picture).await;
        }
    });
}

#[test]
fn portraits_squares_and_slivers_keep_their_aspect() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        for (width, height) in [(480, 720), (500, 500), (1500, 430), (333, 777), (203, 201)] {
            let title = format!("{width} by {height}");
            is_well_made(stack, &user, &title, &Picture::jpeg(width, height)).await;
        }
    });
}

#[test]
fn an_image_of_one_pixel_is_its_own_thumbnail() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        for (width, height) in [(1, 1), (3000, 1), (1, 600)] {
            let picture = Picture::png(width, height);
            let image = user.publish(&format!("{width} by {height}"), &picture).await;
            let made = thumbnails(stack, &image).await;
            let mut heights: Vec<u64> = made.iter().map(|(height, _)| *height).collect();
            heights.sort_unstable();
            assert_eq!(heights, picture.heights(&[200, 400]));
            for ((height, bytes), told) in made.iter().zip(image.list("thumbnails")) {
                let seen = image::load_from_memory(bytes).expect("an image");
                // At most four times the plan's height.
                let exact = (u64::from(picture.width) * height / u64::from(picture.height)).clamp(1, 1600);
                assert_eq!((u64::from(seen.width()), u64::from(seen.height())), (exact, *height));
                assert_eq!(told["width"], seen.width());
            }
        }
    });
}

#[test]
fn jpeg_orientation_applied_and_metadata_stripped() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        for orientation in 1..=8 {
            let picture = Picture::turned_jpeg(640, 480, orientation);
            is_well_made(stack, &user, &format!("Held {orientation}"), &picture).await;
        }
    });
}

#[test]
fn pngs_and_webps_are_upright_too() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        for orientation in [3, 6] {
            for picture in [Picture::turned_png(320, 240, orientation), Picture::turned_webp(320, 240, orientation)] {
                let title = format!("{} held {orientation}", picture.extension);
                is_well_made(stack, &user, &title, &picture).await;
            }
        }
    });
}

#[test]
fn transparency_is_kept() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::transparent_png(640, 480);
        let image = user.publish("Logo", &picture).await;
        let (height, bytes) = &thumbnails(stack, &image).await[0];
        let seen = thumbnail_of(&picture, *height, bytes);
        let (width, height) = seen.dimensions();
        assert_eq!(seen.get_pixel(2, 2).0[3], 0);
        assert_eq!(seen.get_pixel(width / 2, height / 2).0[3], 255);
    });
}

#[test]
fn thumbnails_of_a_type_that_browsers_do_not_show_are_jpeg_or_webp() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        for (file, content_type, shown) in [
            ("tiff-rgb-lzw.tiff", "image/tiff", "image/jpeg"),
            ("tiff-rgba.tiff", "image/tiff", "image/webp"),
            ("bmp-rgb.bmp", "image/bmp", "image/jpeg"),
            ("heic-420.heic", "image/heic", "image/jpeg"),
            ("heic-rgba.heic", "image/heic", "image/webp"),
            ("avif-420.avif", "image/avif", "image/jpeg"),
            ("avif-rgba.avif", "image/avif", "image/webp"),
        ] {
            let picture = Picture::fixture(file, content_type);
            let image = user.publish(file, &picture).await;
            assert_eq!((&image["status"], &image["content_type"]), (&"ready".into(), &content_type.into()));
            let [thumbnail] = image.list("thumbnails") else { panic!("{file}: one thumbnail") };
            assert_eq!(thumbnail["content_type"], shown, "{file}");
            let extension = shown.replace("image/", ".").replace("jpeg", "jpg");
            assert!(thumbnail.str("url").ends_with(&extension), "{thumbnail}");
            let answer = stack.get(thumbnail.str("url")).await.assert_status(200);
            assert_eq!(answer.must_header("content-type"), shown);
            let seen = image::load_from_memory(&answer.body).expect("an image").to_rgb8();
            let [red, green, blue] = seen.get_pixel(12, 8).0;
            assert!(red.abs_diff(200) < 16 && green.abs_diff(60) < 16 && blue.abs_diff(40) < 16, "{file}");
            let original = stack.get(image.str("image_url")).await.assert_status(302);
            let original = stack.get(original.must_header("location")).await.assert_status(200);
            assert_eq!(original.must_header("content-type"), content_type);
            let private = user.hide(&format!("Private {file}"), &picture).await;
            let answer = stack.get(private.list("thumbnails")[0].str("url")).await.assert_status(200);
            assert_eq!(answer.must_header("content-type"), shown);
        }
    });
}

#[test]
fn the_original_is_kept_byte_for_byte() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let picture = Picture::turned_jpeg(320, 240, 6);
        let image = user.hide("Raw", &picture).await;
        let original = stack.get(image.str("image_url")).await.assert_status(200);
        assert!(original.body == picture.bytes, "other bytes came back");
    });
}

#[test]
fn several_uploads_at_once_all_become_ready() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let uploads = (0..12).map(|number| {
            let user = user.clone();
            async move { user.publish(&format!("Burst {number}"), Picture::small()).await }
        });
        let images = futures_util::future::join_all(uploads).await;
        assert_eq!(images.len(), 12);
        for image in images {
            assert_eq!(thumbnails(stack, &image).await.len(), 1);
        }
    });
}
