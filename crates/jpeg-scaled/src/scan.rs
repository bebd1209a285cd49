//! What scans of both kinds share: where blocks go, and the walk over them with its restarts.

use std::io::Read;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::header::{Frame, Scan, Tables};
use crate::huffman::{Kind, Table};
use crate::idct::{CORNERS, Group, LANES, OUTSIDE, Pack, Plain, factors, transform};
use crate::input::{Bits, Input};
use crate::{Limits, Picture, Plane};
use pulp::{Arch, NullaryFnOnce};

/// The mean square of quantisers up to which [`Limits::approximate`] may leave out the last bit of
/// coefficients. At 36 the error has a standard deviation of less than half a level at half size.
const FINE: u64 = 36;

/// The picture while it is decoded.
pub(crate) struct Canvas {
    pub(crate) components: Vec<Part>,
    /// MCUs of interleaved scans.
    mcus: (u32, u32),
    pub(crate) limits: Limits,
    memory: usize,
    pub(crate) damaged: u32,
}

/// A component while it is decoded.
pub(crate) struct Part {
    /// Samples a side of a block, 1 to 8.
    pub(crate) size: usize,
    pub(crate) horizontal: u32,
    pub(crate) vertical: u32,
    /// Blocks that hold some of the picture.
    blocks: (u32, u32),
    /// Blocks a row, with those that only fill up MCUs and groups.
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    /// Eighths of a sample of the picture.
    eighths: (u32, u32),
    pub(crate) quantisers: usize,
    /// What coefficients are multiplied by, once the first scan is there.
    pub(crate) factors: Option<[f32; 64]>,
    /// Quantised so finely that the last bit of its coefficients cannot be seen.
    pub(crate) fine: bool,
    /// Progressive only: the last bit of the coefficients was passed over.
    pub(crate) unrefined: bool,
    samples: Vec<u8>,
    /// Sequential only: the group of blocks that is being decoded in each line of blocks of an MCU.
    open: Vec<Open>,
    /// Progressive only: the coefficients of the corner of each block.
    pub(crate) coefficients: Coefficients,
    /// Progressive only: which coefficients of each block are known not to be zero.
    pub(crate) nonzero: Vec<u64>,
}

/// Bytes.
const CACHE_LINE: usize = 64;

/// The coefficients of a component, by groups, and then, in the same memory, its samples: these
/// have half the size, and a row of them is written where no coefficients are that are still needed.
#[derive(Default)]
pub(crate) struct Coefficients {
    /// Room for a row of samples, and the coefficients.
    memory: Vec<u8>,
    /// Where the coefficients begin, on a line of the cache.
    start: usize,
}

impl Coefficients {
    /// Coefficients that are zero, of `rows` rows of blocks whose samples take `row_bytes` bytes.
    pub(crate) fn new(rows: usize, row_bytes: usize) -> Self {
        let mut memory = vec![0; Self::bytes(rows, row_bytes)];
        let address = memory.as_ptr() as usize;
        let start = (address + row_bytes).next_multiple_of(CACHE_LINE) - address;
        memory.truncate(start + 2 * rows * row_bytes);
        Self { memory, start }
    }

    /// What this takes.
    pub(crate) fn bytes(rows: usize, row_bytes: usize) -> usize {
        row_bytes + CACHE_LINE - 1 + 2 * rows * row_bytes
    }

    /// All coefficients, by groups.
    pub(crate) fn groups(&mut self) -> &mut [[i16; LANES]] {
        bytemuck::cast_slice_mut(&mut self.memory[self.start..])
    }

    /// Room for the samples of a row of blocks, and its coefficients. To be called from the first
    /// row to the last.
    fn row(&mut self, row: usize, row_bytes: usize) -> (&mut [u8], &[[i16; LANES]]) {
        let (samples, coefficients) = self.memory.split_at_mut(self.start + 2 * row * row_bytes);
        (&mut samples[row * row_bytes..][..row_bytes], bytemuck::cast_slice(&coefficients[..2 * row_bytes]))
    }
}

/// Neighbouring blocks of one row, until the next group begins.
struct Open {
    /// Number of the group, by rows; none yet if there is no such group.
    number: usize,
    coefficients: Box<OpenGroup>,
}

/// A group with places for what is outside of any corner.
pub(crate) type OpenGroup = [[i16; LANES]; 2 * OUTSIDE];

impl Part {
    /// Samples a row of the plane.
    fn width(&self) -> usize {
        self.stride * self.size
    }

    /// Coefficients of a block that are kept.
    pub(crate) fn area(&self) -> usize {
        self.size * self.size
    }

    /// The number of the group that a block is in.
    #[inline(always)]
    pub(crate) fn number(&self, place: BlockPlace) -> usize {
        place.row * (self.stride / LANES) + place.column / LANES
    }

    /// Bytes of samples that a row of blocks makes.
    pub(crate) fn row_bytes(&self) -> usize {
        self.stride * self.area()
    }

    /// Makes ready for a sequential scan.
    pub(crate) fn open(&mut self) {
        self.samples = vec![0; self.rows * self.row_bytes()];
        let line = || Open { number: usize::MAX, coefficients: Box::new([[0; LANES]; 2 * OUTSIDE]) };
        self.open = (0..self.vertical).map(|_| line()).collect();
    }

    /// The group that a block of a sequential scan is in. It is empty when its first block comes, and
    /// transformed when the first of another does.
    #[inline(always)]
    pub(crate) fn group(&mut self, place: BlockPlace) -> &mut OpenGroup {
        let number = self.number(place);
        if self.open[place.line].number != number {
            self.next_group(place.line, number);
        }
        &mut self.open[place.line].coefficients
    }

    #[inline(never)]
    fn next_group(&mut self, line: usize, number: usize) {
        let (area, row_bytes, groups) = (self.area(), self.row_bytes(), self.stride / LANES);
        let open = &mut self.open[line];
        if let (true, Some(factors)) = (open.number != usize::MAX, &self.factors) {
            let group = &open.coefficients[..area];
            let row = &mut self.samples[open.number / groups * row_bytes..][..row_bytes];
            write_group(row, self.stride, self.size, open.number % groups, group, factors);
        }
        open.coefficients[..area].fill([0; LANES]);
        open.number = number;
    }

    /// Leaves a block of a sequential scan grey.
    fn blank(&mut self, place: BlockPlace) {
        if !self.open.is_empty() {
            for coefficient in self.group(place) {
                coefficient[place.column % LANES] = 0;
            }
        }
    }

    /// Ends a sequential scan.
    pub(crate) fn close(&mut self) {
        for line in 0..self.open.len() {
            self.next_group(line, usize::MAX);
        }
        self.open = Vec::new();
    }
}

/// Transforms a group into its place in the samples of its row of blocks.
fn write_group(row: &mut [u8], stride: usize, size: usize, number: usize, group: &Group, factors: &[f32; 64]) {
    let width = stride * size;
    let out = &mut row[number * LANES * size..];
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => simd.vectorize(Transform { group, factors, size, out, width, packer: simd }),
        other => other.dispatch(Transform { group, factors, size, out, width, packer: Plain }),
    }
}

/// A closure would not be compiled for the processor's extensions: its body ends in a function of
/// its own.
struct Transform<'a, P> {
    group: &'a Group,
    factors: &'a [f32; 64],
    size: usize,
    out: &'a mut [u8],
    width: usize,
    packer: P,
}

impl<P: Pack> NullaryFnOnce for Transform<'_, P> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { group, factors, size, out, width, packer } = self;
        match size {
            1 => transform::<1>(group, factors, out, width, packer),
            2 => transform::<2>(group, factors, out, width, packer),
            3 => transform::<3>(group, factors, out, width, packer),
            4 => transform::<4>(group, factors, out, width, packer),
            5 => transform::<5>(group, factors, out, width, packer),
            6 => transform::<6>(group, factors, out, width, packer),
            7 => transform::<7>(group, factors, out, width, packer),
            _ => transform::<8>(group, factors, out, width, packer),
        }
    }
}

impl Canvas {
    pub(crate) fn new(frame: &Frame, scales: &[u8], limits: &Limits) -> Result<Self> {
        let most =
            |factor: fn(&crate::Component) -> u8| u32::from(frame.components.iter().map(factor).max().unwrap_or(1));
        let (across, down) = (most(|c| c.horizontal), most(|c| c.vertical));
        let mcus = (frame.width.div_ceil(8 * across), frame.height.div_ceil(8 * down));
        let mut canvas = Self { components: Vec::new(), mcus, limits: *limits, memory: 0, damaged: 0 };
        for (component, &scale) in frame.components.iter().zip(scales) {
            assert!((1..=8).contains(&scale), "a scale is 1 to 8 eighths");
            let size = usize::from(scale);
            let (horizontal, vertical) = (u32::from(component.horizontal), u32::from(component.vertical));
            // An eighth of a sample, as a fraction of one, is exact for the usual factors.
            let eighths = |side: u32, factor: u32, most: u32| (side * factor * u32::from(scale)).div_ceil(most);
            let blocks = |side: u32, factor: u32, most: u32| (side * factor).div_ceil(8 * most);
            let stride = ((mcus.0 * horizontal) as usize).next_multiple_of(LANES);
            let rows = (mcus.1 * vertical) as usize;
            if !frame.progressive {
                canvas.reserve(stride * rows * size * size)?;
            }
            canvas.components.push(Part {
                size,
                horizontal,
                vertical,
                blocks: (blocks(frame.width, horizontal, across), blocks(frame.height, vertical, down)),
                stride,
                rows,
                eighths: (eighths(frame.width, horizontal, across), eighths(frame.height, vertical, down)),
                quantisers: usize::from(component.table),
                factors: None,
                fine: false,
                unrefined: false,
                samples: Vec::new(),
                open: Vec::new(),
                coefficients: Coefficients::default(),
                nonzero: Vec::new(),
            });
        }
        assert_eq!(canvas.components.len(), frame.components.len(), "there is a scale for every component");
        Ok(canvas)
    }

    /// Counts memory before it is taken.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<()> {
        self.memory += bytes;
        if self.memory > self.limits.max_memory {
            return Err(Error::Limit("memory for the picture"));
        }
        Ok(())
    }

    /// Whether every component had a scan.
    pub(crate) fn all_seen(&self) -> bool {
        self.components.iter().all(|part| part.factors.is_some())
    }

    /// Takes the quantisers of a component at its first scan, where the standard has them stand.
    pub(crate) fn see(&mut self, index: usize, tables: &Tables) -> Result<bool> {
        let part = &mut self.components[index];
        if part.factors.is_some() {
            return Ok(false);
        }
        let quantisers = tables.quantisers[part.quantisers]
            .as_ref()
            .ok_or(Error::Corrupt("a component without a quantisation table"))?;
        part.factors = Some(factors(quantisers, part.size));
        let corner = &CORNERS[part.size];
        let (sum, count) = (1..64)
            .filter(|&at| corner.inside >> at & 1 == 1)
            .fold((0, 0), |(sum, count), at| (sum + u64::from(quantisers[at]).pow(2), count + 1));
        part.fine = index == 0 && part.size <= 4 && sum <= FINE * count;
        Ok(true)
    }

    /// Ends a progressive picture.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let deadline = self.limits.deadline;
        self.components.iter_mut().for_each(|part| part.nonzero = Vec::new());
        self.components.iter_mut().try_for_each(|part| part.finish(deadline))
    }

    pub(crate) fn into_picture(self) -> Picture {
        let damaged_intervals = self.damaged;
        let planes = self.components.into_iter().map(Part::into_plane).collect();
        Picture { planes, damaged_intervals }
    }
}

impl Part {
    /// Transforms the coefficients of a progressive file.
    fn finish(&mut self, deadline: Option<Instant>) -> Result<()> {
        let mut coefficients = std::mem::take(&mut self.coefficients);
        let mut factors = self.factors.ok_or(Error::Truncated)?;
        let (area, row_bytes, unrefined) = (self.area(), self.row_bytes(), self.unrefined);
        if unrefined {
            factors[1..].iter_mut().for_each(|factor| *factor /= 2.0);
        }
        let mut middle = vec![[0; LANES]; area];
        for row in 0..self.rows {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Error::Deadline);
            }
            let (samples, groups) = coefficients.row(row, row_bytes);
            for (number, group) in groups.chunks_exact(area).enumerate() {
                if !unrefined {
                    write_group(samples, self.stride, self.size, number, group, &factors);
                    continue;
                }
                // Without its last bit, a coefficient is as likely as not one further from zero.
                middle[0] = group[0];
                for (middle, values) in middle.iter_mut().zip(group).skip(1) {
                    *middle = values.map(|value| value.wrapping_mul(2) + value.signum());
                }
                write_group(samples, self.stride, self.size, number, &middle, &factors);
            }
        }
        self.samples = coefficients.memory;
        Ok(())
    }

    fn into_plane(self) -> Plane {
        let (stride, height) = (self.width(), self.eighths.1.div_ceil(8));
        let mut samples = self.samples;
        samples.truncate(stride * height as usize);
        Plane {
            width: self.eighths.0.div_ceil(8),
            height,
            eighths_across: self.eighths.0,
            eighths_down: self.eighths.1,
            stride,
            samples,
        }
    }
}

/// The Huffman tables of a scan, in the order of its components; one may be missing where no
/// coefficient of its kind is coded.
pub(crate) struct ScanTables {
    pub(crate) dc: Vec<Option<Table>>,
    pub(crate) ac: Vec<Option<Table>>,
}

impl ScanTables {
    pub(crate) fn new(tables: &Tables, scan: &Scan, ac_kind: Kind) -> Result<Self> {
        let build = |codes: &[Option<crate::huffman::Code>; 4], index: usize, kind| {
            codes[index].as_ref().map(|code| Table::new(code, kind)).transpose()
        };
        Ok(Self {
            dc: scan.parts.iter().map(|&(_, dc, _)| build(&tables.dc, dc, Kind::Dc)).collect::<Result<_>>()?,
            ac: scan.parts.iter().map(|&(.., ac)| build(&tables.ac, ac, ac_kind)).collect::<Result<_>>()?,
        })
    }
}

/// What a restart sets back.
#[derive(Default)]
pub(crate) struct State {
    /// The last DC coefficient of each component of the scan.
    pub(crate) predictions: [i32; 4],
    /// Blocks still to come in a run of ended bands.
    pub(crate) ended_blocks: u32,
}

/// Where a block is: which component of the scan, and its place among that component's blocks.
#[derive(Clone, Copy)]
pub(crate) struct BlockPlace {
    pub(crate) part: usize,
    pub(crate) component: usize,
    pub(crate) column: usize,
    pub(crate) row: usize,
    /// Which of the rows of its MCU.
    pub(crate) line: usize,
}

/// Walks over all blocks of a scan and gives the marker that ended it, if one was met.
///
/// It is compiled once for every processor and once for those with AVX2 and BMI2, and so is `block`
/// where it can be inlined: same source, same results, a tenth less time.
pub(crate) fn walk<R: Read>(
    canvas: &mut Canvas,
    input: &mut Input<R>,
    interval: u32,
    scan: &Scan,
    block: impl FnMut(&mut Canvas, &mut Bits, &mut Input<R>, &mut State, BlockPlace) -> Result<()>,
) -> Result<Option<u8>> {
    Arch::new().dispatch(
        #[inline(always)]
        || walk_blocks(canvas, input, interval, scan, block),
    )
}

#[inline(always)]
fn walk_blocks<R: Read>(
    canvas: &mut Canvas,
    input: &mut Input<R>,
    interval: u32,
    scan: &Scan,
    mut block: impl FnMut(&mut Canvas, &mut Bits, &mut Input<R>, &mut State, BlockPlace) -> Result<()>,
) -> Result<Option<u8>> {
    // The blocks of an MCU, relative to its first; a lone component has one, whatever its sampling.
    let mut pattern = Vec::new();
    let (across, down) = if let [(component, ..)] = scan.parts[..] {
        pattern.push(Step { part: 0, component, column: 0, line: 0, across: 1, down: 1 });
        canvas.components[component].blocks
    } else {
        for (part, &(component, ..)) in scan.parts.iter().enumerate() {
            let sampled = &canvas.components[component];
            let (across, down) = (sampled.horizontal as usize, sampled.vertical as usize);
            for line in 0..down {
                pattern.extend((0..across).map(|column| Step { part, component, column, line, across, down }));
            }
        }
        canvas.mcus
    };

    let total = across * down;
    let mut bits = Bits::new();
    let mut state = State::default();
    let mut mcu = 0;
    let (mut column, mut row) = (0, 0);
    let mut until_restart = interval;
    while mcu < total {
        if column == 0
            && let Some(deadline) = canvas.limits.deadline
            && Instant::now() >= deadline
        {
            return Err(Error::Deadline);
        }
        let mut result = Ok(());
        for (step, place) in pattern.iter().enumerate() {
            result = block(canvas, &mut bits, input, &mut state, place.at(column, row));
            if result.is_err() {
                for place in &pattern[step..] {
                    let place = place.at(column, row);
                    canvas.components[place.component].blank(place);
                }
                break;
            }
        }
        mcu += 1;
        column += 1;
        if column == across as usize {
            column = 0;
            row += 1;
        }
        if interval == 0 {
            result?;
            continue;
        }
        until_restart -= 1;
        let damaged = match result {
            Ok(()) => bits.overrun(),
            Err(Error::Corrupt(_)) => true,
            Err(error) => return Err(error),
        };
        if until_restart > 0 && !damaged {
            continue;
        }
        // The interval is over, or the rest of it is lost.
        let done = mcu - (interval - until_restart);
        let next = (done + interval).min(total);
        if next == total && !damaged {
            mcu = total;
            continue;
        }
        let resumed = resynchronise(&mut bits, input, done / interval, damaged)?;
        canvas.damaged += resumed.damaged;
        let lost = mcu;
        mcu = (u64::from(resumed.interval) * u64::from(interval)).min(u64::from(total)) as u32;
        for lost in lost..if resumed.ended.is_some() { total } else { mcu } {
            for place in &pattern {
                let place = place.at((lost % across) as usize, (lost / across) as usize);
                canvas.components[place.component].blank(place);
            }
        }
        column = (mcu % across) as usize;
        row = (mcu / across) as usize;
        until_restart = interval;
        state = State::default();
        if resumed.ended.is_some() {
            // Nothing comes after: what is missing stays grey.
            return Ok(resumed.ended);
        }
    }
    if bits.overrun() {
        return Err(bits.end_error());
    }
    // A file without an end-of-image marker may end in its last block.
    bits.skip_to_marker(input).map(|(marker, _)| marker)
}

/// A block of an MCU, relative to its first.
struct Step {
    part: usize,
    component: usize,
    column: usize,
    line: usize,
    /// Blocks of an MCU.
    across: usize,
    down: usize,
}

impl Step {
    #[inline(always)]
    fn at(&self, column: usize, row: usize) -> BlockPlace {
        BlockPlace {
            part: self.part,
            component: self.component,
            column: column * self.across + self.column,
            row: row * self.down + self.line,
            line: self.line,
        }
    }
}

struct Resumed {
    /// The interval that the data after the marker belongs to.
    interval: u32,
    damaged: u32,
    /// The marker, if it was none of a restart and so ends the scan.
    ended: Option<u8>,
}

/// Goes to the restart marker that ends interval `number`, or to the next that can be told to end
/// a later one.
fn resynchronise<R: Read>(bits: &mut Bits, input: &mut Input<R>, number: u32, mut damaged: bool) -> Result<Resumed> {
    loop {
        let (marker, passed) = bits.skip_to_marker(input)?;
        damaged |= passed;
        let Some(code) = marker else {
            return Err(Error::Truncated);
        };
        if !(0xD0..=0xD7).contains(&code) {
            if code == 0xD9 && !damaged {
                return Err(Error::Truncated);
            }
            return Ok(Resumed { interval: number + 1, damaged: 1, ended: Some(code) });
        }
        bits.restart();
        let ahead = (u32::from(code - 0xD0)).wrapping_sub(number) & 7;
        match ahead {
            0 => {
                return Ok(Resumed { interval: number + 1, damaged: u32::from(damaged), ended: None });
            }
            // Some markers were lost, and the intervals that they ended with them.
            1..=4 => {
                return Ok(Resumed { interval: number + 1 + ahead, damaged: 1 + ahead, ended: None });
            }
            // One that was seen before: not what is looked for.
            _ => damaged = true,
        }
    }
}
