//! PNG, reduced row by row during decompression.

use png::{BitDepth, ColorType, DecodingError, InterlaceInfo, Limits, Transformations};

use crate::decode::{DecodeTarget, MAX_PROFILE};
use crate::exif::Orientation;
use crate::picture::{Decoded, Model, premultiply};
use crate::reduce::{Factor, Reducer};
use crate::source::Source;
use crate::{Error, OVERSAMPLE, Rejection};

/// Rows between checks of the deadline, in addition to one for each read.
const ROWS_PER_CHECK: u32 = 64;

pub(crate) fn decode(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let deadline = source.deadline();
    let result = decode_inner(source, target, deadline);
    result.map_err(|rejection| source.or_io_error(rejection))
}

fn decode_inner(
    source: &mut Source<'_>,
    target: DecodeTarget,
    deadline: Option<std::time::Instant>,
) -> Result<Decoded, Rejection> {
    // The decoder holds whole chunks (profile, Exif) and one row.
    let limits = Limits { bytes: 4 * MAX_PROFILE };
    let mut decoder = png::Decoder::new_with_limits(source, limits);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.set_ignore_text_chunk(true);
    let header = decoder.read_header_info().map_err(explain)?;
    let (width, height) = (header.width, header.height);
    target.check_size(width, height)?;
    let mut reader = decoder.read_info().map_err(explain)?;

    // `png` 0.18 panics when it expands such a palette.
    if let Some(palette) = &reader.info().palette
        && (!palette.len().is_multiple_of(3) || palette.len() > 3 * 256)
    {
        return Err(Rejection::corrupt("invalid palette"));
    }

    let early_exif = reader.info().exif_metadata.as_deref().map(<[u8]>::to_vec);
    let factor = match &early_exif {
        Some(exif) => {
            let orientation = Orientation::from_exif(exif);
            let target = target.stored_target((width, height), orientation);
            Factor::leaving(OVERSAMPLE, (width, height), target)
        }
        // The orientation may follow the pixels: keep enough for both aspect ratios.
        None => {
            let [upright, turned] = [Orientation::Upright, Orientation::RotatedClockwise]
                .map(|orientation| target.stored_target((width, height), orientation))
                .map(|target| Factor::leaving(OVERSAMPLE, (width, height), target));
            Factor { x: upright.x.min(turned.x), y: upright.y.min(turned.y) }
        }
    };

    let (colour, depth) = reader.output_color_type();
    let (model, channels) = match colour {
        ColorType::Grayscale => (Model::Grey, 1),
        ColorType::GrayscaleAlpha => (Model::GreyAlpha, 2),
        ColorType::Rgb => (Model::Rgb, 3),
        ColorType::Rgba => (Model::Rgba, 4),
        ColorType::Indexed => return Err(Rejection::corrupt("a palette was not expanded")),
    };
    let deep = depth == BitDepth::Sixteen;
    let alpha = matches!(model, Model::GreyAlpha | Model::Rgba);
    let mut reducer = Reducer::new(channels, width, height, factor);
    if reader.info().interlaced {
        reducer.expect_scattered();
    }
    let mut row = Vec::new();
    let mut lines = adam7_lines(width, height);
    let mut count = 0_u32;
    while let Some(read) = reader.next_interlaced_row().map_err(explain)? {
        row.clear();
        if deep {
            row.extend(
                read.data()
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|&bytes| ((u32::from(u16::from_be_bytes(bytes)) * 255 + 32_895) >> 16) as u8),
            );
        } else {
            row.extend_from_slice(read.data());
        }
        if alpha {
            premultiply(&mut row, channels);
        }
        match read.interlace() {
            InterlaceInfo::Null(_) => reducer.push(&row),
            InterlaceInfo::Adam7(_) => {
                let (x, step, y) = lines.next().ok_or_else(|| Rejection::corrupt("more rows than the passes have"))?;
                reducer.scatter(y, x, step, &row);
            }
        }
        count += 1;
        if count.is_multiple_of(ROWS_PER_CHECK)
            && deadline.is_some_and(|deadline| std::time::Instant::now() >= deadline)
        {
            return Err(Rejection::DeadlineExceeded);
        }
    }
    reader.finish().map_err(explain)?;

    let info = reader.info();
    let orientation =
        early_exif.as_deref().or(info.exif_metadata.as_deref()).map(Orientation::from_exif).unwrap_or_default();
    let icc_profile = info.icc_profile.as_deref().filter(|profile| profile.len() <= MAX_PROFILE).map(<[u8]>::to_vec);
    Ok(Decoded { width, height, orientation, icc_profile, model, planes: vec![reducer.finish()] })
}

/// First column, distance between columns, and row of every line of an interlaced image, in the
/// order they are stored (PNG specification, section 8.2). Passes without pixels have no lines.
fn adam7_lines(width: u32, height: u32) -> impl Iterator<Item = (u32, u32, u32)> {
    const PASSES: [(u32, u32, u32, u32); 7] =
        [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)];
    PASSES
        .into_iter()
        .filter(move |&(x, ..)| x < width)
        .flat_map(move |(x, x_step, y, y_step)| (y..height).step_by(y_step as usize).map(move |y| (x, x_step, y)))
}

fn explain(error: DecodingError) -> Rejection {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Rejection::Truncated,
        DecodingError::LimitsExceeded => Rejection::TooComplex { part: "a chunk beside the pixels".to_owned() },
        other => Rejection::corrupt(other),
    }
}
