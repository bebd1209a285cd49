//! DCT coefficients of a macroblock: decoding (RFC 6386, section 13) and dequantization (14.1).

use crate::bool_decoder::BoolDecoder;
use crate::header::{CoeffPosition, CoeffPositions, Segment};
use crate::transform::{Block, inverse_wht};

/// Blocks of a macroblock: 16 of Y, 4 of U and 4 of V.
pub(crate) const BLOCKS: usize = 24;

/// The U and V blocks in a mask of one bit a block.
const UV_BITS: u32 = 0xFF_0000;

/// Block types, the first index of the coefficient probabilities (section 13.3).
const Y_AFTER_Y2: usize = 0;
const Y2: usize = 1;
const UV: usize = 2;
const Y_WITH_DC: usize = 3;

/// The index of each block in the left and the above [`NonZeroContext`].
const CONTEXT_OF_BLOCK: [(u8, u8); BLOCKS] = {
    let mut contexts = [(0, 0); BLOCKS];
    let mut index = 0;
    while index < BLOCKS {
        let at = index as u8;
        contexts[index] = if at < 16 {
            (at / 4, at % 4)
        } else {
            let plane = 4 + (at - 16) / 4 * 2;
            (plane + at / 2 % 2, plane + at % 2)
        };
        index += 1;
    }
    contexts
};

/// Probabilities of the extra bits of `dct_cat3` to `dct_cat6` (section 13.2).
const DCT_CAT_PROBS: [&[u8]; 4] = [
    &[173, 148, 140],
    &[176, 155, 140, 135],
    &[180, 157, 141, 134, 130],
    &[254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129],
];

/// Which coefficients of a block may be non-zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub(crate) enum NonZero {
    #[default]
    None,
    /// The DC coefficient.
    DcOnly,
    /// The first three in zigzag order, of Y.
    First3,
    All,
}

/// The dequantized coefficients of the current macroblock.
pub(crate) struct Coefficients {
    /// All zero between macroblocks: the user of a block clears it.
    blocks: [Block; BLOCKS],
    /// Masks of the blocks that are [`NonZero::All`], [`NonZero::First3`] and [`NonZero::DcOnly`].
    all: u32,
    first3: u32,
    dc_only: u32,
}

/// Flags for the blocks at an edge of a macroblock that have coefficients (section 13.3): four of Y, two
/// of U, two of V, and Y2, which macroblocks without Y2 leave unchanged.
pub(crate) type NonZeroContext = [u8; 9];

/// Sets the context of a macroblock without coefficients.
#[inline(always)]
pub(crate) fn clear(context: &mut NonZeroContext, has_y2: bool) {
    context[..8].fill(0);
    if has_y2 {
        context[8] = 0;
    }
}

impl Coefficients {
    pub(crate) fn new() -> Self {
        Self { blocks: [[0; 16]; BLOCKS], all: 0, first3: 0, dc_only: 0 }
    }

    /// A block and its non-zero coefficients.
    #[inline(always)]
    pub(crate) fn block(&mut self, index: usize) -> (&mut Block, NonZero) {
        let bit = 1 << index;
        let non_zero = match () {
            () if self.all & bit != 0 => NonZero::All,
            () if self.first3 & bit != 0 => NonZero::First3,
            () if self.dc_only & bit != 0 => NonZero::DcOnly,
            () => NonZero::None,
        };
        (&mut self.blocks[index], non_zero)
    }

    /// Masks of blocks by their non-zero coefficients.
    #[inline(always)]
    pub(crate) fn non_zero_masks(&self) -> [(u32, NonZero); 3] {
        [(self.all, NonZero::All), (self.first3, NonZero::First3), (self.dc_only, NonZero::DcOnly)]
    }

    /// Reads a macroblock's coefficients; returns true if any is non-zero.
    #[inline(always)]
    pub(crate) fn read(
        &mut self,
        bits: &mut BoolDecoder<'_>,
        positions: &CoeffPositions,
        segment: &Segment,
        has_y2: bool,
        above: &mut NonZeroContext,
        left: &mut NonZeroContext,
    ) -> bool {
        let mut reader = *bits;
        let mut first = 0;
        let mut kind = Y_WITH_DC;
        if has_y2 {
            let mut y2 = [0; 16];
            let context = usize::from(above[8] + left[8]);
            let end = read_block(&mut reader, &positions[Y2], context, 0, segment.y2_quant, &mut y2);
            above[8] = u8::from(end > 0);
            left[8] = above[8];
            for (block, first) in self.blocks.iter_mut().zip(inverse_wht(&y2, end > 1)) {
                block[0] = first;
            }
            (first, kind) = (1, Y_AFTER_Y2);
        }
        let mut quant = segment.y_quant;
        let (mut past_3, mut past_1, mut dc) = (0, 0, 0);
        for (index, (block, &(row, column))) in self.blocks.iter_mut().zip(&CONTEXT_OF_BLOCK).enumerate() {
            if index == 16 {
                (first, kind, quant) = (0, UV, segment.uv_quant);
            }
            let (above, left) = (&mut above[usize::from(column)], &mut left[usize::from(row)]);
            let context = usize::from(*above + *left);
            let end = read_block(&mut reader, &positions[kind], context, first, quant, block);
            let found = u8::from(usize::from(end) > first);
            (*above, *left) = (found, found);
            // These are unpredictable, so avoid branches.
            past_3 |= u32::from(end > 3) << index;
            past_1 |= u32::from(end > 1) << index;
            dc |= u32::from(block[0] != 0) << index;
        }
        *bits = reader;
        self.all = past_3 | past_1 & UV_BITS;
        self.first3 = past_1 & !self.all;
        self.dc_only = dc & !past_1;
        past_1 | dc != 0
    }
}

/// Reads the tokens of one block (section 13.2). Returns the position after its last coefficient, or
/// `first` if it has none.
#[inline(always)]
fn read_block(
    bits: &mut BoolDecoder<'_>,
    positions: &[CoeffPosition; 16],
    context: usize,
    first: usize,
    quant: [i32; 2],
    out: &mut Block,
) -> u8 {
    let mut rest = positions[first & 1..].iter();
    let mut context = context.min(2);
    while let Some(mut position) = rest.next() {
        let mut probs = &position.probs[context];
        if !bits.read_bool(probs[0]) {
            return position.index;
        }
        while !bits.read_bool(probs[1]) {
            let Some(next) = rest.next() else { return 16 };
            position = next;
            probs = &position.probs[0];
        }
        let magnitude = if bits.read_bool(probs[2]) {
            context = 2;
            read_large_value(bits, probs)
        } else {
            context = 1;
            1
        };
        let value = bits.read_sign(magnitude) * quant[usize::from(position.index > 0)];
        out[usize::from(position.zigzag & 15)] = value as i16;
    }
    16
}

/// The magnitude of a value of 2 or more (section 13.2).
#[inline(always)]
fn read_large_value(bits: &mut BoolDecoder<'_>, probs: &[u8; 11]) -> i32 {
    if !bits.read_bool(probs[3]) {
        return match bits.read_bool(probs[4]) {
            false => 2,
            true => 3 + i32::from(bits.read_bool(probs[5])),
        };
    }
    if !bits.read_bool(probs[6]) {
        return match bits.read_bool(probs[7]) {
            false => 5 + i32::from(bits.read_bool(159)),
            true => 7 + 2 * i32::from(bits.read_bool(165)) + i32::from(bits.read_bool(145)),
        };
    }
    let category = match bits.read_bool(probs[8]) {
        false => usize::from(bits.read_bool(probs[9])),
        true => 2 + usize::from(bits.read_bool(probs[10])),
    };
    let further =
        DCT_CAT_PROBS[category].iter().fold(0, |value, &chance| 2 * value + i32::from(bits.read_bool(chance)));
    further + 3 + (8 << category)
}
