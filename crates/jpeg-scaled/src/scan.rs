//! Common parts of sequential and progressive scans: storage, iteration over MCUs, and restarts.

use std::rc::Rc;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::header::{DecoderTables, Frame, Scan, ScanComponent};
use crate::huffman::{HuffmanDecoder, HuffmanSpec, SymbolKind};
use crate::idct::{Group, LANES, LOW_FREQUENCY_BLOCKS, Pack, Scalar, factors, transform};
use crate::input::{EntropyCodedSegment, Input};
use crate::{Image, Limits, Plane, marker, typical};
use pulp::{Arch, NullaryFnOnce};

/// The largest mean square of quantization steps at which [`Limits::approximate`] may skip the last bit of
/// coefficients. At 36 the standard deviation of the error is below half a level at half size.
const FINE: u64 = 36;

/// More than Al can be.
const UNKNOWN_BIT: u8 = 255;

/// The image being decoded.
pub(crate) struct Canvas {
    pub(crate) components: Vec<ScaledComponent>,
    /// Size in MCUs of interleaved scans (section A.2.3).
    mcus: (u32, u32),
    pub(crate) limits: Limits,
    memory: usize,
    pub(crate) damaged: u32,
    /// Rows of the image, from the top, that all scans so far have completely.
    pub(crate) complete_rows: u32,
    height: u32,
}

/// A component being decoded.
pub(crate) struct ScaledComponent {
    /// Samples along a side of a scaled block, 1 to 8.
    pub(crate) size: usize,
    pub(crate) horizontal: u32,
    pub(crate) vertical: u32,
    /// Blocks that cover the image.
    blocks: (u32, u32),
    /// Blocks in a row, including the padding of MCUs and groups.
    pub(crate) stride: usize,
    pub(crate) rows: usize,
    /// Size in eighths of a sample.
    eighths: (u32, u32),
    pub(crate) quantization: usize,
    /// Factors of the coefficients, from the first scan on.
    pub(crate) factors: Option<[f32; 64]>,
    /// The last bit of the coefficients is invisible.
    pub(crate) finely_quantized: bool,
    /// Progressive only: the last bit of the coefficients was skipped.
    pub(crate) last_bit_skipped: bool,
    /// Progressive only: the lowest known bit of each coefficient (Al); [`UNKNOWN_BIT`] before the first scan of it.
    pub(crate) lowest_bits: [u8; 64],
    pub(crate) samples: Vec<u8>,
    /// Progressive only: the used coefficients of each block.
    pub(crate) coefficients: Coefficients,
    /// Progressive only: a mask of the non-zero coefficients of each block.
    pub(crate) nonzero: Vec<u64>,
}

/// Bytes.
const CACHE_LINE: usize = 64;

/// The coefficients of a component by groups, and later, in the same memory, its samples. Samples have
/// half the size, so a row of them never overwrites coefficients that are still needed.
#[derive(Default)]
pub(crate) struct Coefficients {
    /// Room for a row of samples, and the coefficients.
    memory: Vec<u8>,
    /// Offset of the coefficients, aligned to a cache line.
    start: usize,
}

impl Coefficients {
    /// Zero coefficients of `rows` rows of blocks with `row_bytes` bytes of samples each.
    pub(crate) fn new(rows: usize, row_bytes: usize) -> Self {
        let mut memory = vec![0; Self::bytes(rows, row_bytes)];
        let address = memory.as_ptr() as usize;
        let start = (address + row_bytes).next_multiple_of(CACHE_LINE) - address;
        memory.truncate(start + 2 * rows * row_bytes);
        Self { memory, start }
    }

    /// Size of the memory.
    pub(crate) fn bytes(rows: usize, row_bytes: usize) -> usize {
        row_bytes + CACHE_LINE - 1 + 2 * rows * row_bytes
    }

    /// All coefficients, by groups.
    pub(crate) fn groups(&mut self) -> &mut [[i16; LANES]] {
        bytemuck::cast_slice_mut(&mut self.memory[self.start..])
    }

    /// Memory for the samples of a row of blocks, and its coefficients. Must be called from the first row
    /// to the last.
    fn row(&mut self, row: usize, row_bytes: usize) -> (&mut [u8], &[[i16; LANES]]) {
        let (samples, coefficients) = self.memory.split_at_mut(self.start + 2 * row * row_bytes);
        (&mut samples[row * row_bytes..][..row_bytes], bytemuck::cast_slice(&coefficients[..2 * row_bytes]))
    }
}

impl ScaledComponent {
    /// Samples in a row of the plane.
    fn width(&self) -> usize {
        self.stride * self.size
    }

    /// Coefficients kept of a block.
    pub(crate) fn area(&self) -> usize {
        self.size * self.size
    }

    /// The index of the group of a block.
    #[inline(always)]
    pub(crate) fn group_index(&self, place: BlockPosition) -> usize {
        place.row * (self.stride / LANES) + place.column / LANES
    }

    /// Bytes of samples of a row of blocks.
    pub(crate) fn row_bytes(&self) -> usize {
        self.stride * self.area()
    }

    /// Transforms a group of a sequential scan and writes its samples. Must be called for groups of the same row or of later
    /// ones.
    #[inline(never)]
    pub(crate) fn write(&mut self, row: usize, group_index: usize, group: &Group) {
        let row_bytes = self.row_bytes();
        let Some(factors) = &self.factors else {
            return;
        };
        let start = row * row_bytes;
        // Row by row, so that what is zeroed is still in the cache when it is written.
        if self.samples.len() < start + row_bytes {
            self.samples.resize(start + row_bytes, 0);
        }
        let row = &mut self.samples[start..][..row_bytes];
        write_group(row, self.stride, self.size, group_index, group, factors);
    }
}

/// Transforms a group and writes its samples to its row of blocks.
fn write_group(row: &mut [u8], stride: usize, size: usize, group_index: usize, group: &Group, factors: &[f32; 64]) {
    let width = stride * size;
    let out = &mut row[group_index * LANES * size..];
    match Arch::new() {
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => simd.vectorize(Transform { group, factors, size, out, width, packer: simd }),
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(simd) => simd.vectorize(Transform { group, factors, size, out, width, packer: simd }),
        other => other.dispatch(Transform { group, factors, size, out, width, packer: Scalar }),
    }
}

/// Not a closure: the body of a closure would not be compiled for the processor's extensions.
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
        let height = frame.height;
        let mut canvas = Self {
            components: Vec::new(),
            mcus,
            limits: *limits,
            memory: 0,
            damaged: 0,
            complete_rows: height,
            height,
        };
        for (component, &scale) in frame.components.iter().zip(scales) {
            assert!((1..=8).contains(&scale), "a scale is 1 to 8 eighths");
            let size = usize::from(scale);
            let (horizontal, vertical) = (u32::from(component.horizontal), u32::from(component.vertical));
            // Eighths of a sample are exact for the usual sampling factors.
            let eighths = |side: u32, factor: u32, most: u32| (side * factor * u32::from(scale)).div_ceil(most);
            let blocks = |side: u32, factor: u32, most: u32| (side * factor).div_ceil(8 * most);
            let stride = ((mcus.0 * horizontal) as usize).next_multiple_of(LANES);
            let rows = (mcus.1 * vertical) as usize;
            if !frame.progressive {
                canvas.reserve(stride * rows * size * size)?;
            }
            canvas.components.push(ScaledComponent {
                size,
                horizontal,
                vertical,
                blocks: (blocks(frame.width, horizontal, across), blocks(frame.height, vertical, down)),
                stride,
                rows,
                eighths: (eighths(frame.width, horizontal, across), eighths(frame.height, vertical, down)),
                quantization: usize::from(component.table),
                factors: None,
                finely_quantized: false,
                last_bit_skipped: false,
                lowest_bits: [UNKNOWN_BIT; 64],
                samples: Vec::new(),
                coefficients: Coefficients::default(),
                nonzero: Vec::new(),
            });
        }
        assert_eq!(canvas.components.len(), frame.components.len(), "there is a scale for every component");
        Ok(canvas)
    }

    /// Counts memory before it is allocated.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Result<()> {
        self.memory += bytes;
        if self.memory > self.limits.max_memory {
            return Err(Error::Limit("memory for the picture"));
        }
        Ok(())
    }

    /// Returns true if every component had a scan.
    pub(crate) fn all_seen(&self) -> bool {
        self.components.iter().all(|part| part.factors.is_some())
    }

    /// Progressive only: returns true if no later scan can add anything.
    pub(crate) fn all_bits_known(&self) -> bool {
        self.components.iter().all(|part| part.lowest_bits == [0; 64])
    }

    /// Saves the quantization of a component at its first scan (section B.2.4.1). Returns false if it was
    /// saved before.
    pub(crate) fn latch_quantization(&mut self, index: usize, tables: &DecoderTables) -> Result<bool> {
        let part = &mut self.components[index];
        if part.factors.is_some() {
            return Ok(false);
        }
        let quantization = tables.quantization[part.quantization]
            .as_ref()
            .ok_or(Error::Corrupt("a component without a quantisation table"))?;
        part.factors = Some(factors(quantization, part.size));
        let low_frequency = &LOW_FREQUENCY_BLOCKS[part.size];
        let (sum, count) = (1..64)
            .filter(|&at| low_frequency.inside >> at & 1 == 1)
            .fold((0, 0), |(sum, count), at| (sum + u64::from(quantization[at]).pow(2), count + 1));
        part.finely_quantized = index == 0 && part.size <= 4 && sum <= FINE * count;
        Ok(true)
    }

    /// Transforms a progressive image.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let deadline = self.limits.deadline;
        self.components.iter_mut().for_each(|part| part.nonzero = Vec::new());
        self.components.iter_mut().try_for_each(|part| part.finish(deadline))
    }

    /// Missing rows repeat the last complete one.
    pub(crate) fn into_image(self) -> Image {
        let Self { damaged: damaged_intervals, complete_rows, height, .. } = self;
        let most = self.components.iter().map(|part| part.vertical).max().unwrap_or(1);
        let complete = (complete_rows < height).then_some((complete_rows, most));
        let planes = self.components.into_iter().map(|part| part.into_plane(complete)).collect();
        Image { planes, damaged_intervals, complete_rows }
    }
}

impl ScaledComponent {
    /// Transforms the coefficients of a progressive file.
    fn finish(&mut self, deadline: Option<Instant>) -> Result<()> {
        let mut coefficients = std::mem::take(&mut self.coefficients);
        let mut factors = self.factors.ok_or(Error::Truncated)?;
        let (area, row_bytes, last_bit_skipped) = (self.area(), self.row_bytes(), self.last_bit_skipped);
        if last_bit_skipped {
            factors[1..].iter_mut().for_each(|factor| *factor /= 2.0);
        }
        let mut middle = vec![[0; LANES]; area];
        for row in 0..self.rows {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Error::Deadline);
            }
            let (samples, groups) = coefficients.row(row, row_bytes);
            for (group_index, group) in groups.chunks_exact(area).enumerate() {
                if !last_bit_skipped {
                    write_group(samples, self.stride, self.size, group_index, group, &factors);
                    continue;
                }
                // The skipped bit is a 1 in half of the cases, so use the middle.
                middle[0] = group[0];
                for (middle, values) in middle.iter_mut().zip(group).skip(1) {
                    *middle = values.map(|value| value.wrapping_mul(2) + value.signum());
                }
                write_group(samples, self.stride, self.size, group_index, &middle, &factors);
            }
        }
        self.samples = coefficients.memory;
        Ok(())
    }

    /// `complete`: the complete rows of the image, if some are missing, and its largest vertical sampling factor.
    fn into_plane(self, complete: Option<(u32, u32)>) -> Plane {
        let (stride, height) = (self.width(), self.eighths.1.div_ceil(8));
        let mut samples = self.samples;
        samples.truncate(stride * height as usize);
        if let Some((rows, most)) = complete {
            let end = stride * (rows * self.vertical * self.size as u32 / (8 * most)) as usize;
            if let Some(last) = end.checked_sub(stride) {
                for at in (end..samples.len()).step_by(stride) {
                    samples.copy_within(last..end, at);
                }
            }
        }
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

/// The Huffman tables of a scan in the order of its components; `None` if undefined, which is valid if no
/// coefficient of that class is coded. Components may share them.
pub(crate) struct ScanTables {
    pub(crate) dc: Vec<Option<Rc<HuffmanDecoder>>>,
    pub(crate) ac: Vec<Option<Rc<HuffmanDecoder>>>,
}

impl ScanTables {
    pub(crate) fn new(tables: &DecoderTables, scan: &Scan, ac_kind: SymbolKind) -> Result<Self> {
        let build = |codes: &[Option<HuffmanSpec>; 4],
                     typical: &[typical::HuffmanSpec; 2],
                     kind,
                     table: fn(&ScanComponent) -> usize|
         -> Result<_> {
            let mut built = Vec::<Option<Rc<HuffmanDecoder>>>::new();
            for part in &scan.components {
                let index = table(part);
                if let Some(same) = scan.components[..built.len()].iter().position(|other| table(other) == index) {
                    built.push(built[same].clone());
                    continue;
                }
                let spec = match &codes[index] {
                    // Frames of Motion JPEG define no tables.
                    None if ac_kind == SymbolKind::Ac => typical.get(index).map(|&spec| HuffmanSpec::from(spec)),
                    defined => defined.clone(),
                };
                built.push(spec.map(|spec| HuffmanDecoder::new(&spec, kind)).transpose()?);
            }
            Ok(built)
        };
        Ok(Self {
            dc: build(&tables.dc, &typical::DC, SymbolKind::Dc, |part| part.dc_table)?,
            ac: build(&tables.ac, &typical::AC, ac_kind, |part| part.ac_table)?,
        })
    }
}

/// State that a restart resets (section E.2.4).
#[derive(Default)]
pub(crate) struct RestartState {
    /// PRED, the last DC coefficient, of each component of the scan.
    pub(crate) predictions: [i32; 4],
    /// EOBRUN: remaining blocks of an EOB run.
    pub(crate) eob_run: u32,
}

/// Where a scan is in the file.
pub(crate) struct ScanData<'a, 'r> {
    pub(crate) bits: EntropyCodedSegment,
    pub(crate) input: &'a mut Input<'r>,
    pub(crate) state: RestartState,
}

/// A block: its component, and its position among the blocks of that component.
#[derive(Clone, Copy)]
pub(crate) struct BlockPosition {
    pub(crate) scan_index: usize,
    pub(crate) component: usize,
    pub(crate) column: usize,
    pub(crate) row: usize,
}

/// The end of a scan.
pub(crate) struct ScanEnd {
    /// The marker after it, if known; `None` at the end of the file.
    pub(crate) marker: Option<u8>,
    /// Its data ended before its blocks.
    pub(crate) truncated: bool,
}

impl ScanEnd {
    pub(crate) fn at(marker: Option<u8>) -> Self {
        Self { marker, truncated: false }
    }
}

/// MCUs of one row, next to each other.
#[derive(Clone, Copy)]
pub(crate) struct McuRun {
    pub(crate) column: u32,
    pub(crate) row: u32,
    pub(crate) count: u32,
}

/// What a scan does with its MCUs.
pub(crate) trait McuDecoder {
    /// The most MCUs in a run. No run crosses a multiple of it.
    fn most(&self) -> u32 {
        1
    }

    /// Decodes MCUs of a run, from its first one on. Returns how many it has decoded, at least one; with an error, the MCU after
    /// those has it, and there may be none.
    fn decode(&mut self, canvas: &mut Canvas, data: &mut ScanData<'_, '_>, run: McuRun) -> (u32, Result<()>);

    /// Leaves MCUs gray whose data is missing.
    fn blank(&mut self, _canvas: &mut Canvas, _run: McuRun) {}
}

/// Calls `block` for all blocks of a scan, as far as there is data.
pub(crate) fn for_each_block(
    canvas: &mut Canvas,
    input: &mut Input<'_>,
    interval: u32,
    scan: &Scan,
    block: impl FnMut(&mut Canvas, &mut ScanData<'_, '_>, BlockPosition) -> Result<()>,
) -> Result<ScanEnd> {
    let pattern = McuPattern::new(canvas, scan);
    for_each_mcu(canvas, input, interval, &pattern, &mut Blocks { pattern: &pattern, block })
}

struct Blocks<'a, F> {
    pattern: &'a McuPattern,
    block: F,
}

impl<F> McuDecoder for Blocks<'_, F>
where
    F: FnMut(&mut Canvas, &mut ScanData<'_, '_>, BlockPosition) -> Result<()>,
{
    #[inline(always)]
    fn decode(&mut self, canvas: &mut Canvas, data: &mut ScanData<'_, '_>, run: McuRun) -> (u32, Result<()>) {
        for place in &self.pattern.blocks {
            if let Err(error) = (self.block)(canvas, data, place.at(run.column, run.row)) {
                return (0, Err(error));
            }
        }
        (1, Ok(()))
    }
}

/// Decodes all MCUs of a scan, as far as there is data.
///
/// Compiled for every processor, and for AVX2 with BMI2, including an inlined `decoder`: a tenth faster with
/// the same results.
pub(crate) fn for_each_mcu(
    canvas: &mut Canvas,
    input: &mut Input<'_>,
    interval: u32,
    pattern: &McuPattern,
    decoder: &mut impl McuDecoder,
) -> Result<ScanEnd> {
    Arch::new().dispatch(DecodeMcus { canvas, input, interval, pattern, decoder })
}

/// Not a closure: see [`Transform`].
struct DecodeMcus<'a, 'r, D> {
    canvas: &'a mut Canvas,
    input: &'a mut Input<'r>,
    interval: u32,
    pattern: &'a McuPattern,
    decoder: &'a mut D,
}

impl<D: McuDecoder> NullaryFnOnce for DecodeMcus<'_, '_, D> {
    type Output = Result<ScanEnd>;

    #[inline(always)]
    fn call(self) -> Result<ScanEnd> {
        let Self { canvas, input, interval, pattern, decoder } = self;
        decode_mcus(canvas, input, interval, pattern, decoder)
    }
}

#[inline(always)]
fn decode_mcus(
    canvas: &mut Canvas,
    input: &mut Input<'_>,
    interval: u32,
    pattern: &McuPattern,
    decoder: &mut impl McuDecoder,
) -> Result<ScanEnd> {
    let (across, down) = pattern.mcus;
    let total = across * down;
    let mut data = ScanData { bits: EntropyCodedSegment::new(), input, state: RestartState::default() };
    let mut mcu = 0;
    let (mut column, mut row) = (0, 0);
    // Rows of MCUs before the end of the data.
    let mut complete = 0;
    let mut until_restart = interval;
    while mcu < total {
        if column == 0
            && let Some(deadline) = canvas.limits.deadline
            && Instant::now() >= deadline
        {
            return Err(Error::Deadline);
        }
        let most = decoder.most();
        let mut count = (most - column % most).min(across - column);
        if interval > 0 {
            count = count.min(until_restart);
        }
        let (mut count, result) = decoder.decode(canvas, &mut data, McuRun { column, row, count });
        // An MCU with an error counts.
        count += u32::from(result.is_err());
        mcu += count;
        column += count;
        if column == across {
            column = 0;
            row += 1;
            if result.is_ok() && !data.bits.overrun() {
                complete = row;
            }
        }
        if interval == 0 {
            match result {
                Ok(()) => continue,
                Err(Error::Truncated | Error::Corrupt(_)) if data.bits.is_near_end() => {
                    return canvas.end_early(&mut data, pattern, complete);
                }
                Err(error) => return Err(error),
            }
        }
        until_restart -= count;
        let damaged = match result {
            Ok(()) => data.bits.overrun(),
            Err(Error::Corrupt(_) | Error::Truncated) => true,
            Err(error) => return Err(error),
        };
        if until_restart > 0 && !damaged {
            continue;
        }
        // The interval has ended, or the rest of it is damaged.
        let done = mcu - (interval - until_restart);
        let next = (done + interval).min(total);
        if next == total && !damaged {
            mcu = total;
            continue;
        }
        let Some(resumed) = resynchronize(&mut data, done / interval, damaged)? else {
            return canvas.end_early(&mut data, pattern, complete);
        };
        canvas.damaged += resumed.damaged;
        let lost = mcu;
        mcu = (u64::from(resumed.interval) * u64::from(interval)).min(u64::from(total)) as u32;
        for lost in lost..mcu {
            decoder.blank(canvas, McuRun { column: lost % across, row: lost / across, count: 1 });
        }
        column = mcu % across;
        row = mcu / across;
        until_restart = interval;
        data.state = RestartState::default();
    }
    if data.bits.overrun() {
        return canvas.end_early(&mut data, pattern, complete);
    }
    // A file without EOI may end in its last block.
    data.bits.skip_to_marker(data.input).map(ScanEnd::at)
}

impl Canvas {
    /// Records that the data of a scan ended after `complete` rows of MCUs.
    #[cold]
    fn end_early(&mut self, data: &mut ScanData<'_, '_>, pattern: &McuPattern, complete: u32) -> Result<ScanEnd> {
        let rows = complete * 8 * pattern.vertical.0 / pattern.vertical.1;
        self.complete_rows = self.complete_rows.min(rows);
        Ok(ScanEnd { marker: data.bits.skip_to_marker(data.input)?, truncated: true })
    }
}

/// The MCUs of a scan (section A.2).
pub(crate) struct McuPattern {
    /// In a row, and rows.
    mcus: (u32, u32),
    /// Rows of the image in an MCU, as a fraction, in eighths.
    vertical: (u32, u32),
    /// The blocks of an MCU in their order.
    pub(crate) blocks: Vec<McuBlock>,
}

/// A block of an MCU, relative to the first.
#[derive(Clone, Copy)]
pub(crate) struct McuBlock {
    pub(crate) scan_index: usize,
    pub(crate) component: usize,
    pub(crate) column: usize,
    pub(crate) line: usize,
    /// Blocks of an MCU.
    pub(crate) across: usize,
    pub(crate) down: usize,
}

impl McuPattern {
    pub(crate) fn new(canvas: &Canvas, scan: &Scan) -> Self {
        let most = canvas.components.iter().map(|part| part.vertical).max().unwrap_or(1);
        // An MCU of a single component is one block (section A.2.2).
        if let [ScanComponent { component, .. }] = scan.components[..] {
            let part = &canvas.components[component];
            let only = McuBlock { scan_index: 0, component, column: 0, line: 0, across: 1, down: 1 };
            return Self { mcus: part.blocks, vertical: (most, part.vertical), blocks: vec![only] };
        }
        let mut blocks = Vec::new();
        for (scan_index, &ScanComponent { component, .. }) in scan.components.iter().enumerate() {
            let sampled = &canvas.components[component];
            let (across, down) = (sampled.horizontal as usize, sampled.vertical as usize);
            for line in 0..down {
                blocks.extend((0..across).map(|column| McuBlock { scan_index, component, column, line, across, down }));
            }
        }
        Self { mcus: canvas.mcus, vertical: (most, 1), blocks }
    }
}

impl McuBlock {
    #[inline(always)]
    pub(crate) fn at(&self, column: u32, row: u32) -> BlockPosition {
        BlockPosition {
            scan_index: self.scan_index,
            component: self.component,
            column: column as usize * self.across + self.column,
            row: row as usize * self.down + self.line,
        }
    }
}

struct Resynchronized {
    /// The interval that the data after the marker belongs to.
    interval: u32,
    damaged: u32,
}

/// Skips to the restart marker that ends `interval`, or to one that ends a later interval. Returns `None` at another
/// marker or the end of the file, which end the scan.
fn resynchronize(data: &mut ScanData<'_, '_>, interval: u32, mut damaged: bool) -> Result<Option<Resynchronized>> {
    loop {
        let Some(code) = data.bits.skip_to_marker(data.input)?.filter(|code| marker::RST.contains(code)) else {
            return Ok(None);
        };
        data.bits.restart();
        let ahead = (u32::from(code - marker::RST0)).wrapping_sub(interval) & 7;
        match ahead {
            0 => return Ok(Some(Resynchronized { interval: interval + 1, damaged: u32::from(damaged) })),
            // Some markers are missing, and with them their intervals.
            1..=4 => return Ok(Some(Resynchronized { interval: interval + 1 + ahead, damaged: 1 + ahead })),
            // An earlier marker.
            _ => damaged = true,
        }
    }
}
