//! Decodes an image of HEIF picture by picture, so that only one picture of a grid is in memory.

use std::time::Instant;

use crate::decode::heif::{HeifFile, HeifImage, Nclx};
use crate::decode::yuv::{AlphaCanvas, Coding, YuvPicture, YuvSink, profile_of};
use crate::decode::{DecodeTarget, guarded};
use crate::picture::Decoded;
use crate::source::Source;
use crate::{Error, Rejection};

/// A codec of pictures in HEIF, which returns whole pictures.
pub(crate) trait PictureCodec {
    /// Checks all pictures before any is decoded, and returns the size in pixels that each has.
    fn check(file: &HeifFile<'_>, image: &HeifImage) -> Result<(u32, u32), Rejection>;

    /// Decodes a picture of this size and calls `put` with it. `nclx`: the container's description of the colors, which
    /// counts more than that of the picture.
    fn decode(
        file: &HeifFile<'_>,
        id: u32,
        size: (u32, u32),
        nclx: Option<Nclx>,
        put: impl FnOnce(&YuvPicture<'_>, Coding) -> Result<(), Rejection>,
    ) -> Result<(), Rejection>;
}

pub(crate) fn decode<C: PictureCodec>(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let file = source.read_whole()?;
    let deadline = source.deadline();
    Ok(guarded(|| decode_file::<C>(&file, target, deadline))?)
}

fn decode_file<C: PictureCodec>(
    file: &[u8],
    target: DecodeTarget,
    deadline: Option<Instant>,
) -> Result<Decoded, Rejection> {
    let file = HeifFile::read(file)?;
    let image = file.primary()?;
    let size = C::check(&file, &image)?;
    let window = image.window(size, target)?;
    let nclx = file.nclx(&image);
    let icc_profile = file.icc_profile(&image).map(<[u8]>::to_vec).or_else(|| profile_of(nclx));
    let Some((alpha, is_premultiplied)) = file.alpha()? else {
        let mut sink = None;
        each::<C>(&file, &image, size, nclx, deadline, |picture, coding, x, y| {
            let begin = || YuvSink::new(window, image.orientation, target, coding);
            sink.get_or_insert_with(begin).put(picture, x, y)
        })?;
        let sink = sink.ok_or_else(|| Rejection::corrupt("no picture"))?;
        return Ok(Decoded { metadata: file.metadata(), ..sink.finish(icc_profile) });
    };
    let alpha_size = C::check(&file, &alpha)?;
    if alpha.window(alpha_size, target)? != window || alpha.orientation != image.orientation {
        return Err(Rejection::Unsupported { feature: "alpha of another size or orientation".to_owned() });
    }
    let mut canvas = AlphaCanvas::new(window, is_premultiplied)?;
    each::<C>(&file, &image, size, nclx, deadline, |picture, coding, x, y| {
        canvas.put_colours(picture, coding, x, y);
        Ok(())
    })?;
    let full_range = Nclx { primaries: 2, transfer: 2, matrix: 2, full_range: true };
    each::<C>(&file, &alpha, alpha_size, Some(full_range), deadline, |picture, _, x, y| {
        canvas.put_alpha(picture, x, y);
        Ok(())
    })?;
    Ok(Decoded { metadata: file.metadata(), ..canvas.finish(image.orientation, target, icc_profile) })
}

/// Decodes each picture and calls `put` with it, its coding and its position.
fn each<C: PictureCodec>(
    file: &HeifFile<'_>,
    image: &HeifImage,
    size: (u32, u32),
    nclx: Option<Nclx>,
    deadline: Option<Instant>,
    mut put: impl FnMut(&YuvPicture<'_>, Coding, u32, u32) -> Result<(), Rejection>,
) -> Result<(), Rejection> {
    let columns = image.grid.map_or(1, |grid| grid.columns);
    for (index, &id) in (0..).zip(&image.tiles) {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Rejection::DeadlineExceeded);
        }
        let (x, y) = (index % columns * size.0, index / columns * size.1);
        C::decode(file, id, size, nclx, |picture, coding| put(picture, coding, x, y))?;
    }
    Ok(())
}
