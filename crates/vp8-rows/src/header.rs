//! The header of a key frame (RFC 6386, sections 9 and 19.2).

use crate::bools::Bools;
use crate::error::{Error, Result};
use crate::tables::{AC_FACTORS, DC_FACTORS, DEFAULT_PROBABILITIES, Probabilities, UPDATE_PROBABILITIES};

const SEGMENTS: usize = 4;

/// What is known before the first macroblock.
pub(crate) struct Frame<'a> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// What every macroblock's segment is read with, where that is in the data.
    pub(crate) segment_map: Option<[u8; 3]>,
    pub(crate) segments: [Segment; SEGMENTS],
    /// The loop filter is the one for luminance only.
    pub(crate) simple_filter: bool,
    /// How likely it is that a macroblock has coefficients, where that is in the data.
    pub(crate) skip: Option<u8>,
    pub(crate) coefficients: Box<Positions>,
    /// Where modes are read from.
    pub(crate) modes: Bools<'a>,
    /// Where coefficients are read from: row after row from the next, again from the first.
    pub(crate) partitions: Vec<Bools<'a>>,
}

/// By kind of block and position of the coefficient; the bands that the format has are spelled out.
pub(crate) type Positions = [[Position; 16]; 4];

/// What is known of a coefficient before it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Probabilities by context and node.
    pub(crate) nodes: [[u8; 11]; 3],
    /// In the order of the data, and by rows of the block.
    pub(crate) index: u8,
    pub(crate) place: u8,
}

/// The band of each position (section 13.3).
const BANDS: [usize; 16] = [0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7];

/// Where each coefficient in the order of the data is in its block (section 13).
const ZIGZAG: [u8; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// What macroblocks of a segment have in common.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Segment {
    /// What coefficients are multiplied by, the DC ones and the others.
    pub(crate) luminance: [i32; 2],
    pub(crate) second: [i32; 2],
    pub(crate) chrominance: [i32; 2],
    /// The filter where a macroblock is predicted whole, and where in its subblocks.
    pub(crate) filters: [Strength; 2],
}

/// The loop filter's thresholds (section 15.4), none of which is 0 where there is a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strength {
    /// Of an edge between subblocks; 4 more between macroblocks; 0 for no filter.
    pub(crate) edge: u8,
    pub(crate) interior: u8,
    pub(crate) variance: u8,
}

/// The size and the length of the first partition, of the ten bytes that are not coded.
pub(crate) fn start(chunk: &[u8]) -> Result<(usize, usize, usize)> {
    let bytes = chunk.first_chunk::<10>().ok_or(Error::Truncated)?;
    let tag = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    if tag & 1 == 1 {
        return Err(Error::Corrupt("not a key frame"));
    }
    if bytes[3..6] != [0x9D, 0x01, 0x2A] {
        return Err(Error::Corrupt("no start code"));
    }
    if tag >> 1 & 7 > 3 {
        return Err(Error::Corrupt("an unknown version"));
    }
    if tag >> 4 & 1 == 0 {
        return Err(Error::Unsupported("a frame that is not shown"));
    }
    // The two bits above each say how to stretch the picture, which nobody does.
    let side = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]) & 0x3FFF);
    let (width, height) = (side(6), side(8));
    if width == 0 || height == 0 {
        return Err(Error::Corrupt("a side of no pixels"));
    }
    Ok((width, height, (tag >> 5) as usize))
}

impl<'a> Frame<'a> {
    pub(crate) fn read(chunk: &'a [u8]) -> Result<Self> {
        let (width, height, first) = start(chunk)?;
        let rest = &chunk[10..];
        let (first, rest) = rest.split_at_checked(first).ok_or(Error::Truncated)?;
        let mut bits = Bools::new(first, false)?;
        // Colours are always the same, and samples are always held to their range.
        bits.number(2);
        let segmentation = Segmentation::read(&mut bits);
        let filter = Filter::read(&mut bits);
        if bits.overrun() {
            return Err(Error::Truncated);
        }
        let partitions = partitions(rest, 1 << bits.number(2), chunk.len() % 2 == 1)?;
        let quantisers = Quantisers::read(&mut bits);
        let segments = std::array::from_fn(|index| {
            let (base, level) = (quantisers.base, filter.level);
            let (base, level) = match &segmentation {
                Some(Segmentation { absolute: true, quantisers, levels, .. }) => (quantisers[index], levels[index]),
                Some(Segmentation { quantisers, levels, .. }) => (base + quantisers[index], level + levels[index]),
                None => (base, level),
            };
            quantisers.segment(base, filter.strengths(level))
        });
        // Whether probabilities outlive this frame: no other comes.
        bits.flag();
        let coefficients = positions(&read_probabilities(&mut bits));
        let skip = bits.flag().then(|| bits.number(8) as u8);
        Ok(Self {
            width,
            height,
            segment_map: segmentation.and_then(|segmentation| segmentation.map),
            segments,
            simple_filter: filter.simple,
            skip,
            coefficients,
            modes: bits,
            partitions,
        })
    }
}

/// Section 9.3.
struct Segmentation {
    map: Option<[u8; 3]>,
    /// The numbers replace those of the frame; else they are added.
    absolute: bool,
    quantisers: [i32; SEGMENTS],
    levels: [i32; SEGMENTS],
}

impl Segmentation {
    fn read(bits: &mut Bools<'_>) -> Option<Self> {
        if !bits.flag() {
            return None;
        }
        let (has_map, has_numbers) = (bits.flag(), bits.flag());
        let mut segmentation = Self { map: None, absolute: true, quantisers: [0; SEGMENTS], levels: [0; SEGMENTS] };
        if has_numbers {
            segmentation.absolute = bits.flag();
            segmentation.quantisers = std::array::from_fn(|_| bits.optional(7).unwrap_or(0));
            segmentation.levels = std::array::from_fn(|_| bits.optional(6).unwrap_or(0));
        }
        if has_map {
            segmentation.map = Some(std::array::from_fn(|_| if bits.flag() { bits.number(8) as u8 } else { 255 }));
        }
        Some(segmentation)
    }
}

/// Sections 9.4 and 9.6 of the frame header: the loop filter.
struct Filter {
    simple: bool,
    level: i32,
    sharpness: i32,
    /// Added for any macroblock of a key frame, and for one that is predicted in subblocks.
    deltas: [i32; 2],
}

impl Filter {
    fn read(bits: &mut Bools<'_>) -> Self {
        let simple = bits.flag();
        let level = bits.number(6) as i32;
        let sharpness = bits.number(3) as i32;
        let mut deltas = [0; 2];
        if bits.flag() && bits.flag() {
            // Four by the frame that is predicted from, four by mode; a key frame has the first of each.
            let numbers: [i32; 8] = std::array::from_fn(|_| bits.optional(6).unwrap_or(0));
            deltas = [numbers[0], numbers[4]];
        }
        Self { simple, level, sharpness, deltas }
    }

    /// Section 15.4, of a segment with this level.
    fn strengths(&self, level: i32) -> [Strength; 2] {
        if self.level == 0 {
            return [Strength::default(); 2];
        }
        [self.deltas[0], self.deltas[0] + self.deltas[1]].map(|delta| self.strength(level + delta))
    }

    fn strength(&self, level: i32) -> Strength {
        let level = level.clamp(0, 63);
        if level == 0 {
            return Strength::default();
        }
        let interior = match self.sharpness {
            0 => level,
            1..=4 => (level >> 1).min(9 - self.sharpness),
            _ => (level >> 2).min(9 - self.sharpness),
        };
        let interior = interior.max(1);
        let variance = match level {
            40.. => 2,
            15.. => 1,
            _ => 0,
        };
        Strength { edge: (2 * level + interior) as u8, interior: interior as u8, variance }
    }
}

/// Section 9.6: an index for each kind of coefficient, but for the first relative to that.
struct Quantisers {
    base: i32,
    luminance_dc: i32,
    second: [i32; 2],
    chrominance: [i32; 2],
}

impl Quantisers {
    fn read(bits: &mut Bools<'_>) -> Self {
        let base = bits.number(7) as i32;
        let [luminance_dc, second_dc, second_ac, chrominance_dc, chrominance_ac] =
            std::array::from_fn(|_| bits.optional(4).unwrap_or(0));
        Self { base, luminance_dc, second: [second_dc, second_ac], chrominance: [chrominance_dc, chrominance_ac] }
    }

    /// Section 14.1, of a segment with this index.
    fn segment(&self, base: i32, filters: [Strength; 2]) -> Segment {
        let dc = |delta: i32, most: i32| i32::from(DC_FACTORS[(base + delta).clamp(0, most) as usize]);
        let ac = |delta: i32| i32::from(AC_FACTORS[(base + delta).clamp(0, 127) as usize]);
        Segment {
            luminance: [dc(self.luminance_dc, 127), ac(0)],
            second: [2 * dc(self.second[0], 127), (ac(self.second[1]) * 155 / 100).max(8)],
            // No factor above 132.
            chrominance: [dc(self.chrominance[0], 117), ac(self.chrominance[1])],
            filters,
        }
    }
}

/// Section 13.4.
fn read_probabilities(bits: &mut Bools<'_>) -> Probabilities {
    let mut probabilities = DEFAULT_PROBABILITIES;
    let all = probabilities.as_flattened_mut().as_flattened_mut().as_flattened_mut();
    let updates = UPDATE_PROBABILITIES.as_flattened().as_flattened().as_flattened();
    for (probability, &update) in all.iter_mut().zip(updates) {
        if bits.bit(update) {
            *probability = bits.number(8) as u8;
        }
    }
    probabilities
}

fn positions(probabilities: &Probabilities) -> Box<Positions> {
    let position = |kind: usize, index: usize| Position {
        nodes: probabilities[kind][BANDS[index]],
        index: index as u8,
        place: ZIGZAG[index],
    };
    Box::new(std::array::from_fn(|kind| std::array::from_fn(|index| position(kind, index))))
}

/// Section 9.5: sizes of all partitions but the last, then these.
///
/// Like libwebp, which hardly any picture is looked at without, this takes a partition that is said
/// to be longer than the data for as long as that is, and takes the zero that follows an odd chunk
/// for a part of it.
fn partitions(data: &[u8], count: usize, odd: bool) -> Result<Vec<Bools<'_>>> {
    let (sizes, mut rest) = data.split_at_checked(3 * (count - 1)).ok_or(Error::Truncated)?;
    let mut padded = odd;
    let mut partitions = Vec::with_capacity(count);
    for size in sizes.as_chunks::<3>().0 {
        let size = u32::from_le_bytes([size[0], size[1], size[2], 0]) as usize;
        // One that goes on past the data takes the zero, and leaves none after it.
        padded &= size <= rest.len();
        let (partition, after) = rest.split_at(size.min(rest.len()));
        partitions.push(Bools::new(partition, false)?);
        rest = after;
    }
    if rest.is_empty() && !padded {
        return Err(Error::Truncated);
    }
    partitions.push(Bools::new(rest, padded)?);
    Ok(partitions)
}
