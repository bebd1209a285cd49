//! Decodes a frame, a row of macroblocks at a time.

use std::ops::Range;

use pulp::{Arch, NullaryFnOnce};

use crate::coefficients::{self, Coefficients, NonZero, NonZeroContext};
use crate::error::{Error, Result};
use crate::filter::{self, Edges, FILTER_DELAY, Tile};
use crate::header::FrameHeader;
use crate::modes::{LumaMode, MacroblockHeader, SubblockMode};
use crate::predict::{self, MARGIN, Sides, UvArea, YArea};
use crate::simd::{Scalar, Simd};
use crate::transform::{Block, add_dc, add_idct, add_low_coeffs};
use crate::{Band, Rows};

/// Rows and columns of a macroblock: Y, and U or V.
const Y_SIZE: usize = 16;
const UV_SIZE: usize = 8;

/// Samples outside of the frame, above and to the left (section 12.2).
const ABOVE_BORDER: u8 = 127;
const LEFT_BORDER: u8 = 129;

pub(crate) struct FrameDecoder<'a> {
    frame: FrameHeader<'a>,
    /// Size in macroblocks.
    mb_width: usize,
    mb_height: usize,
    /// Rows of macroblocks decoded so far.
    mb_row: usize,
    /// State of the row above, by macroblock.
    above: Vec<AboveMacroblock>,
    coefficients: Box<Coefficients>,
    area: Box<WorkArea>,
    tiles: Vec<Tile>,
    /// Y, U and V of the last band.
    out: [Vec<u8>; 3],
}

/// The state that the macroblock below depends on.
#[derive(Clone, Copy)]
struct AboveMacroblock {
    modes: [SubblockMode; 4],
    context: NonZeroContext,
    /// The last row of samples, before the loop filter.
    y: [u8; Y_SIZE],
    uv: [[u8; UV_SIZE]; 2],
}

/// The macroblock being reconstructed.
struct WorkArea {
    y: YArea,
    uv: [UvArea; 2],
}

impl<'a> FrameDecoder<'a> {
    pub(crate) fn new(chunk: &'a [u8]) -> Result<Self> {
        let frame = FrameHeader::read(chunk)?;
        let (mb_width, mb_height) = (frame.width.div_ceil(Y_SIZE), frame.height.div_ceil(Y_SIZE));
        let above = AboveMacroblock {
            modes: [SubblockMode::Dc; 4],
            context: NonZeroContext::default(),
            y: [ABOVE_BORDER; Y_SIZE],
            uv: [[ABOVE_BORDER; UV_SIZE]; 2],
        };
        let tile = Tile { y: [[0; _]; FILTER_DELAY + Y_SIZE], uv: [[0; _]; FILTER_DELAY / 2 + UV_SIZE] };
        Ok(Self {
            frame,
            mb_width,
            mb_height,
            mb_row: 0,
            above: vec![above; mb_width],
            coefficients: Box::new(Coefficients::new()),
            area: Box::new(WorkArea { y: [[0; _]; 17], uv: [[[0; _]; 9]; 2] }),
            tiles: vec![tile; mb_width],
            out: [Y_SIZE, UV_SIZE, UV_SIZE]
                .map(|size| vec![0; mb_width * size * (size + size * FILTER_DELAY / Y_SIZE)]),
        })
    }

    pub(crate) fn width(&self) -> usize {
        self.frame.width
    }

    pub(crate) fn height(&self) -> usize {
        self.frame.height
    }

    /// Decodes the next row of macroblocks; returns false after the last.
    pub(crate) fn decode_row(&mut self, arch: Arch) -> Result<bool> {
        if self.mb_row == self.mb_height {
            return Ok(false);
        }
        match arch {
            #[cfg(target_arch = "x86_64")]
            Arch::V3(simd) => self.decode_with(simd),
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(simd) => self.decode_with(simd),
            _ => self.decode_with(Scalar),
        }?;
        Ok(true)
    }

    /// The rows of Y that the last row of macroblocks has made final.
    fn range(&self) -> Range<usize> {
        let top = (self.mb_row - 1) * Y_SIZE;
        let end = if self.mb_row == self.mb_height { self.frame.height } else { top + Y_SIZE - FILTER_DELAY };
        top.saturating_sub(FILTER_DELAY)..end
    }

    /// The rows in [`range`](Self::range), which is not empty.
    pub(crate) fn band(&self) -> Band<'_> {
        let range = self.range();
        let rows = |plane: usize, size: usize| {
            let (shift, stride) = (Y_SIZE / size, self.mb_width * size);
            let count = range.end.div_ceil(shift) - range.start / shift;
            Rows { samples: &self.out[plane][..count * stride], stride, width: self.frame.width.div_ceil(shift) }
        };
        Band { first_row: range.start as u32, y: rows(0, Y_SIZE), u: rows(1, UV_SIZE), v: rows(2, UV_SIZE) }
    }
}

impl FrameDecoder<'_> {
    /// Decodes a row of macroblocks. Not itself compiled for a processor's extensions: the steps would be
    /// inlined into one function with too many live values for the registers.
    fn decode_with<S: Simd>(&mut self, simd: S) -> Result<()> {
        let mut left_modes = [SubblockMode::Dc; 4];
        let mut left_context = NonZeroContext::default();
        for column in 0..self.mb_width {
            let modes = simd.run(ReadMacroblock { decoder: self, column, left: (&mut left_modes, &mut left_context) });
            if self.frame.token_partitions[self.mb_row % self.frame.token_partitions.len()].overrun() {
                return Err(Error::Truncated);
            }
            simd.run(Reconstruct { decoder: self, simd, column, modes: &modes });
        }
        if self.frame.first_partition.overrun() {
            return Err(Error::Truncated);
        }
        self.mb_row += 1;
        simd.run(EmitRows { decoder: self });
        Ok(())
    }
}

/// Reads the header and the coefficients of a macroblock.
struct ReadMacroblock<'r, 'a> {
    decoder: &'r mut FrameDecoder<'a>,
    column: usize,
    left: (&'r mut [SubblockMode; 4], &'r mut NonZeroContext),
}

impl NullaryFnOnce for ReadMacroblock<'_, '_> {
    type Output = MacroblockHeader;

    #[inline(always)]
    fn call(self) -> MacroblockHeader {
        let Self { decoder, column, left } = self;
        let FrameDecoder { frame, mb_row, above, coefficients, .. } = decoder;
        let above = &mut above[column];
        let mut bits = frame.first_partition;
        let modes =
            MacroblockHeader::read(&mut bits, frame.segment_probs, frame.prob_skip_false, &mut above.modes, left.0);
        frame.first_partition = bits;
        let segment = &frame.segments[usize::from(modes.segment_id & 3)];
        let has_y2 = modes.luma != LumaMode::B;
        let mut any = false;
        if modes.skip_coeff {
            coefficients::clear(&mut above.context, has_y2);
            coefficients::clear(left.1, has_y2);
        } else {
            let partitions = frame.token_partitions.len();
            let bits = &mut frame.token_partitions[*mb_row % partitions];
            any = coefficients.read(bits, &frame.coeff_positions, segment, has_y2, &mut above.context, left.1);
        }
        MacroblockHeader { skip_coeff: !any, ..modes }
    }
}

/// Predicts, reconstructs and filters a macroblock.
struct Reconstruct<'r, 'a, S> {
    decoder: &'r mut FrameDecoder<'a>,
    simd: S,
    column: usize,
    modes: &'r MacroblockHeader,
}

impl<S: Simd> NullaryFnOnce for Reconstruct<'_, '_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { decoder, simd, column, modes } = self;
        let FrameDecoder { frame, mb_row, above, coefficients, area, tiles, .. } = decoder;
        let after = above.get(column + 1).map(|next| next.y);
        let above = &mut above[column];
        let sides = Sides { above: *mb_row > 0, left: column > 0 };
        area.set_borders(above, after, sides);
        area.reconstruct(simd, modes, sides, coefficients, !modes.skip_coeff);
        let (before, tiles) = tiles.split_at_mut(column);
        let tile = &mut tiles[0];
        if sides.above {
            tile.y.copy_within(Y_SIZE.., 0);
            tile.uv.copy_within(UV_SIZE.., 0);
        }
        area.store(above, tile);
        let params = frame.segments[usize::from(modes.segment_id & 3)].filters[usize::from(modes.luma == LumaMode::B)];
        if params.edge_limit > 0 {
            let inner = !modes.skip_coeff || modes.luma == LumaMode::B;
            let edges = Edges { above: sides.above, inner };
            let left = before.last_mut();
            if frame.simple_filter {
                filter::macroblock::<_, true>(simd, left, tile, params, edges);
            } else {
                filter::macroblock::<_, false>(simd, left, tile, params, edges);
            }
        }
    }
}

/// Copies the final rows of all tiles to the output.
struct EmitRows<'r, 'a> {
    decoder: &'r mut FrameDecoder<'a>,
}

impl NullaryFnOnce for EmitRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let range = self.decoder.range();
        let FrameDecoder { mb_row, mb_width, tiles, out: [y, u, v], .. } = self.decoder;
        // The frame's row that is the first of the tiles.
        let top = ((*mb_row - 1) * Y_SIZE) as isize - FILTER_DELAY as isize;
        let place = |row: usize| (row as isize - top) as usize;
        for (row, out) in range.clone().zip(y.chunks_exact_mut(*mb_width * Y_SIZE)) {
            for (tile, out) in tiles.iter().zip(out.as_chunks_mut::<Y_SIZE>().0) {
                *out = tile.y[place(row)];
            }
        }
        let halves = range.start / 2..range.end.div_ceil(2);
        let rows = u.chunks_exact_mut(*mb_width * UV_SIZE).zip(v.chunks_exact_mut(*mb_width * UV_SIZE));
        for (row, (u, v)) in halves.zip(rows) {
            let place = (row as isize - top / 2) as usize;
            let out = u.as_chunks_mut::<UV_SIZE>().0.iter_mut().zip(v.as_chunks_mut::<UV_SIZE>().0);
            for (tile, (u, v)) in tiles.iter().zip(out) {
                let samples = &tile.uv[place];
                u.copy_from_slice(&samples[..UV_SIZE]);
                v.copy_from_slice(&samples[UV_SIZE..]);
            }
        }
    }
}

impl WorkArea {
    /// Sets the samples that predictions use; the area still holds the macroblock to the left.
    #[inline(always)]
    fn set_borders(&mut self, above: &AboveMacroblock, after: Option<[u8; Y_SIZE]>, sides: Sides) {
        set_borders(&mut self.y, above.y, sides);
        for (area, above) in self.uv.iter_mut().zip(above.uv) {
            set_borders(area, above, sides);
        }
        let [.., last] = above.y;
        let after = after.map_or([last; 4], |[a, b, c, d, ..]| [a, b, c, d]);
        // All subblocks of the last column use the row above the macroblock (section 12.3).
        for row in [0, 4, 8, 12] {
            self.y[row][MARGIN + Y_SIZE..MARGIN + Y_SIZE + 4].copy_from_slice(&after);
        }
    }

    /// Predicts the macroblock and adds the residue (section 14.5), clearing the coefficients.
    #[inline(always)]
    fn reconstruct<S: Simd>(
        &mut self,
        simd: S,
        modes: &MacroblockHeader,
        sides: Sides,
        coefficients: &mut Coefficients,
        any: bool,
    ) {
        // Mask of the blocks whose prediction does not depend on other blocks.
        let mut free = 0xFF_0000;
        if let LumaMode::Whole(mode) = modes.luma {
            predict::predict_macroblock::<Y_SIZE, _, _>(&mut self.y, mode, sides);
            free = 0xFF_FFFF;
        } else {
            for (index, &mode) in modes.subblock_modes.iter().enumerate() {
                let rows = &mut self.y[index / 4 * 4..][..5];
                let x = MARGIN + index % 4 * 4;
                predict::predict_subblock(simd, rows, x, mode);
                if any {
                    let (block, non_zero) = coefficients.block(index);
                    add(simd, block, non_zero, &mut rows[1..], x);
                }
            }
        }
        for area in &mut self.uv {
            predict::predict_macroblock::<UV_SIZE, _, _>(area, modes.chroma, sides);
        }
        if !any {
            return;
        }
        let [u, v] = &mut self.uv;
        for (bits, non_zero) in coefficients.non_zero_masks() {
            let mut bits = bits & free;
            while bits != 0 {
                let index = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let (block, _) = coefficients.block(index);
                if index < 16 {
                    let rows = &mut self.y[1 + index / 4 * 4..][..4];
                    add(simd, block, non_zero, rows, MARGIN + index % 4 * 4);
                } else {
                    let area = if index < 20 { &mut *u } else { &mut *v };
                    let rows = &mut area[1 + index / 2 % 2 * 4..][..4];
                    add(simd, block, non_zero, rows, MARGIN + index % 2 * 4);
                }
            }
        }
    }

    /// Copies the macroblock to its tile, and its last row to `above`.
    #[inline(always)]
    fn store(&self, above: &mut AboveMacroblock, tile: &mut Tile) {
        for (row, out) in self.y[1..].iter().zip(&mut tile.y[FILTER_DELAY..]) {
            out.copy_from_slice(&row[MARGIN..MARGIN + Y_SIZE]);
        }
        let [u, v] = &self.uv;
        for ((u, v), out) in u[1..].iter().zip(&v[1..]).zip(&mut tile.uv[FILTER_DELAY / 2..]) {
            out[..UV_SIZE].copy_from_slice(&u[MARGIN..]);
            out[UV_SIZE..].copy_from_slice(&v[MARGIN..]);
        }
        above.y.copy_from_slice(&self.y[Y_SIZE][MARGIN..MARGIN + Y_SIZE]);
        for (above, area) in above.uv.iter_mut().zip(&self.uv) {
            above.copy_from_slice(&area[UV_SIZE][MARGIN..]);
        }
    }
}

#[inline(always)]
fn set_borders<const N: usize, const WIDTH: usize, const ROWS: usize>(
    area: &mut [[u8; WIDTH]; ROWS],
    above: [u8; N],
    sides: Sides,
) {
    for row in area.iter_mut() {
        row[MARGIN - 1] = if sides.left { row[MARGIN + N - 1] } else { LEFT_BORDER };
    }
    if !sides.above {
        area[0][MARGIN - 1] = ABOVE_BORDER;
    }
    area[0][MARGIN..MARGIN + N].copy_from_slice(&above);
}

/// Adds the residue of a block and clears it.
#[inline(always)]
fn add<S: Simd, const W: usize>(simd: S, block: &mut Block, non_zero: NonZero, rows: &mut [[u8; W]], x: usize) {
    match non_zero {
        NonZero::None => {}
        NonZero::DcOnly => {
            add_dc(simd, block[0], rows, x);
            block[0] = 0;
        }
        NonZero::First3 => {
            add_low_coeffs(block, rows, x);
            *block = [0; 16];
        }
        NonZero::All => {
            add_idct(simd, block, rows, x);
            *block = [0; 16];
        }
    }
}
