//! Scans of progressive files (ITU-T T.81, annex G): each adds to the coefficients of all blocks.
//!
//! Of a block only the coefficients that the scale needs are kept, with a map of all that are not
//! zero, without which the scans that refine them could not be read.

use std::io::Read;
use std::time::Instant;

use pulp::Arch;

use crate::error::{Error, Result};
use crate::header::{Scan, Tables};
use crate::huffman::{END, Kind, Table};
use crate::idct::{Block, CORNERS, Corner, transform};
use crate::input::{Input, Window};
use crate::scan::{Canvas, Part, ScanTables, State, walk};

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
            let coefficients = blocks * part.size * part.size;
            let mapped = if part.size > 1 { blocks } else { 0 };
            canvas.reserve(coefficients * 2 + mapped * 8)?;
            let part = &mut canvas.components[component];
            part.coefficients = vec![0; coefficients];
            part.nonzero = vec![0; mapped];
        }
    }
    if scan.start == 0 {
        return dc_scan(canvas, input, tables, scan);
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
    ac_scan(canvas, input, tables, scan)
}

fn dc_scan<R: Read>(canvas: &mut Canvas, input: &mut Input<R>, tables: &Tables, scan: &Scan) -> Result<Option<u8>> {
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
                let part = &mut canvas.components[place.component];
                let at = (place.row * part.stride + place.column) * part.size * part.size;
                part.coefficients[at] |= bit << low;
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
            let difference = dc[place.part].symbol(&mut window)?;
            window.done();
            let prediction = &mut state.predictions[place.part];
            *prediction = prediction.wrapping_add(difference.value);
            let part = &mut canvas.components[place.component];
            let at = (place.row * part.stride + place.column) * part.size * part.size;
            part.coefficients[at] = (*prediction << low) as i16;
            Ok(())
        },
    )
}

fn ac_scan<R: Read>(canvas: &mut Canvas, input: &mut Input<R>, tables: &Tables, scan: &Scan) -> Result<Option<u8>> {
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
            let area = part.size * part.size;
            let mut window = bits.block(input)?;
            let mut band = Band {
                window: &mut window,
                table,
                corner: &CORNERS[part.size],
                coefficients: &mut part.coefficients[block * area..(block + 1) * area],
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
    coefficients: &'a mut [i16],
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
            let symbol = self.table.symbol(self.window)?;
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
                let symbol = self.table.symbol(self.window)?;
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
        let more = if size > 0 { self.window.take(size) } else { 0 };
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
            self.coefficients[self.corner.rank(index)] = (value << self.low) as i16;
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
            let bits = self.window.take_many(count);
            let mut kept = part & self.corner.inside;
            while kept != 0 {
                let index = kept.trailing_zeros();
                kept &= kept - 1;
                let rank = (part & ((1 << index) - 1)).count_ones();
                if bits >> (count - 1 - rank) & 1 == 1 {
                    let coefficient = &mut self.coefficients[self.corner.rank(index)];
                    let step = 1_i16 << self.low;
                    *coefficient =
                        if *coefficient < 0 { coefficient.wrapping_sub(step) } else { coefficient.wrapping_add(step) };
                }
            }
        }
    }
}

/// Transforms the coefficients once all scans are there.
pub(crate) fn finish(canvas: &mut Canvas) -> Result<()> {
    let deadline = canvas.limits.deadline;
    for part in &mut canvas.components {
        part.nonzero = Vec::new();
        part.samples = vec![0; part.width() * part.rows * part.size];
        let factors = part.factors.ok_or(Error::Truncated)?;
        Arch::new().dispatch(
            #[inline(always)]
            || transform_part(part, &factors, deadline),
        )?;
        part.coefficients = Vec::new();
    }
    Ok(())
}

#[inline(always)]
fn transform_part(part: &mut Part, factors: &[f32; 64], deadline: Option<Instant>) -> Result<()> {
    for row in 0..part.rows {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::Deadline);
        }
        match part.size {
            1 => transform_row::<1>(part, row, factors),
            2 => transform_row::<2>(part, row, factors),
            3 => transform_row::<3>(part, row, factors),
            4 => transform_row::<4>(part, row, factors),
            5 => transform_row::<5>(part, row, factors),
            6 => transform_row::<6>(part, row, factors),
            7 => transform_row::<7>(part, row, factors),
            _ => transform_row::<8>(part, row, factors),
        }
    }
    Ok(())
}

#[inline(always)]
fn transform_row<const N: usize>(part: &mut Part, row: usize, factors: &[f32; 64]) {
    let stride = part.width();
    let area = N * N;
    let corner = &CORNERS[N];
    let indices: Vec<usize> = (0..64).filter(|index| corner.inside >> index & 1 == 1).collect();
    let mut block: Block = [0.0; 128];
    // Without its last bit, a coefficient is as likely as not one further from zero.
    let middle = if part.unrefined { 0.5 } else { 0.0 };
    let start = row * part.stride * area;
    let coefficients = &part.coefficients[start..start + part.stride * area];
    let out = &mut part.samples[row * N * stride..(row + 1) * N * stride];
    for (column, coefficients) in coefficients.chunks_exact(area).enumerate() {
        for (&index, &coefficient) in indices.iter().zip(coefficients) {
            let mut value = f32::from(coefficient);
            if index > 0 {
                value += middle * f32::from(coefficient.signum());
            }
            block[corner.slot(index)] = value * factors[index];
        }
        transform::<N>(&block, &mut out[column * N..], stride);
    }
}
