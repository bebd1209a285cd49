//! JPEG, decoded at the scale that the thumbnail needs.

use jpeg_decoder::{Decoder, Error as JpegError, PixelFormat};

use crate::decode::Wanted;
use crate::exif::Orientation;
use crate::picture::{Decoded, Model, Plane, Samples};
use crate::source::Source;
use crate::{Error, Rejection};

pub(crate) fn decode(source: &mut Source<'_>, wanted: Wanted) -> Result<Decoded, Error> {
    let result = decode_inner(source, wanted);
    result.map_err(|rejection| source.blame(rejection))
}

fn decode_inner(source: &mut Source<'_>, wanted: Wanted) -> Result<Decoded, Rejection> {
    let mut decoder = Decoder::new(source);
    decoder.read_info().map_err(explain)?;
    let info = decoder.info().ok_or_else(|| Rejection::corrupt("no header"))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    wanted.check_size(width, height)?;
    let orientation = decoder.exif_data().map(Orientation::from_exif).unwrap_or_default();
    let icc_profile = decoder.icc_profile();
    let target = wanted.stored_target((width, height), orientation);
    let twice = |side: u32| u16::try_from(side * 2).unwrap_or(u16::MAX);
    let (scaled_width, scaled_height) = decoder.scale(twice(target.0), twice(target.1)).map_err(explain)?;
    let data = decoder.decode().map_err(explain)?;
    let (model, channels) = match info.pixel_format {
        PixelFormat::L8 => (Model::Grey, 1),
        PixelFormat::RGB24 => (Model::Rgb, 3),
        PixelFormat::CMYK32 => (Model::Cmyk, 4),
        PixelFormat::L16 => {
            return Err(Rejection::Unsupported { feature: "more than 8 bits a sample".to_owned() });
        }
    };
    Ok(Decoded {
        width,
        height,
        orientation,
        icc_profile,
        model,
        planes: vec![Plane {
            width: u32::from(scaled_width),
            height: u32::from(scaled_height),
            view_width: f64::from(scaled_width),
            view_height: f64::from(scaled_height),
            samples: Samples { channels, data },
        }],
    })
}

fn explain(error: JpegError) -> Rejection {
    match error {
        JpegError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Rejection::Truncated,
        JpegError::Unsupported(feature) => Rejection::Unsupported { feature: format!("{feature:?}") },
        other => Rejection::corrupt(other),
    }
}
