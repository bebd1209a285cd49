//! Scans of baseline and extended sequential files: each block is complete and decoded at once.

use std::io::Read;

use crate::error::{Error, Result};
use crate::header::{Scan, Tables};
use crate::huffman::{Kind, LOOKUPS, Table};
use crate::idct::{CORNERS, LANES};
use crate::input::{Input, Window};
use crate::scan::{Canvas, OpenGroup, ScanTables, walk};

pub(crate) fn scan<R: Read>(
    canvas: &mut Canvas,
    input: &mut Input<R>,
    tables: &Tables,
    scan: &Scan,
) -> Result<Option<u8>> {
    let codes = ScanTables::new(tables, scan, Kind::Ac)?;
    let missing = Error::Corrupt("a scan without its Huffman tables");
    let (Some(dc), Some(ac)) =
        (codes.dc.into_iter().collect::<Option<Vec<_>>>(), codes.ac.into_iter().collect::<Option<Vec<_>>>())
    else {
        return Err(missing);
    };
    for &(component, ..) in &scan.parts {
        if !canvas.see(component, tables)? {
            return Err(Error::Corrupt("a sequential component with two scans"));
        }
        canvas.components[component].open();
    }
    let end = walk(
        canvas,
        input,
        tables.restart_interval,
        scan,
        #[inline(always)]
        |canvas, bits, input, state, place| {
            let mut window = bits.block(input)?;
            let part = &mut canvas.components[place.component];
            let size = part.size;
            let group = part.group(place);
            let mut job = Block {
                window: &mut window,
                dc: &dc[place.part],
                ac: &ac[place.part],
                prediction: &mut state.predictions[place.part],
                group,
                lane: place.column % LANES,
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
            .ok_or(Error::Corrupt("a code that its Huffman table does not have"))?;
            window.done();
            Ok(())
        },
    )?;
    for &(component, ..) in &scan.parts {
        canvas.components[component].close();
    }
    Ok(end)
}

struct Block<'a, 'b> {
    window: &'a mut Window<'b>,
    dc: &'a Table,
    ac: &'a Table,
    prediction: &'a mut i32,
    group: &'a mut OpenGroup,
    lane: usize,
}

impl Block<'_, '_> {
    /// `None` at a code that no table has.
    #[inline(always)]
    fn decode<const N: usize>(&mut self) -> Option<()> {
        let corner = &CORNERS[N];
        let difference = self.dc.symbol(self.window)?;
        *self.prediction = self.prediction.wrapping_add(difference.value);
        self.set(0, *self.prediction as i16);
        let mut index = 1;
        while index <= corner.last {
            self.window.refill();
            for _ in 0..LOOKUPS {
                let pair = self.ac.pair(self.window);
                // Past the 63rd coefficient the bits belong to the next block.
                if pair.is_none() || (corner.last > 31 && index + pair.distance() % 64 > 63) {
                    let symbol = self.ac.symbol(self.window)?;
                    self.set(corner.slot(index + symbol.run), symbol.value as i16);
                    index += symbol.run + 1;
                    break;
                }
                Table::take_pair(self.window, pair);
                for (distance, value) in pair.values() {
                    self.set(corner.slot(index + distance), value);
                }
                index += pair.distance();
                if index > corner.last {
                    break;
                }
            }
        }
        self.ac.skip_block(self.window, index)
    }

    #[inline(always)]
    fn set(&mut self, slot: usize, value: i16) {
        self.group[slot & 127][self.lane & (LANES - 1)] = value;
    }
}
