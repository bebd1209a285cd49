//! How macroblocks are predicted (RFC 6386, section 11).

use crate::bools::Bools;
use crate::tables::SUBBLOCK_MODES;

/// Prediction of a whole macroblock, of either kind of samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The mean of what is above and to the left.
    #[default]
    Mean,
    Down,
    Across,
    /// "True motion": what is above, changed as the column to the left changes.
    Slope,
}

/// Prediction of a subblock, in the order of the table of probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SubMode {
    #[default]
    Mean,
    Slope,
    Down,
    Across,
    LeftDown,
    RightDown,
    RightDownSteep,
    LeftDownSteep,
    RightDownFlat,
    RightUpFlat,
}

/// How one macroblock is predicted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Modes {
    pub(crate) segment: u8,
    /// No coefficients follow.
    pub(crate) skipped: bool,
    /// None where subblocks are predicted one by one.
    pub(crate) luminance: Option<Mode>,
    pub(crate) subblocks: [SubMode; 16],
    pub(crate) chrominance: Mode,
}

impl Modes {
    /// Reads what is said of a macroblock. `above` and `left` are the modes of the subblocks there,
    /// and become those of this one's last row and column.
    #[inline(always)]
    pub(crate) fn read(
        bits: &mut Bools<'_>,
        segment_map: Option<[u8; 3]>,
        skip: Option<u8>,
        above: &mut [SubMode; 4],
        left: &mut [SubMode; 4],
    ) -> Self {
        let mut modes = Self::default();
        if let Some([first, low, high]) = segment_map {
            modes.segment = if bits.bit(first) { 2 + u8::from(bits.bit(high)) } else { u8::from(bits.bit(low)) };
        }
        modes.skipped = skip.is_some_and(|skip| bits.bit(skip));
        if bits.bit(145) {
            let (mode, alike) = if bits.bit(156) {
                if bits.bit(128) { (Mode::Slope, SubMode::Slope) } else { (Mode::Across, SubMode::Across) }
            } else if bits.bit(163) {
                (Mode::Down, SubMode::Down)
            } else {
                (Mode::Mean, SubMode::Mean)
            };
            modes.luminance = Some(mode);
            (*above, *left) = ([alike; 4], [alike; 4]);
        } else {
            for (row, left) in left.iter_mut().enumerate() {
                for (column, above) in above.iter_mut().enumerate() {
                    let mode = submode(bits, &SUBBLOCK_MODES[*above as usize][*left as usize]);
                    modes.subblocks[row * 4 + column] = mode;
                    (*above, *left) = (mode, mode);
                }
            }
        }
        modes.chrominance = if !bits.bit(142) {
            Mode::Mean
        } else if !bits.bit(114) {
            Mode::Down
        } else if bits.bit(183) {
            Mode::Slope
        } else {
            Mode::Across
        };
        modes
    }
}

/// The tree of section 11.2.
#[inline(always)]
fn submode(bits: &mut Bools<'_>, probabilities: &[u8; 9]) -> SubMode {
    let mut bit = |node: usize| bits.bit(probabilities[node]);
    if !bit(0) {
        return SubMode::Mean;
    }
    if !bit(1) {
        return SubMode::Slope;
    }
    if !bit(2) {
        return SubMode::Down;
    }
    if !bit(3) {
        return match bit(4) {
            false => SubMode::Across,
            true if bit(5) => SubMode::RightDownSteep,
            true => SubMode::RightDown,
        };
    }
    if !bit(6) {
        return SubMode::LeftDown;
    }
    if !bit(7) {
        return SubMode::LeftDownSteep;
    }
    if bit(8) { SubMode::RightUpFlat } else { SubMode::RightDownFlat }
}
