//! Exif data (CIPA DC-008).

use ::exif::{DateTime, Exif, In, Reader, Tag, Value};
use tintype_model::{Photo, Place};

use super::{Capture, round, text_of};

/// Reads what Exif data says. Invalid parts are left out.
pub(super) fn read(exif: Vec<u8>) -> Capture {
    let exif = Reader::new().continue_on_error(true).read_raw(exif);
    exif.or_else(|error| error.distill_partial_result(|_| ())).map(|exif| capture(&exif)).unwrap_or_default()
}

fn capture(exif: &Exif) -> Capture {
    let photo = Photo {
        taken_at: time(exif, Tag::DateTimeOriginal, Tag::OffsetTimeOriginal),
        make: text(exif, Tag::Make),
        model: text(exif, Tag::Model),
        lens: text(exif, Tag::LensModel),
        exposure_time: positive(exif, Tag::ExposureTime, 1e6),
        f_number: positive(exif, Tag::FNumber, 1e2),
        iso: value(exif, Tag::PhotographicSensitivity).and_then(|value| value.get_uint(0)).filter(|&iso| iso > 0),
        focal_length: positive(exif, Tag::FocalLength, 1e2),
        place: place(exif),
    };
    Capture { photo, digitized_at: time(exif, Tag::DateTimeDigitized, Tag::OffsetTimeDigitized) }
}

fn value(exif: &Exif, tag: Tag) -> Option<&Value> {
    exif.get_field(tag, In::PRIMARY).map(|field| &field.value)
}

fn ascii(exif: &Exif, tag: Tag) -> Option<&[u8]> {
    match value(exif, tag)? {
        Value::Ascii(texts) => texts.first().map(Vec::as_slice),
        _ => None,
    }
}

/// Exif texts are ASCII; many programs write UTF-8, and fill up with spaces.
fn text(exif: &Exif, tag: Tag) -> Option<String> {
    text_of(&String::from_utf8_lossy(ascii(exif, tag)?))
}

/// The numbers of a RATIONAL that have a denominator.
fn numbers(exif: &Exif, tag: Tag) -> Option<Vec<f64>> {
    match value(exif, tag)? {
        Value::Rational(numbers) if numbers.iter().all(|number| number.denom != 0) => {
            Some(numbers.iter().map(|number| number.to_f64()).collect())
        }
        _ => None,
    }
}

/// A number above zero, rounded to one in `precision`.
fn positive(exif: &Exif, tag: Tag, precision: f64) -> Option<f64> {
    let number = *numbers(exif, tag)?.first()?;
    Some(round(number, precision)).filter(|&number| number > 0.0)
}

/// As in RFC 3339, but without an offset if `offset` is not there.
fn time(exif: &Exif, tag: Tag, offset: Tag) -> Option<String> {
    let mut time = DateTime::from_ascii(ascii(exif, tag)?).ok()?;
    let DateTime { year, month, day, hour, minute, second, .. } = time;
    let is_valid = year > 0 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_valid || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = ascii(exif, offset).filter(|text| time.parse_offset(text).is_ok()).and(time.offset);
    let offset = offset.filter(|minutes| minutes.abs() < 24 * 60).map(|minutes| {
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    });
    let offset = offset.unwrap_or_default();
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{offset}"))
}

fn place(exif: &Exif) -> Option<Place> {
    // "V": the receiver had no fix.
    if ascii(exif, Tag::GPSStatus).is_some_and(|status| status.starts_with(b"V")) {
        return None;
    }
    let latitude = degrees(exif, Tag::GPSLatitude, Tag::GPSLatitudeRef, b'S', 90.0)?;
    let longitude = degrees(exif, Tag::GPSLongitude, Tag::GPSLongitudeRef, b'W', 180.0)?;
    // 1: below sea level.
    let is_below = value(exif, Tag::GPSAltitudeRef).and_then(|value| value.get_uint(0)) == Some(1);
    let altitude = numbers(exif, Tag::GPSAltitude).and_then(|numbers| numbers.first().copied());
    let altitude = altitude.map(|altitude| round(if is_below { -altitude } else { altitude }, 10.0));
    Some(Place { latitude, longitude, altitude })
}

/// Degrees, minutes and seconds as degrees, to 0.1 meters.
fn degrees(exif: &Exif, tag: Tag, reference: Tag, negative: u8, most: f64) -> Option<f64> {
    let numbers = numbers(exif, tag)?;
    let sum: f64 = numbers.iter().zip([1.0, 60.0, 3600.0]).map(|(number, unit)| number / unit).sum();
    let is_negative = ascii(exif, reference)?.first() == Some(&negative);
    let degrees = round(if is_negative { -sum } else { sum }, 1e6);
    (!numbers.is_empty() && degrees.abs() <= most).then_some(degrees)
}

#[cfg(test)]
mod tests {
    use ::exif::experimental::Writer;
    use ::exif::{Field, Rational};

    use super::*;
    use crate::photo::MAX_TEXT;

    fn read(exif: Vec<u8>) -> Option<Photo> {
        let photo = super::read(exif).photo;
        (photo != Photo::default()).then_some(photo)
    }

    fn ascii(text: &str) -> Value {
        Value::Ascii(vec![text.as_bytes().to_vec()])
    }

    fn rationals(numbers: &[(u32, u32)]) -> Value {
        Value::Rational(numbers.iter().map(|&(num, denom)| Rational { num, denom }).collect())
    }

    fn exif(fields: &[(Tag, Value)]) -> Vec<u8> {
        let fields = fields.iter().map(|(tag, value)| Field { tag: *tag, ifd_num: In::PRIMARY, value: value.clone() });
        let fields: Vec<Field> = fields.collect();
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut exif = std::io::Cursor::new(Vec::new());
        writer.write(&mut exif, true).unwrap();
        exif.into_inner()
    }

    fn whole() -> Vec<(Tag, Value)> {
        vec![
            (Tag::Make, ascii("Apple  ")),
            (Tag::Model, ascii("iPhone\u{1b}[31m 13\u{fffd}")),
            (Tag::LensModel, ascii("5.7mm f/1.5")),
            (Tag::DateTimeOriginal, ascii("2026:07:09 18:23:45")),
            (Tag::OffsetTimeOriginal, ascii("-03:30")),
            (Tag::ExposureTime, rationals(&[(1, 250)])),
            (Tag::FNumber, rationals(&[(28, 10)])),
            (Tag::PhotographicSensitivity, Value::Short(vec![400])),
            (Tag::FocalLength, rationals(&[(57, 10)])),
            (Tag::GPSLatitudeRef, ascii("S")),
            (Tag::GPSLatitude, rationals(&[(33, 1), (51, 1), (2484, 100)])),
            (Tag::GPSLongitudeRef, ascii("E")),
            (Tag::GPSLongitude, rationals(&[(151, 1), (12, 1), (0, 1)])),
            (Tag::GPSAltitudeRef, Value::Byte(vec![1])),
            (Tag::GPSAltitude, rationals(&[(25, 2)])),
        ]
    }

    #[test]
    fn all_fields_are_read() {
        let photo = Photo {
            taken_at: Some("2026-07-09T18:23:45-03:30".to_owned()),
            make: Some("Apple".to_owned()),
            model: Some("iPhone[31m 13\u{fffd}".to_owned()),
            lens: Some("5.7mm f/1.5".to_owned()),
            exposure_time: Some(0.004),
            f_number: Some(2.8),
            iso: Some(400),
            focal_length: Some(5.7),
            place: Some(Place { latitude: -33.8569, longitude: 151.2, altitude: Some(-12.5) }),
        };
        assert_eq!(read(exif(&whole())), Some(photo));
    }

    #[test]
    fn invalid_fields_are_left_out() {
        let with = |tag: Tag, value: Value| {
            let mut fields = whole();
            fields.retain(|(found, _)| *found != tag);
            fields.push((tag, value));
            read(exif(&fields)).unwrap()
        };
        assert_eq!(with(Tag::DateTimeOriginal, ascii("0000:00:00 00:00:00")).taken_at, None);
        assert_eq!(with(Tag::DateTimeOriginal, ascii("    :  :     :  :  ")).taken_at, None);
        assert_eq!(with(Tag::OffsetTimeOriginal, ascii("   :  ")).taken_at.unwrap(), "2026-07-09T18:23:45");
        assert_eq!(with(Tag::ExposureTime, rationals(&[(1, 0)])).exposure_time, None);
        assert_eq!(with(Tag::FNumber, rationals(&[(0, 1)])).f_number, None);
        assert_eq!(with(Tag::FNumber, rationals(&[])).f_number, None);
        assert_eq!(with(Tag::Make, ascii(" ")).make, None);
        assert_eq!(with(Tag::Model, ascii(&"m".repeat(1000))).model.unwrap().len(), MAX_TEXT);
        assert_eq!(with(Tag::GPSStatus, ascii("V")).place, None);
        assert_eq!(with(Tag::GPSLatitude, rationals(&[(91, 1), (0, 1), (0, 1)])).place, None);
        assert_eq!(with(Tag::GPSLatitude, rationals(&[(0, 0), (0, 0), (0, 0)])).place, None);
        assert_eq!(with(Tag::GPSLongitudeRef, Value::Byte(vec![1])).place, None);
        assert_eq!(with(Tag::GPSAltitude, rationals(&[(1, 0)])).place.unwrap().altitude, None);
    }

    #[test]
    fn damaged_data_gives_what_is_there_and_never_fails() {
        let good = exif(&whole());
        for end in 0..good.len() {
            read(good[..end].to_vec());
        }
        for at in 0..good.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                read(bad);
            }
        }
        assert_eq!(read(Vec::new()), None);
        assert_eq!(read(exif(&[(Tag::Orientation, Value::Short(vec![6]))])), None);
    }
}
