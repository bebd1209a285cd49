//! JPEG, decoded only as far as the thumbnail needs, in the planes that the file has.

use jpeg_scaled::{Colour, Decoder, Header, Limits, Plane as JpegPlane};

use crate::decode::{MAX_PROFILE, Wanted};
use crate::exif::Orientation;
use crate::picture::{Decoded, Model, Plane, Samples};
use crate::source::Source;
use crate::{Error, Rejection};

/// How many times the thumbnail's size is left for the resizer. Below 2, what the transform of a
/// block lets through from above the new limit of frequency shows as aliasing.
const OVERSAMPLE: f64 = 2.0;

/// Bytes of planes and coefficients. The worst honest case, a progressive picture of 100 megapixels
/// at half size, has 450 MB; at the heights of usual plans it is a tenth of that.
const MAX_MEMORY: usize = 480 << 20;

pub(crate) fn decode(source: &mut Source<'_>, wanted: Wanted) -> Result<Decoded, Error> {
    let result = decode_inner(source, wanted);
    result.map_err(|rejection| source.blame(rejection))
}

fn decode_inner(source: &mut Source<'_>, wanted: Wanted) -> Result<Decoded, Rejection> {
    let limits = Limits {
        max_memory: MAX_MEMORY,
        max_profile_bytes: MAX_PROFILE,
        deadline: source.deadline(),
        ..Limits::default()
    };
    let mut decoder = Decoder::new(source, limits);
    let header = decoder.read_header().map_err(explain)?;
    wanted.check_size(header.width, header.height)?;
    let orientation = header
        .exif
        .as_deref()
        .map(Orientation::from_exif)
        .unwrap_or_default();
    let target = wanted.stored_target((header.width, header.height), orientation);
    let scales = vec![scale((header.width, header.height), target); header.components.len()];
    let picture = decoder.decode(&scales).map_err(explain)?;
    if picture.damaged_intervals > 0 {
        return Err(Rejection::corrupt("parts between restart markers are lost"));
    }
    let planes = picture.planes.into_iter().map(Plane::from).collect();
    let (model, planes) = model(&header, planes);
    Ok(Decoded {
        width: header.width,
        height: header.height,
        orientation,
        icc_profile: header.profile,
        model,
        planes,
    })
}

/// The least number of eighths that leaves enough pixels for the resizer.
fn scale(size: (u32, u32), target: (u32, u32)) -> u8 {
    let needed = |size: u32, target: u32| {
        (f64::from(target) * OVERSAMPLE * 8.0 / f64::from(size)).ceil() as u8
    };
    needed(size.0, target.0)
        .max(needed(size.1, target.1))
        .clamp(1, 8)
}

impl From<JpegPlane> for Plane {
    fn from(plane: JpegPlane) -> Self {
        Self {
            width: plane.width,
            height: plane.height,
            view_width: f64::from(plane.eighths_across) / 8.0,
            view_height: f64::from(plane.eighths_down) / 8.0,
            samples: Samples {
                channels: 1,
                data: plane.samples,
            },
        }
    }
}

/// The planes in one of the models that the rest of the way knows: ink as 255 for full cover.
fn model(header: &Header, mut planes: Vec<Plane>) -> (Model, Vec<Plane>) {
    let model = match header.colour {
        Colour::Grey => Model::Grey,
        Colour::YCbCr => Model::YCbCr,
        Colour::Rgb => Model::PlanarRgb,
        Colour::Cmyk => Model::Cmyk,
        Colour::Ycck => Model::Ycck,
    };
    // Adobe writes inks inverted. Its YCbCr is that of the inverse of what it writes, so those three
    // come out as inks.
    let inverted = match (header.colour, header.adobe) {
        (Colour::Cmyk, true) => &mut planes[..],
        (Colour::Ycck, _) => &mut planes[3..],
        _ => &mut [],
    };
    for plane in inverted {
        for sample in &mut plane.samples.data {
            *sample = 255 - *sample;
        }
    }
    (model, planes)
}

fn explain(error: jpeg_scaled::Error) -> Rejection {
    match error {
        jpeg_scaled::Error::Truncated => Rejection::Truncated,
        jpeg_scaled::Error::Unsupported(feature) => Rejection::Unsupported {
            feature: feature.to_owned(),
        },
        jpeg_scaled::Error::Limit(part) => Rejection::TooComplex {
            part: part.to_owned(),
        },
        jpeg_scaled::Error::Deadline => Rejection::TookTooLong,
        jpeg_scaled::Error::Io(error) => Rejection::corrupt(error),
        jpeg_scaled::Error::Corrupt(detail) => Rejection::corrupt(detail),
    }
}
