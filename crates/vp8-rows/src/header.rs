//! The header of a key frame (RFC 6386, sections 9 and 19.2).

use crate::bool_decoder::BoolDecoder;
use crate::error::{Error, Result};
use crate::tables::{AC_QUANT, COEFF_UPDATE_PROBS, CoeffProbs, DC_QUANT, DEFAULT_COEFF_PROBS};

const SEGMENTS: usize = 4;

/// The frame header (sections 9 and 19.2).
pub(crate) struct FrameHeader<'a> {
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// `mb_segment_tree_probs`, if macroblocks have a segment id (section 9.3).
    pub(crate) segment_probs: Option<[u8; 3]>,
    pub(crate) segments: [Segment; SEGMENTS],
    /// The simple loop filter is used, which filters Y only (section 15.2).
    pub(crate) simple_filter: bool,
    /// `prob_skip_false`, if macroblocks have `mb_skip_coeff` (section 9.11).
    pub(crate) prob_skip_false: Option<u8>,
    pub(crate) coeff_positions: Box<CoeffPositions>,
    /// The rest of the first partition: the macroblock headers.
    pub(crate) first_partition: BoolDecoder<'a>,
    /// The DCT token partitions; rows of macroblocks use them in turn (section 9.5).
    pub(crate) token_partitions: Vec<BoolDecoder<'a>>,
}

/// By block type and position, with the coefficient bands expanded.
pub(crate) type CoeffPositions = [[CoeffPosition; 16]; 4];

/// The parameters for reading the coefficient at one position.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoeffPosition {
    /// Probabilities by context and tree node.
    pub(crate) probs: [[u8; 11]; 3],
    /// Index in the order of the data, and in the rows of the block.
    pub(crate) index: u8,
    pub(crate) zigzag: u8,
}

/// `coeff_bands` (section 13.3).
const COEFF_BANDS: [usize; 16] = [0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7];

/// `zigzag` (section 13): the index in the block of each coefficient of the data.
const ZIGZAG: [u8; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// Parameters of the macroblocks of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Segment {
    /// Dequantization factors: DC, AC (section 14.1).
    pub(crate) y_quant: [i32; 2],
    pub(crate) y2_quant: [i32; 2],
    pub(crate) uv_quant: [i32; 2],
    /// For macroblocks predicted whole, and for `B_PRED`.
    pub(crate) filters: [LoopFilterParams; 2],
}

/// Control parameters of the loop filter (section 15.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoopFilterParams {
    /// Of subblock edges, 4 more for macroblock edges; 0 disables the filter.
    pub(crate) edge_limit: u8,
    pub(crate) interior_limit: u8,
    pub(crate) hev_threshold: u8,
}

/// The uncompressed data chunk (section 9.1).
pub(crate) struct UncompressedHeader {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) first_partition_size: usize,
}

/// Reads the first ten bytes of a key frame (section 9.1).
pub(crate) fn uncompressed_header(chunk: &[u8]) -> Result<UncompressedHeader> {
    let bytes = chunk.first_chunk::<10>().ok_or(Error::Truncated)?;
    let tag = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
    if tag & 1 == 1 {
        return Err(Error::Corrupt("not a key frame"));
    }
    if bytes[3..6] != [0x9D, 0x01, 0x2A] {
        return Err(Error::Corrupt("missing start code"));
    }
    if tag >> 1 & 7 > 3 {
        return Err(Error::Corrupt("unknown version"));
    }
    if tag >> 4 & 1 == 0 {
        return Err(Error::Unsupported("a frame that is not shown"));
    }
    // The two bits above each are the upscaling hint, which decoders ignore.
    let side = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]) & 0x3FFF);
    let (width, height) = (side(6), side(8));
    if width == 0 || height == 0 {
        return Err(Error::Corrupt("the width or height is 0"));
    }
    Ok(UncompressedHeader { width, height, first_partition_size: (tag >> 5) as usize })
}

impl<'a> FrameHeader<'a> {
    pub(crate) fn read(chunk: &'a [u8]) -> Result<Self> {
        let UncompressedHeader { width, height, first_partition_size } = uncompressed_header(chunk)?;
        let rest = &chunk[10..];
        let (first, rest) = rest.split_at_checked(first_partition_size).ok_or(Error::Truncated)?;
        let mut bits = BoolDecoder::new(first, false)?;
        // color_space and clamping_type (section 9.2): neither changes the samples.
        bits.read_literal(2);
        let segmentation = Segmentation::read(&mut bits);
        let filter = LoopFilterHeader::read(&mut bits);
        if bits.overrun() {
            return Err(Error::Truncated);
        }
        let partitions = partitions(rest, 1 << bits.read_literal(2), chunk.len() % 2 == 1)?;
        let quant_indices = QuantIndices::read(&mut bits);
        let segments = std::array::from_fn(|index| {
            let (base, level) = (quant_indices.y_ac_qi, filter.level);
            let (base, level) = match &segmentation {
                Some(Segmentation { absolute: true, quantizer_values, filter_levels, .. }) => {
                    (quantizer_values[index], filter_levels[index])
                }
                Some(Segmentation { quantizer_values, filter_levels, .. }) => {
                    (base + quantizer_values[index], level + filter_levels[index])
                }
                None => (base, level),
            };
            quant_indices.segment(base, filter.params(level))
        });
        // refresh_entropy_probs: no other frame follows.
        bits.read_flag();
        let coeff_positions = coeff_positions(&read_coeff_probs(&mut bits));
        let prob_skip_false = bits.read_flag().then(|| bits.read_literal(8) as u8);
        Ok(Self {
            width,
            height,
            segment_probs: segmentation.and_then(|segmentation| segmentation.tree_probs),
            segments,
            simple_filter: filter.simple,
            prob_skip_false,
            coeff_positions,
            first_partition: bits,
            token_partitions: partitions,
        })
    }
}

/// Segment-based adjustments (section 9.3).
struct Segmentation {
    tree_probs: Option<[u8; 3]>,
    /// Values replace those of the frame; otherwise they are added.
    absolute: bool,
    quantizer_values: [i32; SEGMENTS],
    filter_levels: [i32; SEGMENTS],
}

impl Segmentation {
    fn read(bits: &mut BoolDecoder<'_>) -> Option<Self> {
        if !bits.read_flag() {
            return None;
        }
        let (has_map, has_numbers) = (bits.read_flag(), bits.read_flag());
        let mut segmentation =
            Self { tree_probs: None, absolute: true, quantizer_values: [0; SEGMENTS], filter_levels: [0; SEGMENTS] };
        if has_numbers {
            segmentation.absolute = bits.read_flag();
            segmentation.quantizer_values = std::array::from_fn(|_| bits.read_optional(7).unwrap_or(0));
            segmentation.filter_levels = std::array::from_fn(|_| bits.read_optional(6).unwrap_or(0));
        }
        if has_map {
            segmentation.tree_probs =
                Some(std::array::from_fn(|_| if bits.read_flag() { bits.read_literal(8) as u8 } else { 255 }));
        }
        Some(segmentation)
    }
}

/// Loop filter type and levels (section 9.4).
struct LoopFilterHeader {
    simple: bool,
    level: i32,
    sharpness: i32,
    /// `ref_frame_delta_update` of intra frames, and `mb_mode_delta_update` of `B_PRED`.
    deltas: [i32; 2],
}

impl LoopFilterHeader {
    fn read(bits: &mut BoolDecoder<'_>) -> Self {
        let simple = bits.read_flag();
        let level = bits.read_literal(6) as i32;
        let sharpness = bits.read_literal(3) as i32;
        let mut deltas = [0; 2];
        if bits.read_flag() && bits.read_flag() {
            // Four by reference frame, four by mode; key frames use the first of each.
            let numbers: [i32; 8] = std::array::from_fn(|_| bits.read_optional(6).unwrap_or(0));
            deltas = [numbers[0], numbers[4]];
        }
        Self { simple, level, sharpness, deltas }
    }

    /// The parameters of a segment with this level (section 15.4).
    fn params(&self, level: i32) -> [LoopFilterParams; 2] {
        if self.level == 0 {
            return [LoopFilterParams::default(); 2];
        }
        [self.deltas[0], self.deltas[0] + self.deltas[1]].map(|delta| self.params_of_level(level + delta))
    }

    fn params_of_level(&self, level: i32) -> LoopFilterParams {
        let level = level.clamp(0, 63);
        if level == 0 {
            return LoopFilterParams::default();
        }
        let interior_limit = match self.sharpness {
            0 => level,
            1..=4 => (level >> 1).min(9 - self.sharpness),
            _ => (level >> 2).min(9 - self.sharpness),
        };
        let interior_limit = interior_limit.max(1);
        let hev_threshold = match level {
            40.. => 2,
            15.. => 1,
            _ => 0,
        };
        LoopFilterParams {
            edge_limit: (2 * level + interior_limit) as u8,
            interior_limit: interior_limit as u8,
            hev_threshold,
        }
    }
}

/// Dequantization indices (section 9.6); deltas are relative to `y_ac_qi`.
struct QuantIndices {
    y_ac_qi: i32,
    y_dc_delta: i32,
    y2_dc_delta: i32,
    y2_ac_delta: i32,
    uv_dc_delta: i32,
    uv_ac_delta: i32,
}

impl QuantIndices {
    fn read(bits: &mut BoolDecoder<'_>) -> Self {
        let y_ac_qi = bits.read_literal(7) as i32;
        let [y_dc_delta, y2_dc_delta, y2_ac_delta, uv_dc_delta, uv_ac_delta] =
            std::array::from_fn(|_| bits.read_optional(4).unwrap_or(0));
        Self { y_ac_qi, y_dc_delta, y2_dc_delta, y2_ac_delta, uv_dc_delta, uv_ac_delta }
    }

    /// The factors of a segment with this base index (section 14.1).
    fn segment(&self, base: i32, filters: [LoopFilterParams; 2]) -> Segment {
        let dc = |delta: i32, most: i32| i32::from(DC_QUANT[(base + delta).clamp(0, most) as usize]);
        let ac = |delta: i32| i32::from(AC_QUANT[(base + delta).clamp(0, 127) as usize]);
        Segment {
            y_quant: [dc(self.y_dc_delta, 127), ac(0)],
            y2_quant: [2 * dc(self.y2_dc_delta, 127), (ac(self.y2_ac_delta) * 155 / 100).max(8)],
            // Index 117 has the factor 132, the maximum.
            uv_quant: [dc(self.uv_dc_delta, 117), ac(self.uv_ac_delta)],
            filters,
        }
    }
}

/// Token probability updates (section 13.4).
fn read_coeff_probs(bits: &mut BoolDecoder<'_>) -> CoeffProbs {
    let mut probabilities = DEFAULT_COEFF_PROBS;
    let all = probabilities.as_flattened_mut().as_flattened_mut().as_flattened_mut();
    let updates = COEFF_UPDATE_PROBS.as_flattened().as_flattened().as_flattened();
    for (probability, &update) in all.iter_mut().zip(updates) {
        if bits.read_bool(update) {
            *probability = bits.read_literal(8) as u8;
        }
    }
    probabilities
}

fn coeff_positions(probabilities: &CoeffProbs) -> Box<CoeffPositions> {
    let position = |kind: usize, index: usize| CoeffPosition {
        probs: probabilities[kind][COEFF_BANDS[index]],
        index: index as u8,
        zigzag: ZIGZAG[index],
    };
    Box::new(std::array::from_fn(|kind| std::array::from_fn(|index| position(kind, index))))
}

/// Token partitions (section 9.5): the sizes of all but the last, then their data.
///
/// Like libwebp, the de facto reference, accepts a partition that is longer than the data, and counts
/// the padding byte of a chunk of odd length as data.
fn partitions(data: &[u8], count: usize, odd: bool) -> Result<Vec<BoolDecoder<'_>>> {
    let (sizes, mut rest) = data.split_at_checked(3 * (count - 1)).ok_or(Error::Truncated)?;
    let mut padded = odd;
    let mut partitions = Vec::with_capacity(count);
    for size in sizes.as_chunks::<3>().0 {
        let size = u32::from_le_bytes([size[0], size[1], size[2], 0]) as usize;
        // A partition that reaches past the data includes the padding byte.
        padded &= size <= rest.len();
        let (partition, after) = rest.split_at(size.min(rest.len()));
        partitions.push(BoolDecoder::new(partition, false)?);
        rest = after;
    }
    if rest.is_empty() && !padded {
        return Err(Error::Truncated);
    }
    partitions.push(BoolDecoder::new(rest, padded)?);
    Ok(partitions)
}
