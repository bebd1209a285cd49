//! A picture while it is decoded, a row of macroblocks at a time.

use std::ops::Range;

use pulp::{Arch, NullaryFnOnce};

use crate::coefficients::{self, Block, Edge, Extent, Residue};
use crate::error::{Error, Result};
use crate::filter::{self, Edges, Tile, WAITING};
use crate::header::Frame;
use crate::modes::{Modes, SubMode};
use crate::predict::{self, Chrominance, Luminance, MARGIN, Sides};
use crate::simd::{Plain, Simd};
use crate::transform::{add_block, add_few, add_first};
use crate::{Band, Rows};

/// Rows and columns of a macroblock, of luminance and of each chrominance.
const SIZE: usize = 16;
const HALF: usize = 8;

/// What is taken for samples above the picture, and left of it.
const ABOVE: u8 = 127;
const LEFT: u8 = 129;

pub(crate) struct Picture<'a> {
    frame: Frame<'a>,
    /// Macroblocks across and down.
    across: usize,
    down: usize,
    /// Rows of macroblocks that are done.
    done: usize,
    /// By macroblock, of the row above.
    above: Vec<Above>,
    residue: Box<Residue>,
    area: Box<WorkArea>,
    tiles: Vec<Tile>,
    /// The rows of the last band, of luminance and both chrominances.
    out: [Vec<u8>; 3],
}

/// What a macroblock leaves for those below it.
#[derive(Clone, Copy)]
struct Above {
    modes: [SubMode; 4],
    edge: Edge,
    /// Its lowest samples, as the filter has not seen them.
    luminance: [u8; SIZE],
    chrominance: [[u8; HALF]; 2],
}

/// The macroblock that is being put together.
struct WorkArea {
    luminance: Luminance,
    chrominance: [Chrominance; 2],
}

impl<'a> Picture<'a> {
    pub(crate) fn new(chunk: &'a [u8]) -> Result<Self> {
        let frame = Frame::read(chunk)?;
        let (across, down) = (frame.width.div_ceil(SIZE), frame.height.div_ceil(SIZE));
        let above = Above {
            modes: [SubMode::Mean; 4],
            edge: Edge::default(),
            luminance: [ABOVE; SIZE],
            chrominance: [[ABOVE; HALF]; 2],
        };
        let tile = Tile { luminance: [[0; _]; WAITING + SIZE], chrominance: [[0; _]; WAITING / 2 + HALF] };
        Ok(Self {
            frame,
            across,
            down,
            done: 0,
            above: vec![above; across],
            residue: Box::new(Residue::new()),
            area: Box::new(WorkArea { luminance: [[0; _]; 17], chrominance: [[[0; _]; 9]; 2] }),
            tiles: vec![tile; across],
            out: [SIZE, HALF, HALF].map(|size| vec![0; across * size * (size + size * WAITING / SIZE)]),
        })
    }

    pub(crate) fn width(&self) -> usize {
        self.frame.width
    }

    pub(crate) fn height(&self) -> usize {
        self.frame.height
    }

    /// Decodes the next row of macroblocks, unless there is none.
    pub(crate) fn decode_row(&mut self, arch: Arch) -> Result<bool> {
        if self.done == self.down {
            return Ok(false);
        }
        match arch {
            #[cfg(target_arch = "x86_64")]
            Arch::V3(simd) => self.decode_with(simd),
            _ => self.decode_with(Plain),
        }?;
        Ok(true)
    }

    /// The rows that the last row of macroblocks has made final, by number.
    fn range(&self) -> Range<usize> {
        let top = (self.done - 1) * SIZE;
        let end = if self.done == self.down { self.frame.height } else { top + SIZE - WAITING };
        top.saturating_sub(WAITING)..end
    }

    /// These rows, of which there are some.
    pub(crate) fn band(&self) -> Band<'_> {
        let range = self.range();
        let rows = |plane: usize, size: usize| {
            let (shift, stride) = (SIZE / size, self.across * size);
            let count = range.end.div_ceil(shift) - range.start / shift;
            Rows { samples: &self.out[plane][..count * stride], stride, width: self.frame.width.div_ceil(shift) }
        };
        Band { first: range.start as u32, luminance: rows(0, SIZE), blue: rows(1, HALF), red: rows(2, HALF) }
    }
}

impl Picture<'_> {
    /// Decodes a row of macroblocks. Not compiled for any processor in particular: what is called
    /// from here would be one function with it, too large to be kept in registers.
    fn decode_with<S: Simd>(&mut self, simd: S) -> Result<()> {
        let mut left_modes = [SubMode::Mean; 4];
        let mut left_edge = Edge::default();
        for column in 0..self.across {
            let modes = simd.run(Read { picture: self, column, left: (&mut left_modes, &mut left_edge) });
            if self.frame.partitions[self.done % self.frame.partitions.len()].overrun() {
                return Err(Error::Truncated);
            }
            simd.run(Fill { picture: self, simd, column, modes: &modes });
        }
        if self.frame.modes.overrun() {
            return Err(Error::Truncated);
        }
        self.done += 1;
        simd.run(Collect { picture: self });
        Ok(())
    }
}

/// Reads a macroblock.
struct Read<'r, 'a> {
    picture: &'r mut Picture<'a>,
    column: usize,
    left: (&'r mut [SubMode; 4], &'r mut Edge),
}

impl NullaryFnOnce for Read<'_, '_> {
    type Output = Modes;

    #[inline(always)]
    fn call(self) -> Modes {
        let Self { picture, column, left } = self;
        let Picture { frame, done, above, residue, .. } = picture;
        let above = &mut above[column];
        let mut bits = frame.modes;
        let modes = Modes::read(&mut bits, frame.segment_map, frame.skip, &mut above.modes, left.0);
        frame.modes = bits;
        let segment = &frame.segments[usize::from(modes.segment & 3)];
        let has_second = modes.luminance.is_some();
        let mut any = false;
        if modes.skipped {
            coefficients::clear(&mut above.edge, has_second);
            coefficients::clear(left.1, has_second);
        } else {
            let partitions = frame.partitions.len();
            let bits = &mut frame.partitions[*done % partitions];
            any = residue.read(bits, &frame.coefficients, segment, has_second, &mut above.edge, left.1);
        }
        Modes { skipped: !any, ..modes }
    }
}

/// Puts a macroblock together.
struct Fill<'r, 'a, S> {
    picture: &'r mut Picture<'a>,
    simd: S,
    column: usize,
    modes: &'r Modes,
}

impl<S: Simd> NullaryFnOnce for Fill<'_, '_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { picture, simd, column, modes } = self;
        let Picture { frame, done, above, residue, area, tiles, .. } = picture;
        let after = above.get(column + 1).map(|next| next.luminance);
        let above = &mut above[column];
        let sides = Sides { above: *done > 0, left: column > 0 };
        area.surround(above, after, sides);
        area.fill(simd, modes, sides, residue, !modes.skipped);
        let (before, tiles) = tiles.split_at_mut(column);
        let tile = &mut tiles[0];
        if sides.above {
            tile.luminance.copy_within(SIZE.., 0);
            tile.chrominance.copy_within(HALF.., 0);
        }
        area.keep(above, tile);
        let strength = frame.segments[usize::from(modes.segment & 3)].filters[usize::from(modes.luminance.is_none())];
        if strength.edge > 0 {
            let inner = !modes.skipped || modes.luminance.is_none();
            let edges = Edges { above: sides.above, inner };
            let left = before.last_mut();
            if frame.simple_filter {
                filter::macroblock::<_, true>(simd, left, tile, strength, edges);
            } else {
                filter::macroblock::<_, false>(simd, left, tile, strength, edges);
            }
        }
    }
}

/// Makes rows of the tiles, of what is final in them.
struct Collect<'r, 'a> {
    picture: &'r mut Picture<'a>,
}

impl NullaryFnOnce for Collect<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let range = self.picture.range();
        let Picture { done, across, tiles, out: [luminance, blue, red], .. } = self.picture;
        // Where the tiles begin.
        let top = ((*done - 1) * SIZE) as isize - WAITING as isize;
        let place = |row: usize| (row as isize - top) as usize;
        for (row, out) in range.clone().zip(luminance.chunks_exact_mut(*across * SIZE)) {
            for (tile, out) in tiles.iter().zip(out.as_chunks_mut::<SIZE>().0) {
                *out = tile.luminance[place(row)];
            }
        }
        let halves = range.start / 2..range.end.div_ceil(2);
        let rows = blue.chunks_exact_mut(*across * HALF).zip(red.chunks_exact_mut(*across * HALF));
        for (row, (blue, red)) in halves.zip(rows) {
            let place = (row as isize - top / 2) as usize;
            let out = blue.as_chunks_mut::<HALF>().0.iter_mut().zip(red.as_chunks_mut::<HALF>().0);
            for (tile, (blue, red)) in tiles.iter().zip(out) {
                let samples = &tile.chrominance[place];
                blue.copy_from_slice(&samples[..HALF]);
                red.copy_from_slice(&samples[HALF..]);
            }
        }
    }
}

impl WorkArea {
    /// Puts what is predicted from around the macroblock; the area still holds the one to the left.
    #[inline(always)]
    fn surround(&mut self, above: &Above, after: Option<[u8; SIZE]>, sides: Sides) {
        surround(&mut self.luminance, above.luminance, sides);
        for (area, above) in self.chrominance.iter_mut().zip(above.chrominance) {
            surround(area, above, sides);
        }
        let [.., last] = above.luminance;
        let after = after.map_or([last; 4], |[a, b, c, d, ..]| [a, b, c, d]);
        // Subblocks further down have the same beside them: what is really there comes later.
        for row in [0, 4, 8, 12] {
            self.luminance[row][MARGIN + SIZE..MARGIN + SIZE + 4].copy_from_slice(&after);
        }
    }

    /// Predicts the macroblock and adds what it has of its own, which is used up.
    #[inline(always)]
    fn fill<S: Simd>(&mut self, simd: S, modes: &Modes, sides: Sides, residue: &mut Residue, any: bool) {
        // Blocks that need not wait for others, a bit each.
        let mut free = 0xFF_0000;
        if let Some(mode) = modes.luminance {
            predict::whole::<SIZE, _, _>(&mut self.luminance, mode, sides);
            free = 0xFF_FFFF;
        } else {
            for (index, &mode) in modes.subblocks.iter().enumerate() {
                let rows = &mut self.luminance[index / 4 * 4..][..5];
                let x = MARGIN + index % 4 * 4;
                predict::subblock(simd, rows, x, mode);
                if any {
                    let (block, extent) = residue.block(index);
                    add(simd, block, extent, &mut rows[1..], x);
                }
            }
        }
        for area in &mut self.chrominance {
            predict::whole::<HALF, _, _>(area, modes.chrominance, sides);
        }
        if !any {
            return;
        }
        let [blue, red] = &mut self.chrominance;
        for (bits, extent) in residue.extents() {
            let mut bits = bits & free;
            while bits != 0 {
                let index = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let (block, _) = residue.block(index);
                if index < 16 {
                    let rows = &mut self.luminance[1 + index / 4 * 4..][..4];
                    add(simd, block, extent, rows, MARGIN + index % 4 * 4);
                } else {
                    let area = if index < 20 { &mut *blue } else { &mut *red };
                    let rows = &mut area[1 + index / 2 % 2 * 4..][..4];
                    add(simd, block, extent, rows, MARGIN + index % 2 * 4);
                }
            }
        }
    }

    /// Copies the macroblock to its tile, and what those below it are predicted from.
    #[inline(always)]
    fn keep(&self, above: &mut Above, tile: &mut Tile) {
        for (row, out) in self.luminance[1..].iter().zip(&mut tile.luminance[WAITING..]) {
            out.copy_from_slice(&row[MARGIN..MARGIN + SIZE]);
        }
        let [blue, red] = &self.chrominance;
        for ((blue, red), out) in blue[1..].iter().zip(&red[1..]).zip(&mut tile.chrominance[WAITING / 2..]) {
            out[..HALF].copy_from_slice(&blue[MARGIN..]);
            out[HALF..].copy_from_slice(&red[MARGIN..]);
        }
        above.luminance.copy_from_slice(&self.luminance[SIZE][MARGIN..MARGIN + SIZE]);
        for (above, area) in above.chrominance.iter_mut().zip(&self.chrominance) {
            above.copy_from_slice(&area[HALF][MARGIN..]);
        }
    }
}

#[inline(always)]
fn surround<const N: usize, const WIDTH: usize, const ROWS: usize>(
    area: &mut [[u8; WIDTH]; ROWS],
    above: [u8; N],
    sides: Sides,
) {
    for row in area.iter_mut() {
        row[MARGIN - 1] = if sides.left { row[MARGIN + N - 1] } else { LEFT };
    }
    if !sides.above {
        area[0][MARGIN - 1] = ABOVE;
    }
    area[0][MARGIN..MARGIN + N].copy_from_slice(&above);
}

/// Adds a block, if there is anything in it, and leaves it empty.
#[inline(always)]
fn add<S: Simd, const W: usize>(simd: S, block: &mut Block, extent: Extent, rows: &mut [[u8; W]], x: usize) {
    match extent {
        Extent::Nothing => {}
        Extent::First => {
            add_first(simd, block[0], rows, x);
            block[0] = 0;
        }
        Extent::Few => {
            add_few(block, rows, x);
            *block = [0; 16];
        }
        Extent::Any => {
            add_block(simd, block, rows, x);
            *block = [0; 16];
        }
    }
}
