//! The first frame of a GIF on its canvas, reduced row by row during decoding.

use gif::{ColorOutput, DecodingError, MemoryLimit};

use crate::decode::DecodeTarget;
use crate::exif::Orientation;
use crate::picture::{Decoded, Model};
use crate::reduce::{Factor, Reducer};
use crate::source::Source;
use crate::{Error, OVERSAMPLE, Rejection};

pub(crate) fn decode(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let result = decode_inner(source, target);
    result.map_err(|rejection| source.or_io_error(rejection))
}

fn decode_inner(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Rejection> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    // Rows are read one at a time, so memory does not depend on the frame's size.
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(source).map_err(explain)?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    target.check_size(width, height)?;

    let frame = decoder.next_frame_info().map_err(explain)?.ok_or(Rejection::Truncated)?;
    let (left, top) = (u32::from(frame.left), u32::from(frame.top));
    let (frame_width, frame_height) = (u32::from(frame.width), u32::from(frame.height));
    let (transparent, interlaced) = (frame.transparent, frame.interlaced);
    target.check_size(frame_width, frame_height)?;

    // A frame may be partly outside of the canvas, or not cover it.
    let visible_width = frame_width.min(width.saturating_sub(left));
    let bottom = height.min(top + frame_height);
    let covers = left == 0 && top == 0 && visible_width == width && bottom == height;
    let channels = if covers && transparent.is_none() { 3 } else { 4 };
    let palette = palette(decoder.palette().map_err(explain)?, transparent, channels);

    let target = target.stored_target((width, height), Orientation::Upright);
    let factor = Factor::leaving(OVERSAMPLE, (width, height), target);
    let mut reducer = Reducer::new(channels, width, height, factor);
    let bare = vec![0; width as usize * channels];
    let mut row = bare.clone();
    let mut indices = vec![0; frame_width as usize];
    let in_order = !interlaced;
    if in_order {
        for _ in 0..top.min(height) {
            reducer.push(&bare);
        }
    } else {
        reducer.expect_scattered();
    }
    for y in stored_rows(frame_height, interlaced) {
        if !decoder.fill_buffer(&mut indices).map_err(explain)? {
            return Err(Rejection::Truncated);
        }
        let y = top + y;
        if y >= bottom {
            continue;
        }
        let start = left.min(width) as usize * channels;
        let visible = &indices[..visible_width as usize];
        for (pixel, &index) in row[start..].chunks_exact_mut(channels).zip(visible) {
            pixel.copy_from_slice(&palette[usize::from(index)][..channels]);
        }
        if in_order {
            reducer.push(&row);
        } else {
            reducer.scatter(y, 0, 1, &row);
        }
    }
    if in_order {
        for _ in bottom.max(top.min(height))..height {
            reducer.push(&bare);
        }
    }
    let icc_profile = decoder.icc_profile().map(<[u8]>::to_vec);
    Ok(Decoded {
        width,
        height,
        orientation: Orientation::Upright,
        icc_profile,
        model: if channels == 3 { Model::Rgb } else { Model::Rgba },
        planes: vec![reducer.finish()],
    })
}

/// The color of each index: RGB, and premultiplied alpha if `channels` is 4. Indices past the end of the
/// table are transparent if possible, otherwise black.
fn palette(table: &[u8], transparent: Option<u8>, channels: usize) -> [[u8; 4]; 256] {
    let mut palette = [[0; 4]; 256];
    for (entry, &[r, g, b]) in palette.iter_mut().zip(table.as_chunks::<3>().0) {
        *entry = [r, g, b, 255];
    }
    if channels == 4
        && let Some(index) = transparent
    {
        palette[usize::from(index)] = [0; 4];
    }
    palette
}

/// The rows of a frame in stored order (GIF89a specification, appendix E).
fn stored_rows(height: u32, interlaced: bool) -> impl Iterator<Item = u32> {
    let passes: &[(u32, usize)] = if interlaced { &[(0, 8), (4, 8), (2, 4), (1, 2)] } else { &[(0, 1)] };
    passes.iter().flat_map(move |&(first, step)| (first..height).step_by(step))
}

fn explain(error: DecodingError) -> Rejection {
    match error {
        DecodingError::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Rejection::Truncated,
        other => Rejection::corrupt(other),
    }
}
