//! Scans of baseline and extended sequential files (ITU-T T.81, section F.2): each block is complete.

use crate::error::{Error, Result};
use crate::header::{DecoderTables, Scan, ScanComponent};
use crate::huffman::{HuffmanDecoder, LOOKUPS, SymbolKind};
use crate::idct::{LANES, LOW_FREQUENCY_BLOCKS, OUTSIDE};
use crate::input::{BitReader, Input};
use crate::scan::{Canvas, ScanEnd, ScanTables, for_each_mcu};

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
        canvas.components[component].open();
    }
    let end = for_each_mcu(
        canvas,
        input,
        tables.restart_interval,
        scan,
        #[inline(always)]
        |canvas, bits, input, state, place| {
            let mut reader = bits.block(input)?;
            let part = &mut canvas.components[place.component];
            let size = part.size;
            let group = part.group(place);
            let mut job = Block {
                reader: &mut reader,
                dc: &dc[place.scan_index],
                ac: &ac[place.scan_index],
                prediction: &mut state.predictions[place.scan_index],
                // From the lane of the block on.
                coefficients: group.as_flattened_mut()[place.column % LANES..]
                    .first_chunk_mut()
                    .expect("a whole group"),
            };
            match size {
                1 => job.decode::<1>(),
                2 => job.decode::<2>(),
                3 => job.decode::<3>(),
                4 => job.decode::<4>(),
                5 => job.decode::<5>(),
                6 => job.decode::<6>(),
                7 => job.decode::<7>(),
                _ => job.decode::<8>(),
            }
            .ok_or(Error::Corrupt("an undefined Huffman code"))?;
            reader.commit();
            Ok(())
        },
    )?;
    for &ScanComponent { component, .. } in &scan.components {
        canvas.components[component].close();
    }
    Ok(end)
}

/// The offset of the last slot of a group: also a mask of all offsets.
const LAST_OFFSET: usize = (2 * OUTSIDE - 1) * LANES;

struct Block<'a, 'b> {
    reader: &'a mut BitReader<'b>,
    dc: &'a HuffmanDecoder,
    ac: &'a HuffmanDecoder,
    prediction: &'a mut i32,
    /// Every eighth belongs to the block.
    coefficients: &'a mut [i16; LAST_OFFSET + 1],
}

impl Block<'_, '_> {
    /// `None` if a table does not have a code.
    #[inline(always)]
    fn decode<const N: usize>(&mut self) -> Option<()> {
        let low_frequency = &LOW_FREQUENCY_BLOCKS[N];
        let difference = self.dc.decode(self.reader)?;
        *self.prediction = self.prediction.wrapping_add(difference.value);
        self.set(0, *self.prediction as i16);
        let mut index = 1;
        while index <= low_frequency.last {
            self.reader.refill();
            for _ in 0..LOOKUPS {
                let pair = self.ac.pair(self.reader);
                // Past the 63rd coefficient the bits belong to the next block.
                if pair.is_none() || (low_frequency.last > 31 && index + pair.distance() % 64 > 63) {
                    let symbol = self.ac.decode(self.reader)?;
                    self.set(low_frequency.offset(index + symbol.run), symbol.value as i16);
                    index += symbol.run + 1;
                    break;
                }
                HuffmanDecoder::take_pair(self.reader, pair);
                for (distance, value) in pair.values() {
                    self.set(low_frequency.offset(index + distance), value);
                }
                index += pair.distance();
                if index > low_frequency.last {
                    break;
                }
            }
        }
        self.ac.skip_block(self.reader, index)
    }

    #[inline(always)]
    fn set(&mut self, offset: usize, value: i16) {
        self.coefficients[offset & LAST_OFFSET] = value;
    }
}
