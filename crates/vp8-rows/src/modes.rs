//! Macroblock headers of key frames (RFC 6386, sections 11 and 19.3).

use crate::bool_decoder::BoolDecoder;
use crate::tables::SUBBLOCK_MODE_PROBS;

/// `DC_PRED`, `V_PRED`, `H_PRED` and `TM_PRED`: prediction of a whole macroblock (sections 12.2 and 12.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PredMode {
    #[default]
    Dc,
    V,
    H,
    Tm,
}

/// Prediction of the luma of a macroblock (section 11.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LumaMode {
    Whole(PredMode),
    /// `B_PRED`: each subblock has a mode.
    B,
}

/// `B_DC_PRED` to `B_HU_PRED`: prediction of a luma subblock, in the order of [`SUBBLOCK_MODE_PROBS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum SubblockMode {
    #[default]
    Dc,
    Tm,
    Ve,
    He,
    Ld,
    Rd,
    Vr,
    Vl,
    Hd,
    Hu,
}

/// The header of one macroblock (section 19.3).
#[derive(Clone, Copy, Debug)]
pub(crate) struct MacroblockHeader {
    pub(crate) segment_id: u8,
    /// `mb_skip_coeff` (section 11.1): no coefficients follow.
    pub(crate) skip_coeff: bool,
    pub(crate) luma: LumaMode,
    pub(crate) subblock_modes: [SubblockMode; 16],
    pub(crate) chroma: PredMode,
}

impl MacroblockHeader {
    /// Reads a header. `above` and `left` are the modes of the neighboring subblocks (section 11.3), and
    /// are replaced by those of this macroblock's last row and column.
    #[inline(always)]
    pub(crate) fn read(
        bits: &mut BoolDecoder<'_>,
        segment_probs: Option<[u8; 3]>,
        prob_skip_false: Option<u8>,
        above: &mut [SubblockMode; 4],
        left: &mut [SubblockMode; 4],
    ) -> Self {
        let mut header = Self {
            segment_id: 0,
            skip_coeff: false,
            luma: LumaMode::B,
            subblock_modes: [SubblockMode::Dc; 16],
            chroma: PredMode::Dc,
        };
        if let Some([first, low, high]) = segment_probs {
            header.segment_id =
                if bits.read_bool(first) { 2 + u8::from(bits.read_bool(high)) } else { u8::from(bits.read_bool(low)) };
        }
        header.skip_coeff = prob_skip_false.is_some_and(|prob_skip_false| bits.read_bool(prob_skip_false));
        if bits.read_bool(145) {
            let (mode, alike) = if bits.read_bool(156) {
                if bits.read_bool(128) { (PredMode::Tm, SubblockMode::Tm) } else { (PredMode::H, SubblockMode::He) }
            } else if bits.read_bool(163) {
                (PredMode::V, SubblockMode::Ve)
            } else {
                (PredMode::Dc, SubblockMode::Dc)
            };
            header.luma = LumaMode::Whole(mode);
            (*above, *left) = ([alike; 4], [alike; 4]);
        } else {
            for (row, left) in left.iter_mut().enumerate() {
                for (column, above) in above.iter_mut().enumerate() {
                    let mode = read_subblock_mode(bits, &SUBBLOCK_MODE_PROBS[*above as usize][*left as usize]);
                    header.subblock_modes[row * 4 + column] = mode;
                    (*above, *left) = (mode, mode);
                }
            }
        }
        header.chroma = if !bits.read_bool(142) {
            PredMode::Dc
        } else if !bits.read_bool(114) {
            PredMode::V
        } else if bits.read_bool(183) {
            PredMode::Tm
        } else {
            PredMode::H
        };
        header
    }
}

/// Reads `bmode_tree` (section 11.2).
#[inline(always)]
fn read_subblock_mode(bits: &mut BoolDecoder<'_>, probs: &[u8; 9]) -> SubblockMode {
    let mut bit = |node: usize| bits.read_bool(probs[node]);
    if !bit(0) {
        return SubblockMode::Dc;
    }
    if !bit(1) {
        return SubblockMode::Tm;
    }
    if !bit(2) {
        return SubblockMode::Ve;
    }
    if !bit(3) {
        return match bit(4) {
            false => SubblockMode::He,
            true if bit(5) => SubblockMode::Vr,
            true => SubblockMode::Rd,
        };
    }
    if !bit(6) {
        return SubblockMode::Ld;
    }
    if !bit(7) {
        return SubblockMode::Vl;
    }
    if bit(8) { SubblockMode::Hu } else { SubblockMode::Hd }
}
