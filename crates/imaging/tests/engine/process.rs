//! The contract of `process` for every format.

use std::time::Instant;

use tintype_imaging::{ContentType, Error, Rejection, process};

use crate::support::*;

#[test]
fn thumbnails_have_requested_heights_and_aspect_ratio() {
    for format in ENCODED {
        let file = make(format, &quadrants(300, 200), 300, 200);
        let outcome = thumbnails(&file, format, &[40, 100]).unwrap();
        assert_eq!((outcome.width, outcome.height), (300, 200));
        let sizes: Vec<_> = outcome.thumbnails.iter().map(|thumbnail| (thumbnail.width, thumbnail.height)).collect();
        assert_eq!(sizes, [(150, 100), (60, 40)]);
        for thumbnail in &outcome.thumbnails {
            let shown = matches!(format, ContentType::Tiff | ContentType::Bmp).then_some(ContentType::Jpeg);
            assert_eq!(thumbnail.content_type, shown.unwrap_or(format));
            assert_eq!(ContentType::sniff(&thumbnail.bytes), Some(thumbnail.content_type));
            let picture = look(thumbnail.content_type, &thumbnail.bytes);
            assert_eq!((picture.0 as u32, picture.1 as u32), (thumbnail.width, thumbnail.height));
            let colours = quadrant_colours(&picture);
            for (colour, expected) in colours.iter().zip([RED, GREEN, BLUE, WHITE]) {
                assert_close(colour, &expected, 12);
            }
        }
    }
}

#[test]
fn small_images_are_not_enlarged_and_heights_are_deduplicated() {
    for format in ENCODED {
        let file = make(format, &quadrants(60, 50), 60, 50);
        let outcome = thumbnails(&file, format, &[400, 200, 50, 20]).unwrap();
        let sizes: Vec<_> = outcome.thumbnails.iter().map(|thumbnail| (thumbnail.width, thumbnail.height)).collect();
        assert_eq!(sizes, [(60, 50), (24, 20)]);
    }
}

#[test]
fn placeholder_is_made_without_heights() {
    let file = png(&quadrants(300, 200), 300, 200);
    let outcome = thumbnails(&file, ContentType::Png, &[]).unwrap();
    assert!(outcome.thumbnails.is_empty());
    let (width, height, _) = thumbhash::thumb_hash_to_rgba(&outcome.placeholder).unwrap();
    assert!(width > height);
}

#[test]
fn placeholder_shows_colors_of_quadrants() {
    for format in ENCODED {
        let file = make(format, &quadrants(120, 120), 120, 120);
        let outcome = thumbnails(&file, format, &[80]).unwrap();
        let blurred = thumbhash::thumb_hash_to_rgba(&outcome.placeholder).unwrap();
        let [red, green, blue, white] = quadrant_colours(&blurred);
        assert!(red[0] > red[1] && red[0] > red[2]);
        assert!(green[1] > green[0] && green[1] > green[2]);
        assert!(blue[2] > blue[0] && blue[2] > blue[1]);
        assert!(white.iter().all(|&level| level > 150));
    }
}

#[test]
fn type_mismatch_names_real_type() {
    for real in ENCODED {
        let file = make(real, &quadrants(16, 16), 16, 16);
        for declared in ContentType::ALL.into_iter().filter(|&format| format != real) {
            let error = thumbnails(&file, declared, &[8]).unwrap_err();
            let Error::Rejected(rejection) = error else {
                panic!("{error}");
            };
            assert_eq!(rejection.code(), "type_mismatch");
            let reason = rejection.to_string();
            assert!(reason.contains(real.name()) && reason.contains(declared.name()));
        }
    }
}

#[test]
fn non_images_are_rejected_and_known_types_named() {
    for file in [&b""[..], b"\xFF", b"hello, this is text", &[0; 100]] {
        assert_eq!(code(thumbnails(file, ContentType::Jpeg, &[8])), "not_an_image");
    }
    let error = thumbnails(b"%PDF-1.7 and so on", ContentType::Jpeg, &[8]).unwrap_err();
    assert_eq!(error.to_string(), "The file was sent as JPEG, but it is PDF.");
}

#[test]
fn too_many_pixels_are_rejected_by_header() {
    for format in ENCODED {
        let file = make(format, &quadrants(40, 30), 40, 30);
        let mut request = request(format, &[8]);
        request.max_pixels = 40 * 30;
        assert!(process(&file[..], &request).is_ok());
        request.max_pixels -= 1;
        // The rest of the file is missing, so only the header was used.
        let error = process(&file[..file.len() * 9 / 10], &request).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Rejected(Rejection::TooManyPixels { width: 40, height: 30, .. })
                    | Error::Rejected(Rejection::Truncated)
            ),
            "{error}"
        );
        let error = process(&file[..], &request).unwrap_err();
        assert!(matches!(error, Error::Rejected(Rejection::TooManyPixels { .. })));
    }
}

#[test]
fn source_errors_are_not_rejections() {
    for format in ENCODED {
        let file = make(format, &quadrants(64, 64), 64, 64);
        for cut in [0, 5, file.len() / 2, file.len() - 3] {
            let error = process(Failing(&file[..cut]), &request(format, &[8])).unwrap_err();
            let Error::Source(cause) = error else {
                panic!("{format:?} cut at {cut}: {error}");
            };
            assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn past_deadline_stops_at_once() {
    for format in ENCODED {
        let file = make(format, &quadrants(64, 64), 64, 64);
        let mut request = request(format, &[8]);
        request.deadline = Some(Instant::now());
        assert_eq!(code(process(&file[..], &request)), "took_too_long");
    }
}

#[test]
fn jpeg_orientation_is_applied() {
    let (width, height) = (120, 80);
    let upright = [RED, GREEN, BLUE, WHITE];
    // The stored quadrant at each position, by rows, for the Exif orientations 1 to 8.
    let seen = [
        [0, 1, 2, 3],
        [1, 0, 3, 2],
        [3, 2, 1, 0],
        [2, 3, 0, 1],
        [0, 2, 1, 3],
        [2, 0, 3, 1],
        [3, 1, 2, 0],
        [1, 3, 0, 2],
    ];
    for (index, places) in seen.iter().enumerate() {
        let orientation = index as u8 + 1;
        let file = jpeg_with(&quadrants(width, height), width, height, |encoder| {
            encoder.add_exif_metadata(&exif(orientation)).unwrap();
        });
        let outcome = thumbnails(&file, ContentType::Jpeg, &[40]).unwrap();
        let turned = orientation >= 5;
        let size = if turned { (80, 120) } else { (120, 80) };
        assert_eq!((outcome.width, outcome.height), size);
        let thumbnail = &outcome.thumbnails[0];
        assert_eq!(thumbnail.height, 40);
        assert_eq!(thumbnail.width, if turned { 27 } else { 60 });
        assert!(!thumbnail.bytes.windows(4).any(|bytes| bytes == b"Exif"));
        let colours = quadrant_colours(&look(ContentType::Jpeg, &thumbnail.bytes));
        for (colour, &place) in colours.iter().zip(places) {
            assert_close(colour, &upright[place], 30);
        }
    }
}
