//! Prediction from what is above and to the left (RFC 6386, section 12). It takes samples that the
//! loop filter has not seen.

use crate::modes::{Mode, SubMode};

/// Columns of a work area before those of the macroblock; the last of them is the one to its left.
pub(crate) const MARGIN: usize = 8;

/// A macroblock of luminance with the row above it and four more columns of that, and the column
/// to its left.
pub(crate) type Luminance = [[u8; MARGIN + 24]; 17];

/// The same of one chrominance.
pub(crate) type Chrominance = [[u8; MARGIN + 8]; 9];

/// Which sides of a macroblock are within the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides {
    pub(crate) above: bool,
    pub(crate) left: bool,
}

/// Predicts `SIZE` rows and columns; `ROWS` is one more.
#[inline(always)]
pub(crate) fn whole<const SIZE: usize, const WIDTH: usize, const ROWS: usize>(
    area: &mut [[u8; WIDTH]; ROWS],
    mode: Mode,
    sides: Sides,
) {
    let (above, rows) = area.split_at_mut(1);
    let Some(&above_samples) = above[0][MARGIN..].first_chunk::<SIZE>() else { return };
    match mode {
        Mode::Mean => {
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
        Mode::Down => {
            for row in rows {
                row[MARGIN..MARGIN + SIZE].copy_from_slice(&above_samples);
            }
        }
        Mode::Across => {
            for row in rows {
                let left = row[MARGIN - 1];
                row[MARGIN..MARGIN + SIZE].fill(left);
            }
        }
        Mode::Slope => {
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

/// Predicts the four by four samples from column `x` of all rows but the first.
#[inline(always)]
pub(crate) fn subblock<const WIDTH: usize>(rows: &mut [[u8; WIDTH]], x: usize, mode: SubMode) {
    let [above, r0, r1, r2, r3, ..] = rows else { return };
    let Some(&[corner, a0, a1, a2, a3, a4, a5, a6, a7]) = above[x - 1..].first_chunk::<9>() else { return };
    let [l0, l1, l2, l3] = [r0[x - 1], r1[x - 1], r2[x - 1], r3[x - 1]];
    // From bottom left to top right, both ends twice.
    let edge = [l3, l3, l2, l1, l0, corner, a0, a1, a2, a3, a4, a5, a6, a7, a7, a7];
    let mut means = [0; 16];
    let mut smooth = [0; 16];
    for at in 0..15 {
        // The mean of two, rounded up.
        means[at] = ((u16::from(edge[at]) + u16::from(edge[at + 1]) + 1) >> 1) as u8;
    }
    for at in 1..15 {
        // The weighted mean of three.
        let sum = u16::from(edge[at - 1]) + 2 * u16::from(edge[at]) + u16::from(edge[at + 1]);
        smooth[at] = ((sum + 2) >> 2) as u8;
    }
    let four = |of: &[u8; 16], at: usize| [of[at], of[at + 1], of[at + 2], of[at + 3]];
    let out: [[u8; 4]; 4] = match mode {
        SubMode::Mean => {
            let sum: u16 = [l0, l1, l2, l3, a0, a1, a2, a3].iter().map(|&sample| u16::from(sample)).sum();
            [[((sum + 4) >> 3) as u8; 4]; 4]
        }
        SubMode::Slope => [l0, l1, l2, l3].map(|left| {
            let change = i16::from(left) - i16::from(corner);
            [a0, a1, a2, a3].map(|above| (i16::from(above) + change).clamp(0, 255) as u8)
        }),
        SubMode::Down => [four(&smooth, 6); 4],
        SubMode::Across => [[smooth[4]; 4], [smooth[3]; 4], [smooth[2]; 4], [smooth[1]; 4]],
        SubMode::LeftDown => [four(&smooth, 7), four(&smooth, 8), four(&smooth, 9), four(&smooth, 10)],
        SubMode::RightDown => [four(&smooth, 5), four(&smooth, 4), four(&smooth, 3), four(&smooth, 2)],
        SubMode::RightDownSteep => {
            let [upper, lower] = [four(&means, 5), four(&smooth, 5)];
            [upper, lower, [smooth[4], upper[0], upper[1], upper[2]], [smooth[3], lower[0], lower[1], lower[2]]]
        }
        SubMode::LeftDownSteep => [
            four(&means, 6),
            four(&smooth, 7),
            [means[7], means[8], means[9], smooth[11]],
            [smooth[8], smooth[9], smooth[10], smooth[12]],
        ],
        SubMode::RightDownFlat => [
            [means[4], smooth[5], smooth[6], smooth[7]],
            [means[3], smooth[4], means[4], smooth[5]],
            [means[2], smooth[3], means[3], smooth[4]],
            [means[1], smooth[2], means[2], smooth[3]],
        ],
        SubMode::RightUpFlat => [
            [means[3], smooth[3], means[2], smooth[2]],
            [means[2], smooth[2], means[1], smooth[1]],
            [means[1], smooth[1], l3, l3],
            [l3; 4],
        ],
    };
    for (row, out) in [r0, r1, r2, r3].into_iter().zip(out) {
        row[x..x + 4].copy_from_slice(&out);
    }
}
