//! JPEG, decoded at a reduced scale, in the planes of the file.

use jpeg_scaled::{Colour, Component, Decoder, Header, Limits, Plane as JpegPlane};

use crate::decode::{DecodeTarget, MAX_PROFILE, enough_rows};
use crate::exif::Orientation;
use crate::metadata::Metadata;
use crate::picture::{Decoded, Model, Plane, Samples};
use crate::source::Source;
use crate::{Error, Rejection};

/// The decoded size relative to the largest thumbnail. Below 3, frequencies that the scaled transform does
/// not remove are visible as aliasing on a zone plate.
const OVERSAMPLE: f64 = 3.0;
/// The same for chroma, which has half the size in a JPEG thumbnail.
const CHROMA_OVERSAMPLE: f64 = 2.8 / 2.0;

/// Bytes of planes and coefficients. The largest valid case, a progressive image of 100 megapixels at half
/// size, needs 450 MB; at the heights of usual plans it needs a tenth of that.
const MAX_MEMORY: usize = 480 << 20;

pub(crate) fn decode(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let result = decode_inner(source, target);
    let mut decoded = result.map_err(|rejection| source.or_io_error(rejection))?;
    // The decoder reads ahead.
    source.unread();
    let _ = decoded.metadata.add_trailing(source);
    source.check_failure()?;
    Ok(decoded)
}

fn decode_inner(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Rejection> {
    let limits = Limits {
        max_memory: MAX_MEMORY,
        max_profile_bytes: MAX_PROFILE,
        deadline: source.deadline(),
        approximate: true,
        every_scan: target.every_scan,
        ..Limits::default()
    };
    let mut decoder = Decoder::new(source, limits);
    let header = decoder.read_header().map_err(explain)?;
    target.check_size(header.width, header.height)?;
    let orientation = header.exif.first().map(Vec::as_slice).map(Orientation::from_exif).unwrap_or_default();
    let target = target.stored_target((header.width, header.height), orientation);
    let scales = scales(&header, target);
    let picture = decoder.decode(&scales).map_err(explain)?;
    if picture.damaged_intervals > 0 {
        return Err(Rejection::corrupt("damaged restart intervals"));
    }
    let truncated = picture.complete_rows < header.height;
    if truncated && !enough_rows(picture.complete_rows, header.height) {
        return Err(Rejection::Truncated);
    }
    let spreads = spreads(&header, &scales);
    let planes = picture.planes.into_iter().zip(spreads).map(|(plane, spread)| small_plane(plane, spread)).collect();
    let (model, planes) = model(&header, planes);
    let Header { width, height, profile: icc_profile, exif, xmp, .. } = header;
    let mut metadata = Metadata::default();
    exif.iter().for_each(|exif| metadata.add_exif(exif));
    xmp.iter().for_each(|xmp| metadata.add_xmp(xmp));
    Ok(Decoded { width, height, orientation, icc_profile, model, planes, truncated, metadata })
}

/// The smallest scale of each component, in eighths, that leaves enough samples for the resize.
fn scales(header: &Header, target: (u32, u32)) -> Vec<u8> {
    let most = |factor: fn(&Component) -> u8| {
        let factors = header.components.iter().map(factor);
        f64::from(factors.max().unwrap_or(1))
    };
    let (across, down) = (most(|c| c.horizontal), most(|c| c.vertical));
    let scale = |(index, component): (usize, &Component)| {
        let chroma = matches!(header.colour, Colour::YCbCr | Colour::Ycck) && matches!(index, 1 | 2);
        let oversample = if chroma { CHROMA_OVERSAMPLE } else { OVERSAMPLE };
        let eighths = |size: u32, factor: u8, most: f64, target: u32| {
            let samples = f64::from(size) * f64::from(factor) / most;
            (f64::from(target) * oversample * 8.0 / samples).ceil() as u8
        };
        eighths(header.width, component.horizontal, across, target.0)
            .max(eighths(header.height, component.vertical, down, target.1))
            .clamp(1, 8)
    };
    header.components.iter().enumerate().map(scale).collect()
}

/// The [`Plane::spread`] of each component: decoders interpolate those that are halved in a direction.
fn spreads(header: &Header, scales: &[u8]) -> Vec<(f64, f64)> {
    let most = |factor: fn(&Component) -> u8| header.components.iter().map(factor).max().unwrap_or(1);
    let (across, down) = (most(|c| c.horizontal), most(|c| c.vertical));
    let spread = |factor: u8, most: u8, scale: u8| if 2 * factor == most { f64::from(scale) / 8.0 } else { 0.0 };
    let of = |(component, &scale): (&Component, &u8)| {
        (spread(component.horizontal, across, scale), spread(component.vertical, down, scale))
    };
    header.components.iter().zip(scales).map(of).collect()
}

fn small_plane(plane: JpegPlane, spread: (f64, f64)) -> Plane {
    Plane {
        width: plane.width,
        height: plane.height,
        stride: plane.stride,
        view_width: f64::from(plane.eighths_across) / 8.0,
        view_height: f64::from(plane.eighths_down) / 8.0,
        spread,
        samples: Samples { channels: 1, data: plane.samples },
    }
}

/// The color model and the planes; for inks, 255 is full coverage.
fn model(header: &Header, mut planes: Vec<Plane>) -> (Model, Vec<Plane>) {
    let model = match header.colour {
        Colour::Grey => Model::Grey,
        Colour::YCbCr => Model::YCbCr,
        Colour::Rgb => Model::PlanarRgb,
        Colour::Cmyk => Model::Cmyk,
        Colour::Ycck => Model::Ycck,
    };
    // The inks of JPEG are inverted. The YCbCr of YCCK is that of the inverted values, so those three planes
    // become inks.
    let inverted = match header.colour {
        Colour::Cmyk => &mut planes[..],
        Colour::Ycck => &mut planes[3..],
        _ => &mut [],
    };
    for plane in inverted {
        for sample in &mut plane.samples.data {
            *sample = 255 - *sample;
        }
    }
    (model, planes)
}

pub(crate) fn explain(error: jpeg_scaled::Error) -> Rejection {
    match error {
        jpeg_scaled::Error::Truncated => Rejection::Truncated,
        jpeg_scaled::Error::Unsupported(feature) => Rejection::Unsupported { feature: feature.to_owned() },
        jpeg_scaled::Error::Limit(part) => Rejection::TooComplex { part: part.to_owned() },
        jpeg_scaled::Error::Deadline => Rejection::DeadlineExceeded,
        jpeg_scaled::Error::Io(error) => Rejection::corrupt(error),
        jpeg_scaled::Error::Corrupt(detail) => Rejection::corrupt(detail),
    }
}
