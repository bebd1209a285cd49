//! Scans of progressive files (ITU-T T.81, section G.2), each of which adds to the coefficients of all
//! blocks.
//!
//! Only the coefficients that the scale needs are kept, with a mask of all non-zero coefficients, which
//! refinement scans need for decoding.

use std::mem::take;

use crate::error::{Error, Result};
use crate::header::{DecoderTables, Scan, ScanComponent};
use crate::huffman::{EOB, HuffmanDecoder, SymbolKind, UNDEFINED_CODE};
use crate::idct::{LANES, LOW_FREQUENCY_BLOCKS, LowFrequencyBlock};
use crate::input::{BitReader, Input};
use crate::scan::{
    Canvas, Coefficients, McuDecoder, McuPattern, McuRun, RestartState, ScanData, ScanEnd, ScanTables, for_each_block,
    for_each_mcu,
};

pub(crate) fn scan(canvas: &mut Canvas, input: &mut Input<'_>, tables: &DecoderTables, scan: &Scan) -> Result<ScanEnd> {
    for &ScanComponent { component, .. } in &scan.components {
        if canvas.latch_quantization(component, tables)? {
            let part = &canvas.components[component];
            let blocks = part.stride * part.rows;
            let (rows, row_bytes) = (part.rows, part.row_bytes());
            let mapped = if part.size > 1 || canvas.limits.every_scan { blocks } else { 0 };
            canvas.reserve(Coefficients::bytes(rows, row_bytes) + mapped * 8)?;
            let part = &mut canvas.components[component];
            part.coefficients = Coefficients::new(rows, row_bytes);
            part.nonzero = vec![0; mapped];
        }
    }
    for &ScanComponent { component, .. } in &scan.components {
        canvas.components[component].lowest_bits[scan.ss as usize..=scan.se as usize].fill(scan.al as u8);
    }
    if scan.ss == 0 {
        return with_coefficients(canvas, scan, |canvas, groups| dc_scan(canvas, groups, input, tables, scan));
    }
    if canvas.limits.every_scan {
        return with_coefficients(canvas, scan, |canvas, groups| ac_scan(canvas, groups[0], input, tables, scan));
    }
    let size = canvas.components[scan.components[0].component].size;
    // Unused coefficients matter only while a later scan may refine them together with used ones.
    if size == 1 || (scan.ss > u32::from(LOW_FREQUENCY_BLOCKS[size].last) && scan.al == 0) {
        return Ok(ScanEnd::at(Some(input.skip_scan()?)));
    }
    if canvas.limits.approximate && scan.ah == 1 && canvas.components[scan.components[0].component].finely_quantized {
        canvas.components[scan.components[0].component].last_bit_skipped = true;
        return Ok(ScanEnd::at(Some(input.skip_scan()?)));
    }
    with_coefficients(canvas, scan, |canvas, groups| ac_scan(canvas, groups[0], input, tables, scan))
}

/// Runs a scan with the coefficients of its components moved out of the canvas. An error drops them.
fn with_coefficients(
    canvas: &mut Canvas,
    scan: &Scan,
    run: impl FnOnce(&mut Canvas, &mut [&mut [[i16; LANES]]]) -> Result<ScanEnd>,
) -> Result<ScanEnd> {
    let take = |&ScanComponent { component, .. }: &ScanComponent| take(&mut canvas.components[component].coefficients);
    let mut taken: Vec<Coefficients> = scan.components.iter().map(take).collect();
    let mut groups: Vec<_> = taken.iter_mut().map(Coefficients::groups).collect();
    let end = run(canvas, &mut groups)?;
    for (&ScanComponent { component, .. }, coefficients) in scan.components.iter().zip(taken) {
        canvas.components[component].coefficients = coefficients;
    }
    Ok(end)
}

fn dc_scan(
    canvas: &mut Canvas,
    groups: &mut [&mut [[i16; LANES]]],
    input: &mut Input<'_>,
    tables: &DecoderTables,
    scan: &Scan,
) -> Result<ScanEnd> {
    let al = scan.al;
    if scan.ah > 0 {
        return for_each_block(
            canvas,
            input,
            tables.restart_interval,
            scan,
            #[inline(always)]
            |canvas, data, place| {
                let mut reader = data.bits.block(data.input)?;
                reader.refill();
                let bit = reader.bits.receive(1) as i16;
                let end = reader.end();
                data.bits.advance(end);
                let part = &canvas.components[place.component];
                let at = part.group_index(place) * part.area();
                groups[place.scan_index][at][place.column % LANES] |= bit << al;
                Ok(())
            },
        );
    }
    let codes = ScanTables::new(tables, scan, SymbolKind::ProgressiveAc)?;
    let dc =
        codes.dc.into_iter().collect::<Option<Vec<_>>>().ok_or(Error::Corrupt("a scan without its Huffman tables"))?;
    for_each_block(
        canvas,
        input,
        tables.restart_interval,
        scan,
        #[inline(always)]
        |canvas, data, place| {
            let mut reader = data.bits.block(data.input)?;
            reader.refill();
            let difference = dc[place.scan_index].decode(&mut reader.bits).ok_or(UNDEFINED_CODE)?;
            let end = reader.end();
            data.bits.advance(end);
            let prediction = &mut data.state.predictions[place.scan_index];
            *prediction = prediction.wrapping_add(difference.value);
            let part = &canvas.components[place.component];
            let at = part.group_index(place) * part.area();
            groups[place.scan_index][at][place.column % LANES] = (*prediction << al) as i16;
            Ok(())
        },
    )
}

fn ac_scan(
    canvas: &mut Canvas,
    groups: &mut [[i16; LANES]],
    input: &mut Input<'_>,
    tables: &DecoderTables,
    scan: &Scan,
) -> Result<ScanEnd> {
    let codes = ScanTables::new(tables, scan, SymbolKind::ProgressiveAc)?;
    let [Some(table)] = &codes.ac[..] else {
        return Err(Error::Corrupt("a scan without its Huffman table"));
    };
    let pattern = McuPattern::new(canvas, scan);
    for_each_mcu(canvas, input, tables.restart_interval, &pattern, &mut AcDecoder { table, groups, scan })
}

/// Decodes the blocks of a row at once.
struct AcDecoder<'a> {
    table: &'a HuffmanDecoder,
    groups: &'a mut [[i16; LANES]],
    scan: &'a Scan,
}

impl McuDecoder for AcDecoder<'_> {
    #[inline(always)]
    fn most(&self) -> u32 {
        u32::MAX
    }

    #[inline(always)]
    fn decode(&mut self, canvas: &mut Canvas, data: &mut ScanData<'_, '_>, run: McuRun) -> (u32, Result<()>) {
        let Self { table, groups, scan } = self;
        let part = &mut canvas.components[scan.components[0].component];
        let (area, start) = (part.area(), run.row as usize * part.stride);
        let groups = &mut groups[start / LANES * area..][..part.stride / LANES * area];
        let nonzero = &mut part.nonzero[start..][..part.stride];
        let low_frequency = &LOW_FREQUENCY_BLOCKS[part.size];
        let refines = scan.ah > 0;
        let (mut column, mut end) = (run.column as usize, (run.column + run.count) as usize);
        let state = &mut data.state;
        let result = data.bits.read_blocks(
            data.input,
            #[inline(always)]
            |stream, padded| {
                if padded {
                    end = end.min(column + 1);
                }
                while column < end {
                    if !refines && state.eob_run > 0 {
                        let empty = (end - column).min(state.eob_run as usize);
                        state.eob_run -= empty as u32;
                        column += empty;
                        continue;
                    }
                    let Some(mut reader) = stream.block() else {
                        return Ok(false);
                    };
                    let mut band = Band {
                        reader: &mut reader,
                        table,
                        low_frequency,
                        group: &mut groups[column / LANES * area..][..area],
                        lane: column % LANES,
                        nonzero: &mut nonzero[column],
                        ss: scan.ss,
                        se: scan.se,
                        al: scan.al,
                    };
                    if refines {
                        band.refine(state)?;
                    } else {
                        band.first(state)?;
                    }
                    let read = reader.end();
                    stream.advance(read);
                    column += 1;
                }
                Ok(true)
            },
        );
        (column as u32 - run.column, result)
    }
}

/// The band of one block (section G.1.1.1.1).
struct Band<'a, 'b> {
    reader: &'a mut BitReader<'b>,
    table: &'a HuffmanDecoder,
    low_frequency: &'a LowFrequencyBlock,
    group: &'a mut [[i16; LANES]],
    lane: usize,
    nonzero: &'a mut u64,
    ss: u32,
    se: u32,
    al: u32,
}

impl Band<'_, '_> {
    #[inline(always)]
    fn first(&mut self, state: &mut RestartState) -> Result<()> {
        let mut index = self.ss;
        while index <= self.se {
            self.reader.refill();
            let symbol = self.table.decode(&mut self.reader.bits).ok_or(UNDEFINED_CODE)?;
            if symbol.run >= EOB {
                state.eob_run = self.eob_run(symbol.run - EOB) - 1;
                break;
            }
            index += symbol.run;
            if index > self.se {
                return Err(Error::Corrupt("a run past the end of a band"));
            }
            self.set(index, symbol.value);
            index += 1;
        }
        Ok(())
    }

    #[inline(always)]
    fn refine(&mut self, state: &mut RestartState) -> Result<()> {
        let mut index = self.ss;
        // The coefficients up to the end of the band.
        let within = u64::MAX >> (63 - self.se);
        if state.eob_run == 0 {
            while index <= self.se {
                self.reader.refill();
                let symbol = self.table.decode(&mut self.reader.bits).ok_or(UNDEFINED_CODE)?;
                if symbol.run >= EOB {
                    state.eob_run = self.eob_run(symbol.run - EOB);
                    break;
                }
                // The run counts zero-history coefficients only; the others get a correction bit (section G.1.2.3).
                let mut zeros = !*self.nonzero & within & u64::MAX << index;
                for _ in 0..symbol.run {
                    zeros &= zeros.wrapping_sub(1);
                }
                if zeros == 0 {
                    if symbol.value != 0 {
                        return Err(Error::Corrupt("a run past the end of a band"));
                    }
                    self.correct(within & u64::MAX << index);
                    index = self.se + 1;
                    break;
                }
                let target = zeros.trailing_zeros();
                self.correct(((1 << target) - 1) & (u64::MAX << index));
                self.set(target, symbol.value);
                index = target + 1;
            }
        }
        if state.eob_run > 0 {
            if index <= self.se {
                self.correct(within & u64::MAX << index);
            }
            state.eob_run -= 1;
        }
        Ok(())
    }

    /// The number of blocks in an EOB run, including this one (section G.1.2.2).
    fn eob_run(&mut self, size: u32) -> u32 {
        let more = if size > 0 { self.reader.bits.receive(size) as u32 } else { 0 };
        (1 << size) + more
    }

    /// Sets a coefficient that was zero.
    #[inline(always)]
    fn set(&mut self, index: u32, value: i32) {
        if value == 0 {
            return;
        }
        *self.nonzero |= 1 << index;
        if self.low_frequency.inside >> index & 1 == 1 {
            self.group[self.low_frequency.slot(index)][self.lane & (LANES - 1)] = (value << self.al) as i16;
        }
    }

    /// Reads a correction bit for each non-zero coefficient of `range`, and applies it to those that are
    /// kept (section G.1.2.3).
    #[inline(always)]
    fn correct(&mut self, range: u64) {
        let mut known = *self.nonzero & range;
        while known != 0 {
            // At most 48 bits a refill; valid files rarely need more.
            let mut part = known;
            while part.count_ones() > 48 {
                part &= !(1 << (63 - part.leading_zeros()));
            }
            known &= !part;
            let count = part.count_ones();
            self.reader.refill();
            let bits = self.reader.bits.receive(count);
            let mut kept = part & self.low_frequency.inside;
            while kept != 0 {
                let index = kept.trailing_zeros();
                kept &= kept - 1;
                let rank = (part & ((1 << index) - 1)).count_ones();
                if bits >> (count - 1 - rank) & 1 == 1 {
                    let coefficient = &mut self.group[self.low_frequency.slot(index)][self.lane & (LANES - 1)];
                    let step = 1_i16 << self.al;
                    *coefficient =
                        if *coefficient < 0 { coefficient.wrapping_sub(step) } else { coefficient.wrapping_add(step) };
                }
            }
        }
    }
}
