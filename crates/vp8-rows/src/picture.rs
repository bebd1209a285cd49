//! A picture while it is decoded, a row of macroblocks at a time.

use std::ops::Range;

use pulp::{Arch, NullaryFnOnce};

use crate::coefficients::{self, Edge, Extent, Residue};
use crate::error::{Error, Result};
use crate::filter::{self, Edges, Pair, Place};
use crate::header::{Frame, Strength};
use crate::modes::{Modes, SubMode};
use crate::predict::{self, Chrominance, Luminance, MARGIN, Sides};
use crate::simd::{Plain, Simd};
use crate::transform::{add_block, add_few, add_first};
use crate::{Band, Rows};

/// Rows and columns of a macroblock, of luminance and of each chrominance.
const SIZE: usize = 16;
const HALF: usize = 8;

/// Rows that wait for the next row of macroblocks, whose upper edge the filter changes three of; of
/// luminance so many that all planes end at one place.
const WAITING: usize = 8;

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
    /// By macroblock, of this row.
    filters: Vec<(Strength, bool)>,
    luminance: Plane,
    chrominance: [Plane; 2],
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

/// The rows of a plane that are held: those that waited, then a row of macroblocks.
struct Plane {
    samples: Vec<u8>,
    stride: usize,
    waiting: usize,
}

impl Plane {
    fn new(across: usize, size: usize, waiting: usize) -> Self {
        // Rows should not all meet in one set of a cache.
        let stride = (across * size).next_multiple_of(64) | 64;
        Self { samples: vec![0; stride * (waiting + size)], stride, waiting }
    }

    /// Moves the last rows to where those that wait are.
    fn wait(&mut self) {
        let end = self.samples.len();
        self.samples.copy_within(end - self.waiting * self.stride.., 0);
    }

    /// Some of the rows, by their numbers, where that of the first of the macroblocks is `top`.
    fn rows(&self, width: usize, top: usize, rows: Range<usize>) -> Rows<'_> {
        let at = |row| (self.waiting + row - top) * self.stride;
        Rows { samples: &self.samples[at(rows.start)..at(rows.end)], stride: self.stride, width }
    }

    fn at(&mut self, column: usize) -> Place<'_> {
        Place { at: self.waiting * self.stride + column, stride: self.stride, samples: &mut self.samples }
    }
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
        Ok(Self {
            frame,
            across,
            down,
            done: 0,
            above: vec![above; across],
            residue: Box::new(Residue::new()),
            area: Box::new(WorkArea { luminance: [[0; _]; 17], chrominance: [[[0; _]; 9]; 2] }),
            filters: vec![Default::default(); across],
            luminance: Plane::new(across, SIZE, WAITING),
            chrominance: [0, 1].map(|_| Plane::new(across, HALF, WAITING / 2)),
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
        if self.done > 0 {
            self.luminance.wait();
            self.chrominance.iter_mut().for_each(Plane::wait);
        }
        match arch {
            #[cfg(target_arch = "x86_64")]
            Arch::V3(simd) => simd.vectorize(Row { picture: self, simd }),
            other => other.dispatch(Row { picture: self, simd: Plain }),
        }?;
        self.done += 1;
        Ok(true)
    }

    /// The rows that the last row of macroblocks has made final.
    pub(crate) fn band(&self) -> Band<'_> {
        let top = (self.done - 1) * SIZE;
        let first = top.saturating_sub(WAITING);
        let end = if self.done == self.down { self.frame.height } else { top + SIZE - WAITING };
        let width = self.frame.width;
        let [blue, red] = &self.chrominance;
        Band {
            first: first as u32,
            luminance: self.luminance.rows(width, top, first..end),
            blue: blue.rows(width.div_ceil(2), top / 2, first / 2..end.div_ceil(2)),
            red: red.rows(width.div_ceil(2), top / 2, first / 2..end.div_ceil(2)),
        }
    }
}

/// Decodes a row of macroblocks. Compiled for any processor and for AVX2.
struct Row<'r, 'a, S> {
    picture: &'r mut Picture<'a>,
    simd: S,
}

impl<S: Simd> NullaryFnOnce for Row<'_, '_, S> {
    type Output = Result<()>;

    #[inline(always)]
    fn call(self) -> Result<()> {
        let Self { picture, simd } = self;
        let Picture { frame, across, done, above, residue, area, filters, luminance, chrominance, .. } = picture;
        let partitions = frame.partitions.len();
        let bits = &mut frame.partitions[*done % partitions];
        let mut left_modes = [SubMode::Mean; 4];
        let mut left_edge = Edge::default();
        for column in 0..*across {
            let after = above.get(column + 1).map(|next| next.luminance);
            let above = &mut above[column];
            let modes = Modes::read(&mut frame.modes, frame.segment_map, frame.skip, &mut above.modes, &mut left_modes);
            let segment = &frame.segments[usize::from(modes.segment & 3)];
            let has_second = modes.luminance.is_some();
            let mut any = false;
            if modes.skipped {
                coefficients::clear(&mut above.edge, has_second);
                coefficients::clear(&mut left_edge, has_second);
            } else {
                let coefficients = &frame.coefficients;
                any = residue.read(bits, coefficients, segment, has_second, &mut above.edge, &mut left_edge);
                if bits.overrun() {
                    return Err(Error::Truncated);
                }
            }
            let sides = Sides { above: *done > 0, left: column > 0 };
            area.surround(above, after, sides);
            area.fill(simd, &modes, sides, residue, any);
            area.keep(above, luminance, chrominance, column);
            filters[column] = (segment.filters[usize::from(!has_second)], any || !has_second);
        }
        if frame.modes.overrun() {
            return Err(Error::Truncated);
        }
        let [blue, red] = chrominance;
        for (column, &(strength, inner)) in filters.iter().enumerate() {
            if strength.edge == 0 {
                continue;
            }
            let edges = Edges { left: column > 0, above: *done > 0, inner };
            filter::macroblock(simd, &mut luminance.at(column * SIZE), strength, edges, frame.simple_filter);
            if !frame.simple_filter {
                let mut pair = Pair(blue.at(column * HALF), red.at(column * HALF));
                filter::macroblock(simd, &mut pair, strength, edges, false);
            }
        }
        Ok(())
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
        if let Some(mode) = modes.luminance {
            predict::whole::<SIZE, _, _>(&mut self.luminance, mode, sides);
            if any {
                for index in 0..16 {
                    let rows = &mut self.luminance[1 + index / 4 * 4..][..4];
                    add(simd, residue, index, rows, MARGIN + index % 4 * 4);
                }
            }
        } else {
            for (index, &mode) in modes.subblocks.iter().enumerate() {
                let rows = &mut self.luminance[index / 4 * 4..][..5];
                let x = MARGIN + index % 4 * 4;
                predict::subblock(rows, x, mode);
                if any {
                    add(simd, residue, index, &mut rows[1..], x);
                }
            }
        }
        for (plane, area) in self.chrominance.iter_mut().enumerate() {
            predict::whole::<HALF, _, _>(area, modes.chrominance, sides);
            if any {
                for index in 0..4 {
                    let rows = &mut area[1 + index / 2 * 4..][..4];
                    add(simd, residue, 16 + plane * 4 + index, rows, MARGIN + index % 2 * 4);
                }
            }
        }
    }

    /// Copies the macroblock to where it belongs, and what those below it are predicted from.
    #[inline(always)]
    fn keep(&self, above: &mut Above, luminance: &mut Plane, chrominance: &mut [Plane; 2], column: usize) {
        above.luminance = keep(&self.luminance, luminance, column);
        for ((above, area), plane) in above.chrominance.iter_mut().zip(&self.chrominance).zip(chrominance) {
            *above = keep(area, plane, column);
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
fn add<S: Simd, const WIDTH: usize>(simd: S, residue: &mut Residue, index: usize, rows: &mut [[u8; WIDTH]], x: usize) {
    let block = &mut residue.blocks[index];
    match residue.extents[index] {
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

/// Copies a macroblock to its plane, and gives its last row.
#[inline(always)]
fn keep<const N: usize, const WIDTH: usize, const ROWS: usize>(
    area: &[[u8; WIDTH]; ROWS],
    plane: &mut Plane,
    column: usize,
) -> [u8; N] {
    let start = plane.waiting * plane.stride;
    let mut last = [0; N];
    for (row, out) in area[1..].iter().zip(plane.samples[start..].chunks_exact_mut(plane.stride)) {
        if let (Some(samples), Some(out)) = (row[MARGIN..].first_chunk::<N>(), out[column * N..].first_chunk_mut::<N>())
        {
            *out = *samples;
            last = *samples;
        }
    }
    last
}
