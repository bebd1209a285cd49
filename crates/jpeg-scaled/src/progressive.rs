//! Scans of progressive files (ITU-T T.81, annex G): each adds to the coefficients of all blocks.
//!
//! Of a block only the coefficients that the scale needs are kept, with a map of all that are not
//! zero, without which the scans that refine them could not be read.

use std::io::Read;
use std::mem::take;

use crate::error::{Error, Result};
use crate::header::{Scan, Tables};
use crate::huffman::{END, Kind, Table};
use crate::idct::{CORNERS, Corner, LANES};
use crate::input::{Input, Window};
use crate::scan::{Canvas, Coefficients, ScanTables, State, walk};

const UNKNOWN: Error = Error::Corrupt("a code that its Huffman table does not have");

pub(crate) fn scan<R: Read>(
    canvas: &mut Canvas,
    input: &mut Input<R>,
    tables: &Tables,
    scan: &Scan,
) -> Result<Option<u8>> {
    for &(component, ..) in &scan.parts {
        if canvas.see(component, tables)? {
            let part = &canvas.components[component];
            let blocks = part.stride * part.rows;
            let (rows, row_bytes) = (part.rows, part.row_bytes());
            let mapped = if part.size > 1 { blocks } else { 0 };
            canvas.reserve(Coefficients::bytes(rows, row_bytes) + mapped * 8)?;
            let part = &mut canvas.components[component];
            part.coefficients = Coefficients::new(rows, row_bytes);
            part.nonzero = vec![0; mapped];
        }
    }
    if scan.start == 0 {
        return with_coefficients(canvas, scan, |canvas, groups| dc_scan(canvas, groups, input, tables, scan));
    }
    let size = canvas.components[scan.parts[0].0].size;
    // Coefficients beyond the corner only count as long as a later scan may refine them together
    // with those within it.
    if size == 1 || (scan.start > CORNERS[size].last && scan.low == 0) {
        return Ok(Some(input.skip_scan()?));
    }
    if canvas.limits.approximate && scan.high == 1 && canvas.components[scan.parts[0].0].fine {
        canvas.components[scan.parts[0].0].unrefined = true;
        return Ok(Some(input.skip_scan()?));
    }
    with_coefficients(canvas, scan, |canvas, groups| ac_scan(canvas, groups[0], input, tables, scan))
}

/// Runs a scan with the coefficients of its components beside the canvas. They are gone if it fails.
fn with_coefficients(
    canvas: &mut Canvas,
    scan: &Scan,
    run: impl FnOnce(&mut Canvas, &mut [&mut [[i16; LANES]]]) -> Result<Option<u8>>,
) -> Result<Option<u8>> {
    let take = |&(component, ..): &(usize, usize, usize)| take(&mut canvas.components[component].coefficients);
    let mut taken: Vec<Coefficients> = scan.parts.iter().map(take).collect();
    let mut groups: Vec<_> = taken.iter_mut().map(Coefficients::groups).collect();
    let end = run(canvas, &mut groups)?;
    for (&(component, ..), coefficients) in scan.parts.iter().zip(taken) {
        canvas.components[component].coefficients = coefficients;
    }
    Ok(end)
}

fn dc_scan<R: Read>(
    canvas: &mut Canvas,
    groups: &mut [&mut [[i16; LANES]]],
    input: &mut Input<R>,
    tables: &Tables,
    scan: &Scan,
) -> Result<Option<u8>> {
    let low = scan.low;
    if scan.high > 0 {
        return walk(
            canvas,
            input,
            tables.restart_interval,
            scan,
            #[inline(always)]
            |canvas, bits, input, _, place| {
                let mut window = bits.block(input)?;
                window.refill();
                let bit = window.take(1) as i16;
                window.done();
                let part = &canvas.components[place.component];
                let at = part.number(place) * part.area();
                groups[place.part][at][place.column % LANES] |= bit << low;
                Ok(())
            },
        );
    }
    let codes = ScanTables::new(tables, scan, Kind::ProgressiveAc)?;
    let dc =
        codes.dc.into_iter().collect::<Option<Vec<_>>>().ok_or(Error::Corrupt("a scan without its Huffman tables"))?;
    walk(
        canvas,
        input,
        tables.restart_interval,
        scan,
        #[inline(always)]
        |canvas, bits, input, state, place| {
            let mut window = bits.block(input)?;
            let difference = dc[place.part].symbol(&mut window).ok_or(UNKNOWN)?;
            window.done();
            let prediction = &mut state.predictions[place.part];
            *prediction = prediction.wrapping_add(difference.value);
            let part = &canvas.components[place.component];
            let at = part.number(place) * part.area();
            groups[place.part][at][place.column % LANES] = (*prediction << low) as i16;
            Ok(())
        },
    )
}

fn ac_scan<R: Read>(
    canvas: &mut Canvas,
    groups: &mut [[i16; LANES]],
    input: &mut Input<R>,
    tables: &Tables,
    scan: &Scan,
) -> Result<Option<u8>> {
    let codes = ScanTables::new(tables, scan, Kind::ProgressiveAc)?;
    let [Some(table)] = &codes.ac[..] else {
        return Err(Error::Corrupt("a scan without its Huffman table"));
    };
    let refines = scan.high > 0;
    walk(
        canvas,
        input,
        tables.restart_interval,
        scan,
        #[inline(always)]
        |canvas, bits, input, state, place| {
            if !refines && state.ended_blocks > 0 {
                state.ended_blocks -= 1;
                return Ok(());
            }
            let part = &mut canvas.components[place.component];
            let block = place.row * part.stride + place.column;
            let at = part.number(place) * part.area();
            let mut window = bits.block(input)?;
            let mut band = Band {
                window: &mut window,
                table,
                corner: &CORNERS[part.size],
                group: &mut groups[at..],
                lane: place.column % LANES,
                nonzero: &mut part.nonzero[block],
                start: scan.start,
                end: scan.end,
                low: scan.low,
            };
            if refines {
                band.refine(state)?;
            } else {
                band.first(state)?;
            }
            window.done();
            Ok(())
        },
    )
}

/// The coefficients of one block that a scan is about.
struct Band<'a, 'b> {
    window: &'a mut Window<'b>,
    table: &'a Table,
    corner: &'a Corner,
    group: &'a mut [[i16; LANES]],
    lane: usize,
    nonzero: &'a mut u64,
    start: u32,
    end: u32,
    low: u32,
}

impl Band<'_, '_> {
    #[inline(always)]
    fn first(&mut self, state: &mut State) -> Result<()> {
        let mut index = self.start;
        while index <= self.end {
            let symbol = self.table.symbol(self.window).ok_or(UNKNOWN)?;
            if symbol.run >= END {
                state.ended_blocks = self.ended_blocks(symbol.run - END) - 1;
                break;
            }
            index += symbol.run;
            if index > self.end {
                return Err(Error::Corrupt("a run past the end of a band"));
            }
            self.set(index, symbol.value);
            index += 1;
        }
        Ok(())
    }

    #[inline(always)]
    fn refine(&mut self, state: &mut State) -> Result<()> {
        let mut index = self.start;
        // Below the end of the band, and no further.
        let within = u64::MAX >> (63 - self.end);
        if state.ended_blocks == 0 {
            while index <= self.end {
                let symbol = self.table.symbol(self.window).ok_or(UNKNOWN)?;
                if symbol.run >= END {
                    state.ended_blocks = self.ended_blocks(symbol.run - END);
                    break;
                }
                // The run counts zeros only; what is not zero on the way gets its correction.
                let mut zeros = !*self.nonzero & within & u64::MAX << index;
                for _ in 0..symbol.run {
                    zeros &= zeros.wrapping_sub(1);
                }
                if zeros == 0 {
                    if symbol.value != 0 {
                        return Err(Error::Corrupt("a run past the end of a band"));
                    }
                    self.correct(within & u64::MAX << index);
                    index = self.end + 1;
                    break;
                }
                let target = zeros.trailing_zeros();
                self.correct(((1 << target) - 1) & (u64::MAX << index));
                self.set(target, symbol.value);
                index = target + 1;
            }
        }
        if state.ended_blocks > 0 {
            if index <= self.end {
                self.correct(within & u64::MAX << index);
            }
            state.ended_blocks -= 1;
        }
        Ok(())
    }

    /// How many blocks end with this one included.
    fn ended_blocks(&mut self, size: u32) -> u32 {
        let more = if size > 0 { self.window.take(size) as u32 } else { 0 };
        (1 << size) + more
    }

    /// A coefficient that was zero.
    #[inline(always)]
    fn set(&mut self, index: u32, value: i32) {
        if value == 0 {
            return;
        }
        *self.nonzero |= 1 << index;
        if self.corner.inside >> index & 1 == 1 {
            self.group[self.corner.slot(index)][self.lane & (LANES - 1)] = (value << self.low) as i16;
        }
    }

    /// Reads one bit for each coefficient among `range` that is not zero, and adds it to those that
    /// are kept.
    #[inline(always)]
    fn correct(&mut self, range: u64) {
        let mut known = *self.nonzero & range;
        while known != 0 {
            // No more at once than a refill gives; no block of a sane file has as many.
            let mut part = known;
            while part.count_ones() > 48 {
                part &= !(1 << (63 - part.leading_zeros()));
            }
            known &= !part;
            let count = part.count_ones();
            self.window.refill();
            let bits = self.window.take(count);
            let mut kept = part & self.corner.inside;
            while kept != 0 {
                let index = kept.trailing_zeros();
                kept &= kept - 1;
                let rank = (part & ((1 << index) - 1)).count_ones();
                if bits >> (count - 1 - rank) & 1 == 1 {
                    let coefficient = &mut self.group[self.corner.slot(index)][self.lane & (LANES - 1)];
                    let step = 1_i16 << self.low;
                    *coefficient =
                        if *coefficient < 0 { coefficient.wrapping_sub(step) } else { coefficient.wrapping_add(step) };
                }
            }
        }
    }
}
