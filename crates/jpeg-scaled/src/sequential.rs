//! Scans of baseline and extended sequential files (ITU-T T.81, section F.2): each block is complete.
//!
//! A batch of MCUs is decoded at a time: whatever is the same for each of them (places, tables, scales) is worked out once, in
//! a schedule of blocks, and the position in the data stays in registers.

use std::rc::Rc;

use crate::error::{Error, Result};
use crate::header::{DecoderTables, Scan, ScanComponent};
use crate::huffman::{
    AcLookups, END, EOB, HuffmanDecoder, LONG, PAIRS, PAIRS_AFTER_DC, SKIPS, SymbolKind, UNDEFINED_CODE,
};
use crate::idct::{LANES, LOW_FREQUENCY_BLOCKS, LowFrequencyBlock};
use crate::input::{BitReader, Input};
use crate::scan::{Canvas, McuBlock, McuDecoder, McuPattern, McuRun, ScanData, ScanEnd, ScanTables, for_each_mcu};

pub(crate) fn scan(canvas: &mut Canvas, input: &mut Input<'_>, tables: &DecoderTables, scan: &Scan) -> Result<ScanEnd> {
    let codes = ScanTables::new(tables, scan, SymbolKind::Ac)?;
    let missing = Error::Corrupt("a scan without its Huffman tables");
    let (Some(dc), Some(ac)) =
        (codes.dc.into_iter().collect::<Option<Vec<_>>>(), codes.ac.into_iter().collect::<Option<Vec<_>>>())
    else {
        return Err(missing);
    };
    for &ScanComponent { component, .. } in &scan.components {
        if !canvas.latch_quantization(component, tables)? {
            return Err(Error::Corrupt("a sequential component with two scans"));
        }
        let part = &mut canvas.components[component];
        part.samples = Vec::with_capacity(part.rows * part.row_bytes());
    }
    let pattern = McuPattern::new(canvas, scan);
    let mut decoder = SequentialDecoder::new(canvas, &pattern, &dc, &ac);
    let end = for_each_mcu(canvas, input, tables.restart_interval, &pattern, &mut decoder)?;
    decoder.seek(canvas, None);
    for &ScanComponent { component, .. } in &scan.components {
        let part = &mut canvas.components[component];
        part.samples.resize(part.rows * part.row_bytes(), 0);
    }
    Ok(end)
}

/// The coefficients from the first one of a block on: as many as an offset can reach, so that no offset needs a check. Those
/// after the batch are never used.
type Reach = [i16; 1 << 16];

/// Batches of MCUs next to each other, of which one is decoded at a time.
struct SequentialDecoder<'a> {
    /// The blocks of a batch in their order.
    blocks: Vec<ScheduledBlock<'a>>,
    blocks_in_mcu: usize,
    /// MCUs in a batch: a multiple of [`LANES`].
    mcus: u32,
    groups: Vec<ScheduledGroup>,
    coefficients: Vec<i16>,
    /// Coefficients in use.
    used: usize,
    /// Index in a row of batches, and row of MCUs, of the batch being decoded.
    batch: Option<(u32, u32)>,
}

/// A block of a batch.
struct ScheduledBlock<'a> {
    dc: &'a HuffmanDecoder,
    ac: &'a HuffmanDecoder,
    /// Those of `ac`.
    lookups: &'a AcLookups,
    low_frequency: &'static LowFrequencyBlock,
    /// Of its first coefficient among those of the batch.
    offset: usize,
    scan_index: usize,
}

/// [`LANES`] neighboring blocks of a batch.
struct ScheduledGroup {
    component: usize,
    /// Block row in an MCU, and block rows of an MCU.
    line: usize,
    down: usize,
    /// Its index among the groups of that block row in the batch, and their number.
    index: usize,
    across: usize,
    /// Of its first coefficient among those of the batch.
    offset: usize,
    /// Coefficients in use of each block.
    area: usize,
}

impl<'a> SequentialDecoder<'a> {
    fn new(canvas: &Canvas, pattern: &McuPattern, dc: &'a [Rc<HuffmanDecoder>], ac: &'a [Rc<HuffmanDecoder>]) -> Self {
        let blocks_in_mcu = pattern.blocks.len();
        // Groups of a component with one block in an MCU. A single component has 64 blocks in a batch.
        let batches = if blocks_in_mcu == 1 { 8 } else { 1 };
        let mcus = batches * LANES;

        let mut decoder = Self {
            blocks: Vec::new(),
            blocks_in_mcu,
            mcus: mcus as u32,
            groups: Vec::new(),
            coefficients: Vec::new(),
            used: 0,
            batch: None,
        };
        // By component, the offset of its first group.
        let mut starts = Vec::new();
        // A slot more than in use, for coefficients that are not.
        let group_size = |component: usize| (canvas.components[component].area() + 1) * LANES;
        for block in pattern.blocks.iter().filter(|block| (block.column, block.line) == (0, 0)) {
            let (component, across, down) = (block.component, block.across * batches, block.down);
            let area = canvas.components[component].area();
            starts.push(decoder.used);
            for (line, index) in (0..down).flat_map(|line| (0..across).map(move |index| (line, index))) {
                let offset = decoder.used;
                decoder.groups.push(ScheduledGroup { component, line, down, index, across, offset, area });
                decoder.used += group_size(component);
            }
        }
        for mcu in 0..mcus {
            for &McuBlock { scan_index, component, column, line, across, .. } in &pattern.blocks {
                let column = mcu * across + column;
                let group = line * across * batches + column / LANES;
                decoder.blocks.push(ScheduledBlock {
                    dc: &dc[scan_index],
                    ac: &ac[scan_index],
                    lookups: ac[scan_index].lookups(),
                    low_frequency: &LOW_FREQUENCY_BLOCKS[canvas.components[component].size],
                    offset: starts[scan_index] + group * group_size(component) + column % LANES,
                    scan_index,
                });
            }
        }
        decoder.coefficients = vec![0; decoder.used + size_of::<Reach>() / 2];
        decoder
    }

    /// Writes the samples of the batch being decoded, and starts another one, which is gray.
    fn seek(&mut self, canvas: &mut Canvas, batch: Option<(u32, u32)>) {
        if let Some((index, row)) = self.batch {
            for group in &self.groups {
                let part = &mut canvas.components[group.component];
                let group_index = index as usize * group.across + group.index;
                if group_index < part.stride / LANES {
                    let row = row as usize * group.down + group.line;
                    let (coefficients, _) = self.coefficients[group.offset..].as_chunks();
                    part.write(row, group_index, &coefficients[..group.area]);
                }
            }
        }
        self.coefficients[..self.used].fill(0);
        self.batch = batch;
    }

    fn seek_to(&mut self, canvas: &mut Canvas, run: McuRun) {
        let batch = Some((run.column / self.mcus, run.row));
        if self.batch != batch {
            self.seek(canvas, batch);
        }
    }
}

impl ScheduledBlock<'_> {
    /// Looks up coefficients from `index` on, `COUNT` times at most, as long as they are in use. `None` if the table does not
    /// have a code.
    #[inline(always)]
    fn coefficients_in_use<const COUNT: usize>(
        &self,
        coefficients: &mut Reach,
        reader: &mut BitReader<'_>,
        index: &mut u8,
    ) -> Option<()> {
        let low_frequency = self.low_frequency;
        for _ in 0..COUNT {
            let found = self.lookups.pair(reader.bits);
            let next = index.wrapping_add(found.distance());
            if next & LONG != 0 {
                reader.refill();
                let symbol = self.ac.decode(&mut reader.bits)?;
                if symbol.run < EOB {
                    coefficients[usize::from(low_frequency.offset(*index, symbol.run))] = symbol.value as i16;
                }
                *index += symbol.run as u8 + 1;
                break;
            }
            reader.bits.consume(found.length());
            coefficients[usize::from(low_frequency.offset_before(next))] = found.second();
            coefficients[usize::from(low_frequency.offset(*index, found.run()))] = found.first();
            *index = next;
            if next > low_frequency.last {
                break;
            }
        }
        Some(())
    }

    #[inline(always)]
    fn coefficients<'c>(&self, batch: &'c mut [i16]) -> &'c mut Reach {
        batch[self.offset..].first_chunk_mut().expect("the batch ends with as many")
    }

    /// Decodes the block; `None` if a table does not have a code.
    #[inline(always)]
    fn decode(&self, coefficients: &mut Reach, prediction: &mut i32, reader: &mut BitReader<'_>) -> Option<()> {
        let last = self.low_frequency.last;
        reader.refill();
        *prediction = prediction.wrapping_add(self.dc.difference(&mut reader.bits)?);
        coefficients[0] = *prediction as i16;
        let mut index = 1;
        if last > 0 {
            self.coefficients_in_use::<PAIRS_AFTER_DC>(coefficients, reader, &mut index)?;
            while index <= last {
                reader.refill();
                self.coefficients_in_use::<PAIRS>(coefficients, reader, &mut index)?;
            }
        }
        while index < 64 {
            reader.refill();
            for _ in 0..SKIPS {
                let found = self.lookups.skip(reader.bits);
                let next = index.wrapping_add(found.distance());
                if next & LONG != 0 {
                    reader.refill();
                    index += self.ac.decode(&mut reader.bits)?.run as u8 + 1;
                    break;
                }
                reader.bits.consume(found.length());
                index = next;
                if next & END != 0 {
                    break;
                }
            }
        }
        Some(())
    }
}

impl McuDecoder for SequentialDecoder<'_> {
    #[inline(always)]
    fn most(&self) -> u32 {
        self.mcus
    }

    #[inline(always)]
    fn decode(&mut self, canvas: &mut Canvas, data: &mut ScanData<'_, '_>, run: McuRun) -> (u32, Result<()>) {
        self.seek_to(canvas, run);
        let Self { blocks, coefficients, blocks_in_mcu, .. } = self;
        let start = (run.column % self.mcus) as usize * *blocks_in_mcu;
        let mut end = start + run.count as usize * *blocks_in_mcu;
        let mut at = start;
        let result = data.bits.read_blocks(
            data.input,
            #[inline(always)]
            |stream, padded| {
                if padded {
                    end = end.min((at + 1).next_multiple_of(*blocks_in_mcu));
                }
                for block in &blocks[at..end] {
                    let Some(mut reader) = stream.block() else {
                        return Ok(false);
                    };
                    let prediction = &mut data.state.predictions[block.scan_index & 3];
                    let coefficients = block.coefficients(coefficients);
                    block.decode(coefficients, prediction, &mut reader).ok_or(UNDEFINED_CODE)?;
                    let read = reader.end();
                    stream.advance(read);
                    at += 1;
                }
                Ok(true)
            },
        );
        if result.is_err() {
            let block = &self.blocks[at];
            let coefficients = block.coefficients(&mut self.coefficients);
            (0..64).for_each(|index| coefficients[usize::from(block.low_frequency.offset(index, 0))] = 0);
        }
        (((at - start) / self.blocks_in_mcu) as u32, result)
    }

    fn blank(&mut self, canvas: &mut Canvas, run: McuRun) {
        self.seek_to(canvas, run);
    }
}
