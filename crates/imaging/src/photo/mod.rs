//! How a photograph was taken, by its metadata. Where Exif data and XMP both state a property, Exif data counts: the camera
//! wrote it, and XMP often has a copy, which programs do not always keep up to date (Metadata Working Group, Guidelines
//! for Handling Image Metadata 2.0, section 3.2).

mod exif;
mod xmp;

use std::panic::{AssertUnwindSafe, catch_unwind};

use tintype_model::Photo;

use crate::metadata::Metadata;

/// Characters of a text that are kept.
const MAX_TEXT: usize = 100;

/// Reads what the metadata says. Invalid parts are left out; `None` if there is nothing.
pub(crate) fn read(metadata: Metadata) -> Option<Photo> {
    let exif = metadata.exif.into_iter().map(|exif| guarded(|| exif::read(exif)));
    let xmp = metadata.xmp.iter().map(|packet| guarded(|| xmp::read(packet)));
    let photo = exif.chain(xmp).fold(Capture::default(), Capture::or).into_photo();
    (photo != Photo::default()).then_some(photo)
}

/// It comes from anybody: a fault of a parser must not cost the image.
fn guarded(read: impl FnOnce() -> Capture) -> Capture {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_default()
}

/// What a part of the metadata says.
#[derive(Debug, Default, PartialEq)]
struct Capture {
    photo: Photo,
    /// When the image was stored. A scanned photograph is older.
    digitized_at: Option<String>,
}

impl Capture {
    /// This one, with what it lacks from another one. A place is taken as a whole.
    fn or(self, other: Self) -> Self {
        let (photo, rest) = (self.photo, other.photo);
        let photo = Photo {
            taken_at: photo.taken_at.or(rest.taken_at),
            make: photo.make.or(rest.make),
            model: photo.model.or(rest.model),
            lens: photo.lens.or(rest.lens),
            exposure_time: photo.exposure_time.or(rest.exposure_time),
            f_number: photo.f_number.or(rest.f_number),
            iso: photo.iso.or(rest.iso),
            focal_length: photo.focal_length.or(rest.focal_length),
            place: photo.place.or(rest.place),
        };
        Self { photo, digitized_at: self.digitized_at.or(other.digitized_at) }
    }

    fn into_photo(self) -> Photo {
        Photo { taken_at: self.photo.taken_at.or(self.digitized_at), ..self.photo }
    }
}

/// The text without control characters and spaces at the ends. `None` if nothing is left.
fn text_of(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|char| !char.is_control()).take(MAX_TEXT).collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn round(number: f64, precision: f64) -> f64 {
    (number * precision).round() / precision
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_property_comes_from_the_first_part_that_has_it() {
        let capture = |taken: Option<&str>, digitized: Option<&str>, make: Option<&str>| Capture {
            photo: Photo { taken_at: taken.map(str::to_owned), make: make.map(str::to_owned), ..Photo::default() },
            digitized_at: digitized.map(str::to_owned),
        };
        let merged = |parts: Vec<Capture>| {
            let photo = parts.into_iter().fold(Capture::default(), Capture::or).into_photo();
            (photo.taken_at, photo.make)
        };
        let text = |text: &str| Some(text.to_owned());
        // A scan: the scanner's time counts less than the time that somebody wrote.
        let scan = capture(None, Some("2020"), Some("Scanner"));
        assert_eq!(merged(vec![scan, capture(Some("1975"), None, Some("Other"))]), (text("1975"), text("Scanner")));
        let one = capture(Some("2001"), None, None);
        assert_eq!(merged(vec![one, capture(Some("2002"), None, Some("B"))]), (text("2001"), text("B")));
        assert_eq!(merged(vec![capture(None, None, None), capture(None, Some("2003"), None)]), (text("2003"), None));
    }
}
