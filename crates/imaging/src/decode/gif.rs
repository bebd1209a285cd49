//! The first frame of a GIF on its canvas, reduced row by row during decoding.

use std::io::{self, Read};

use gif::{ColorOutput, DecodingError, MemoryLimit};

use crate::decode::{DecodeTarget, enough_rows};
use crate::exif::Orientation;
use crate::metadata::{MAX_PART, Metadata};
use crate::picture::{Decoded, Model};
use crate::reduce::{Factor, Reducer};
use crate::source::Source;
use crate::{Error, OVERSAMPLE, Rejection};

/// The most zero bytes between blocks that are skipped.
const MAX_ZEROS: u32 = 4096;

/// The first sub-block of the application extension that has XMP.
const XMP_EXTENSION: &[u8] = b"\x0BXMP DataXMP";

pub(crate) fn decode(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Error> {
    let result = decode_inner(source, target);
    result.map_err(|rejection| source.or_io_error(rejection))
}

fn decode_inner(source: &mut Source<'_>, target: DecodeTarget) -> Result<Decoded, Rejection> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.allow_unknown_blocks(true);
    // Rows are read one at a time, so memory does not depend on the frame's size.
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut blocks = BlockReader::new(source);
    let mut decoder = options.read_info(&mut blocks).map_err(explain)?;
    let screen = (u32::from(decoder.width()), u32::from(decoder.height()));

    if screen.0 > 0 && screen.1 > 0 {
        target.check_size(screen.0, screen.1)?;
    }

    let frame = decoder.next_frame_info().map_err(explain)?.ok_or(Rejection::Truncated)?;
    let (left, top) = (u32::from(frame.left), u32::from(frame.top));
    let (frame_width, frame_height) = (u32::from(frame.width), u32::from(frame.height));
    let (transparent, interlaced) = (frame.transparent, frame.interlaced);
    // A frame may not cover the logical screen, which is enlarged if the frame exceeds it.
    let (width, height) = (screen.0.max(left + frame_width), screen.1.max(top + frame_height));
    target.check_size(width, height)?;

    let covers = (frame_width, frame_height) == (width, height);
    let mut channels = if covers && transparent.is_none() { 3 } else { 4 };
    let palette = palette(decoder.palette().map_err(explain)?, transparent, channels);

    let target = target.stored_target((width, height), Orientation::Upright);
    let factor = Factor::leaving(OVERSAMPLE, (width, height), target);
    let mut reducer = Reducer::new(channels, width, height, factor);
    let mut row = vec![0; width as usize * channels];
    let mut indices = vec![0; frame_width as usize];
    let in_order = !interlaced;
    if in_order {
        for _ in 0..top {
            reducer.push(&row);
        }
    } else {
        reducer.expect_scattered();
    }
    let mut truncated = false;
    for y in stored_rows(frame_height, interlaced) {
        if !truncated {
            let read = decoder.fill_buffer(&mut indices);
            match read {
                Ok(true) => {
                    let pixels = row[left as usize * channels..].chunks_exact_mut(channels);
                    for (pixel, &index) in pixels.zip(&indices) {
                        pixel.copy_from_slice(&palette[usize::from(index)][..channels]);
                    }
                }
                Ok(false) | Err(DecodingError::UnexpectedEof) => {
                    // Only in the last pass of an interlaced frame are all rows above there.
                    if interlaced && y % 2 == 0 || !enough_rows(y, frame_height) {
                        return Err(Rejection::Truncated);
                    }
                    truncated = true;
                    // Complete data of too few pixels leaves the rest bare. If the file ends, the last row is repeated.
                    if read.is_ok() && in_order {
                        if channels == 3 {
                            reducer.add_alpha();
                        }
                        channels = 4;
                        row = vec![0; width as usize * channels];
                    }
                }
                Err(error) => return Err(explain(error)),
            }
        }
        if in_order {
            reducer.push(&row);
        } else {
            reducer.scatter(top + y, 0, 1, &row);
        }
    }
    if in_order {
        row.fill(0);
        for _ in top + frame_height..height {
            reducer.push(&row);
        }
    }
    let icc_profile = decoder.icc_profile().map(<[u8]>::to_vec);
    drop(decoder);
    let metadata = blocks.metadata;
    Ok(Decoded {
        width,
        height,
        orientation: Orientation::Upright,
        icc_profile,
        model: if channels == 3 { Model::Rgb } else { Model::Rgba },
        planes: vec![reducer.finish()],
        truncated,
        metadata,
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

/// Passes a GIF to `gif`, without what it does not skip before the first frame: zero bytes where a block should start, and
/// frames without pixels.
struct BlockReader<'a, 'b> {
    source: &'a mut Source<'b>,
    stage: Stage,
    /// The part that is being passed, from `start`.
    part: Vec<u8>,
    start: usize,
    ended: bool,
    /// Zero bytes skipped so far.
    zeros: u32,
    metadata: Metadata,
    /// The XMP packet that is being read.
    packet: Option<Vec<u8>>,
}

/// The next part (GIF89a specification, sections 15 to 23).
enum Stage {
    Header,
    Block,
    SubBlock,
    /// From the first frame on, everything is passed.
    Frame,
}

impl<'a, 'b> BlockReader<'a, 'b> {
    fn new(source: &'a mut Source<'b>) -> Self {
        Self {
            source,
            stage: Stage::Header,
            part: Vec::new(),
            start: 0,
            ended: false,
            zeros: 0,
            metadata: Metadata::default(),
            packet: None,
        }
    }

    /// Reads the next part, at most the header with its color table.
    fn advance(&mut self) -> io::Result<()> {
        match self.stage {
            Stage::Header => {
                self.take(13)?;
                self.take(self.part.get(10).map_or(0, |&packed| table_bytes(packed)))?;
                self.stage = Stage::Block;
            }
            Stage::SubBlock => {
                let size = usize::from(self.byte()?);
                self.take(size)?;
                self.read_xmp();
                if size == 0 {
                    self.stage = Stage::Block;
                }
            }
            Stage::Block => match self.byte()? {
                0 if self.zeros < MAX_ZEROS => {
                    self.zeros += 1;
                    self.part.clear();
                }
                0x21 => {
                    self.byte()?;
                    self.stage = Stage::SubBlock;
                }
                0x2C => {
                    self.take(9)?;
                    if let &[_, _, _, _, _, a, b, c, d, packed] = &self.part[..]
                        && ((a, b) == (0, 0) || (c, d) == (0, 0))
                    {
                        self.skip_data(packed)?;
                    } else {
                        self.stage = Stage::Frame;
                    }
                }
                _ => self.stage = Stage::Frame,
            },
            Stage::Frame => {}
        }
        Ok(())
    }

    /// Reads XMP from a sub-block. The packet is not divided into sub-blocks: their sizes are bytes of it, and what follows
    /// it ends them (Adobe's XMP specification, part 3, section 1.1.2).
    fn read_xmp(&mut self) {
        match &mut self.packet {
            Some(packet) if packet.len() < MAX_PART && self.part != [0] => packet.extend_from_slice(&self.part),
            Some(packet) => {
                self.metadata.add_xmp(packet);
                self.packet = None;
            }
            None if self.part == XMP_EXTENSION => self.packet = Some(Vec::new()),
            None => {}
        }
    }

    /// Skips the color table and the data of a frame.
    fn skip_data(&mut self, packed: u8) -> io::Result<()> {
        self.take(table_bytes(packed) + 1)?;
        while !self.ended {
            self.part.clear();
            match self.byte()? {
                0 => break,
                size => self.take(usize::from(size))?,
            }
        }
        self.part.clear();
        Ok(())
    }

    /// Adds a byte to the part; returns 0 at the end of the file.
    fn byte(&mut self) -> io::Result<u8> {
        self.take(1)?;
        Ok(if self.ended { 0 } else { self.part[self.part.len() - 1] })
    }

    /// Adds `count` bytes to the part, fewer at the end of the file.
    fn take(&mut self, count: usize) -> io::Result<()> {
        let read = (&mut *self.source).take(count as u64).read_to_end(&mut self.part)?;
        self.ended |= read < count;
        Ok(())
    }
}

/// Size of the color table by the packed fields of its descriptor.
fn table_bytes(packed: u8) -> usize {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}

impl Read for BlockReader<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.start == self.part.len() {
            if matches!(self.stage, Stage::Frame) {
                return self.source.read(out);
            }
            if self.ended {
                return Ok(0);
            }
            self.part.clear();
            self.start = 0;
            self.advance()?;
        }
        let part = &self.part[self.start..];
        let count = part.len().min(out.len());
        out[..count].copy_from_slice(&part[..count]);
        self.start += count;
        Ok(count)
    }
}

fn explain(error: DecodingError) -> Rejection {
    match error {
        DecodingError::UnexpectedEof => Rejection::Truncated,
        DecodingError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => Rejection::Truncated,
        other => Rejection::corrupt(other),
    }
}
