//! Coefficients of a macroblock (RFC 6386, sections 13 and 14.1 to 14.3).

use crate::bools::Bools;
use crate::header::{Position, Positions, Segment};
use crate::transform::second_order;

/// Blocks of a macroblock: sixteen of luminance, and four of each chrominance.
pub(crate) const BLOCKS: usize = 24;

/// The bits of blocks of chrominance where each block has one.
const CHROMINANCE_BITS: u32 = 0xFF_0000;

/// Kinds of blocks as the probabilities have them.
const LUMINANCE_AFTER_SECOND: usize = 0;
const SECOND: usize = 1;
const CHROMINANCE: usize = 2;
const LUMINANCE: usize = 3;

/// The row and column of each block at the edges of a macroblock.
const PLACES: [(u8, u8); BLOCKS] = {
    let mut places = [(0, 0); BLOCKS];
    let mut index = 0;
    while index < BLOCKS {
        let at = index as u8;
        places[index] = if at < 16 {
            (at / 4, at % 4)
        } else {
            let plane = 4 + (at - 16) / 4 * 2;
            (plane + at / 2 % 2, plane + at % 2)
        };
        index += 1;
    }
    places
};

/// Probabilities of the further bits of large values.
const CATEGORIES: [&[u8]; 4] = [
    &[173, 148, 140],
    &[176, 155, 140, 135],
    &[180, 157, 141, 134, 130],
    &[254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129],
];

/// A block's coefficients, row by row, multiplied already.
pub(crate) type Block = [i16; 16];

/// How much of a block is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub(crate) enum Extent {
    #[default]
    Nothing,
    /// The first coefficient.
    First,
    /// The first three at most, of luminance.
    Few,
    /// Any.
    Any,
}

/// The coefficients of one macroblock at a time.
pub(crate) struct Residue {
    /// All zero between macroblocks: whoever uses a block clears it.
    blocks: [Block; BLOCKS],
    /// Which are [`Extent::Any`], [`Extent::Few`] and [`Extent::First`], a bit each.
    many: u32,
    few: u32,
    one: u32,
}

/// Which of the blocks at an edge of a macroblock have coefficients: four of luminance, two of each
/// chrominance, and the one of second order, which outlives macroblocks without one.
pub(crate) type Edge = [u8; 9];

/// The edge of a macroblock without coefficients.
#[inline(always)]
pub(crate) fn clear(edge: &mut Edge, has_second: bool) {
    edge[..8].fill(0);
    if has_second {
        edge[8] = 0;
    }
}

impl Residue {
    pub(crate) fn new() -> Self {
        Self { blocks: [[0; 16]; BLOCKS], many: 0, few: 0, one: 0 }
    }

    /// A block and how much of it there is.
    #[inline(always)]
    pub(crate) fn block(&mut self, index: usize) -> (&mut Block, Extent) {
        let bit = 1 << index;
        let extent = match () {
            () if self.many & bit != 0 => Extent::Any,
            () if self.few & bit != 0 => Extent::Few,
            () if self.one & bit != 0 => Extent::First,
            () => Extent::Nothing,
        };
        (&mut self.blocks[index], extent)
    }

    /// Which blocks are how full, a bit each.
    #[inline(always)]
    pub(crate) fn extents(&self) -> [(u32, Extent); 3] {
        [(self.many, Extent::Any), (self.few, Extent::Few), (self.one, Extent::First)]
    }

    /// Reads a macroblock's coefficients and tells whether there are any.
    #[inline(always)]
    pub(crate) fn read(
        &mut self,
        bits: &mut Bools<'_>,
        probabilities: &Positions,
        segment: &Segment,
        has_second: bool,
        above: &mut Edge,
        left: &mut Edge,
    ) -> bool {
        let mut reader = *bits;
        let mut first = 0;
        let mut kind = LUMINANCE;
        if has_second {
            let mut second = [0; 16];
            let context = usize::from(above[8] + left[8]);
            let end = read_block(&mut reader, &probabilities[SECOND], context, 0, segment.second, &mut second);
            above[8] = u8::from(end > 0);
            left[8] = above[8];
            for (block, first) in self.blocks.iter_mut().zip(second_order(&second, end > 1)) {
                block[0] = first;
            }
            (first, kind) = (1, LUMINANCE_AFTER_SECOND);
        }
        let mut factors = segment.luminance;
        let (mut beyond_three, mut beyond_one, mut firsts) = (0, 0, 0);
        for (index, (block, &(row, column))) in self.blocks.iter_mut().zip(&PLACES).enumerate() {
            if index == 16 {
                (first, kind, factors) = (0, CHROMINANCE, segment.chrominance);
            }
            let (above, left) = (&mut above[usize::from(column)], &mut left[usize::from(row)]);
            let context = usize::from(*above + *left);
            let end = read_block(&mut reader, &probabilities[kind], context, first, factors, block);
            let found = u8::from(usize::from(end) > first);
            (*above, *left) = (found, found);
            // Nobody can foresee these.
            beyond_three |= u32::from(end > 3) << index;
            beyond_one |= u32::from(end > 1) << index;
            firsts |= u32::from(block[0] != 0) << index;
        }
        *bits = reader;
        self.many = beyond_three | beyond_one & CHROMINANCE_BITS;
        self.few = beyond_one & !self.many;
        self.one = firsts & !beyond_one;
        beyond_one | firsts != 0
    }
}

/// Reads one block and tells where it ends: one past the place of its last coefficient, or the
/// place of the first to be read if there are none.
#[inline(always)]
fn read_block(
    bits: &mut Bools<'_>,
    positions: &[Position; 16],
    context: usize,
    first: usize,
    factors: [i32; 2],
    out: &mut Block,
) -> u8 {
    let mut rest = positions[first & 1..].iter();
    let mut context = context.min(2);
    while let Some(mut position) = rest.next() {
        let mut nodes = &position.nodes[context];
        if !bits.bit(nodes[0]) {
            return position.index;
        }
        while !bits.bit(nodes[1]) {
            let Some(next) = rest.next() else { return 16 };
            position = next;
            nodes = &position.nodes[0];
        }
        let magnitude = if bits.bit(nodes[2]) {
            context = 2;
            large(bits, nodes)
        } else {
            context = 1;
            1
        };
        let value = bits.signed(magnitude) * factors[usize::from(position.index > 0)];
        out[usize::from(position.place & 15)] = value as i16;
    }
    16
}

/// A value of 2 or more, without its sign (section 13.2).
#[inline(always)]
fn large(bits: &mut Bools<'_>, nodes: &[u8; 11]) -> i32 {
    if !bits.bit(nodes[3]) {
        return match bits.bit(nodes[4]) {
            false => 2,
            true => 3 + i32::from(bits.bit(nodes[5])),
        };
    }
    if !bits.bit(nodes[6]) {
        return match bits.bit(nodes[7]) {
            false => 5 + i32::from(bits.bit(159)),
            true => 7 + 2 * i32::from(bits.bit(165)) + i32::from(bits.bit(145)),
        };
    }
    let category = match bits.bit(nodes[8]) {
        false => usize::from(bits.bit(nodes[9])),
        true => 2 + usize::from(bits.bit(nodes[10])),
    };
    let further = CATEGORIES[category].iter().fold(0, |value, &chance| 2 * value + i32::from(bits.bit(chance)));
    further + 3 + (8 << category)
}
