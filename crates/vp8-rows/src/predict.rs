//! Intra prediction (RFC 6386, section 12), from the samples above and to the left before the loop
//! filter.

use crate::modes::{PredMode, SubblockMode};
use crate::simd::Simd;

/// Columns of an area before those of the macroblock; the last one is its left neighbor.
pub(crate) const MARGIN: usize = 8;

/// The Y samples of a macroblock, with the row above (four more columns) and the column to the left.
pub(crate) type YArea = [[u8; MARGIN + 24]; 17];

/// The same for U or V.
pub(crate) type UvArea = [[u8; MARGIN + 8]; 9];

/// Which neighbors of a macroblock are inside the frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    pub(crate) above: bool,
    pub(crate) left: bool,
}

/// Predicts `SIZE` x `SIZE` samples (sections 12.2 and 12.3); `ROWS` is `SIZE + 1`.
#[inline(always)]
pub(crate) fn predict_macroblock<const SIZE: usize, const WIDTH: usize, const ROWS: usize>(
    area: &mut [[u8; WIDTH]; ROWS],
    mode: PredMode,
    sides: Sides,
) {
    let (above, rows) = area.split_at_mut(1);
    let Some(&above_samples) = above[0][MARGIN..].first_chunk::<SIZE>() else { return };
    match mode {
        PredMode::Dc => {
            let sum_above: u32 = above_samples.iter().map(|&sample| u32::from(sample)).sum();
            let sum_left: u32 = rows.iter().map(|row| u32::from(row[MARGIN - 1])).sum();
            let size = SIZE as u32;
            let mean = match (sides.above, sides.left) {
                (true, true) => (sum_above + sum_left + size) / (2 * size),
                (true, false) => (sum_above + size / 2) / size,
                (false, true) => (sum_left + size / 2) / size,
                (false, false) => 128,
            };
            for row in rows {
                row[MARGIN..MARGIN + SIZE].fill(mean as u8);
            }
        }
        PredMode::V => {
            for row in rows {
                row[MARGIN..MARGIN + SIZE].copy_from_slice(&above_samples);
            }
        }
        PredMode::H => {
            for row in rows {
                let left = row[MARGIN - 1];
                row[MARGIN..MARGIN + SIZE].fill(left);
            }
        }
        PredMode::Tm => {
            let corner = i16::from(above[0][MARGIN - 1]);
            for row in rows {
                let change = i16::from(row[MARGIN - 1]) - corner;
                let mut samples = [0; SIZE];
                for column in 0..SIZE {
                    samples[column] = (i16::from(above_samples[column]) + change).clamp(0, 255) as u8;
                }
                row[MARGIN..MARGIN + SIZE].copy_from_slice(&samples);
            }
        }
    }
}

/// Predicts the 4 x 4 samples from column `x` below the first row (section 12.3).
#[inline(always)]
pub(crate) fn predict_subblock<S: Simd, const WIDTH: usize>(
    simd: S,
    rows: &mut [[u8; WIDTH]],
    x: usize,
    mode: SubblockMode,
) {
    let [above, r0, r1, r2, r3, ..] = rows else { return };
    let Some(&above_samples) = above[x..].first_chunk::<8>() else { return };
    let [a0, a1, a2, a3, .., a7] = above_samples;
    let [corner, l0, l1, l2, l3] = [&*above, r0, r1, r2, r3].map(|row| row[x - 1]);
    // The edge from bottom left to top right, both ends repeated.
    let edge = u128::from(u64::from_le_bytes([l3, l3, l2, l1, l0, corner, 0, 0]))
        | u128::from(u64::from_le_bytes(above_samples)) << 48
        | u128::from(a7) << 112;
    let edge = simd.bytes(edge.to_le_bytes());
    let next = simd.shift_lanes(edge);
    let means = simd.array(simd.mean(edge, next));
    // The weighted mean of the samples before, at and after a position; the first has none before.
    let smooth = simd.array(simd.mean_of_three(edge, next, simd.shift_lanes(next)));
    let smooth = |at: usize| smooth[at - 1];
    let means = |at: usize| means[at];
    let four_means = |at: usize| [means(at), means(at + 1), means(at + 2), means(at + 3)];
    let four = |at: usize| [smooth(at), smooth(at + 1), smooth(at + 2), smooth(at + 3)];
    let out: [[u8; 4]; 4] = match mode {
        SubblockMode::Dc => {
            let sum: u16 = [l0, l1, l2, l3, a0, a1, a2, a3].iter().map(|&sample| u16::from(sample)).sum();
            [[((sum + 4) >> 3) as u8; 4]; 4]
        }
        SubblockMode::Tm => [l0, l1, l2, l3].map(|left| {
            let change = i16::from(left) - i16::from(corner);
            [a0, a1, a2, a3].map(|above| (i16::from(above) + change).clamp(0, 255) as u8)
        }),
        SubblockMode::Ve => [four(6); 4],
        SubblockMode::He => [[smooth(4); 4], [smooth(3); 4], [smooth(2); 4], [smooth(1); 4]],
        SubblockMode::Ld => [four(7), four(8), four(9), four(10)],
        SubblockMode::Rd => [four(5), four(4), four(3), four(2)],
        SubblockMode::Vr => {
            let [upper, lower] = [four_means(5), four(5)];
            [upper, lower, [smooth(4), upper[0], upper[1], upper[2]], [smooth(3), lower[0], lower[1], lower[2]]]
        }
        SubblockMode::Vl => [
            four_means(6),
            four(7),
            [means(7), means(8), means(9), smooth(11)],
            [smooth(8), smooth(9), smooth(10), smooth(12)],
        ],
        SubblockMode::Hd => [
            [means(4), smooth(5), smooth(6), smooth(7)],
            [means(3), smooth(4), means(4), smooth(5)],
            [means(2), smooth(3), means(3), smooth(4)],
            [means(1), smooth(2), means(2), smooth(3)],
        ],
        SubblockMode::Hu => [
            [means(3), smooth(3), means(2), smooth(2)],
            [means(2), smooth(2), means(1), smooth(1)],
            [means(1), smooth(1), l3, l3],
            [l3; 4],
        ],
    };
    for (row, out) in [r0, r1, r2, r3].into_iter().zip(out) {
        row[x..x + 4].copy_from_slice(&out);
    }
}
