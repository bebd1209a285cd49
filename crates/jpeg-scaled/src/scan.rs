//! What scans of both kinds share: where blocks go, and the walk over them with its restarts.

use std::io::Read;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::header::{Frame, Scan, Tables};
use crate::huffman::{Kind, Table};
use crate::idct::{CORNERS, factors};
use crate::input::{Bits, Input};
use crate::{Limits, Picture, Plane};
use pulp::Arch;

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
    /// Blocks a row, with those that only fill up MCUs.
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
    pub(crate) samples: Vec<u8>,
    /// Progressive only: the coefficients of the corner of each block.
    pub(crate) coefficients: Vec<i16>,
    /// Progressive only: which coefficients of each block are known not to be zero.
    pub(crate) nonzero: Vec<u64>,
}

impl Part {
    /// Samples a row of the plane.
    pub(crate) fn width(&self) -> usize {
        self.stride * self.size
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
            let stride = (mcus.0 * horizontal) as usize;
            let rows = (mcus.1 * vertical) as usize;
            canvas.reserve(stride * rows * size * size)?;
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
                coefficients: Vec::new(),
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

    pub(crate) fn into_picture(self) -> Picture {
        let damaged_intervals = self.damaged;
        let planes = self.components.into_iter().map(Part::into_plane).collect();
        Picture { planes, damaged_intervals }
    }
}

impl Part {
    fn into_plane(mut self) -> Plane {
        let stride = self.width();
        let width = self.eighths.0.div_ceil(8) as usize;
        let height = self.eighths.1.div_ceil(8) as usize;
        if width < stride {
            for row in 1..height {
                let start = row * stride;
                self.samples.copy_within(start..start + width, row * width);
            }
        }
        self.samples.truncate(width * height);
        Plane {
            width: width as u32,
            height: height as u32,
            eighths_across: self.eighths.0,
            eighths_down: self.eighths.1,
            samples: self.samples,
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
        pattern.push((0, component, 0, 0));
        canvas.components[component].blocks
    } else {
        for (part, &(component, ..)) in scan.parts.iter().enumerate() {
            let sampled = &canvas.components[component];
            for row in 0..sampled.vertical as usize {
                for column in 0..sampled.horizontal as usize {
                    pattern.push((part, component, column, row));
                }
            }
        }
        canvas.mcus
    };
    let steps: Vec<(usize, usize)> = pattern
        .iter()
        .map(|&(_, component, ..)| {
            let sampled = &canvas.components[component];
            if scan.parts.len() == 1 { (1, 1) } else { (sampled.horizontal as usize, sampled.vertical as usize) }
        })
        .collect();

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
        for (&(part, component, x, y), &(step_x, step_y)) in pattern.iter().zip(&steps) {
            let place = BlockPlace { part, component, column: column * step_x + x, row: row * step_y + y };
            result = block(canvas, &mut bits, input, &mut state, place);
            if result.is_err() {
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
        mcu = (u64::from(resumed.interval) * u64::from(interval)).min(u64::from(total)) as u32;
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
