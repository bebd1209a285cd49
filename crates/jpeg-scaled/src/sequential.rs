//! Scans of baseline and extended sequential files: each block is complete and decoded at once.

use std::io::Read;

use crate::error::{Error, Result};
use crate::header::{Scan, Tables};
use crate::huffman::{Kind, Table};
use crate::idct::{Block as Coefficients, CORNERS, clear, flat, transform};
use crate::input::{Input, Window};
use crate::scan::{Canvas, ScanTables, walk};

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
        let part = &mut canvas.components[component];
        // Grey is what stays where a damaged interval leaves a hole.
        part.samples = vec![128; part.width() * part.rows * part.size];
    }
    let mut block: Coefficients = [0.0; 128];
    walk(
        canvas,
        input,
        tables.restart_interval,
        scan,
        #[inline(always)]
        |canvas, bits, input, state, place| {
            let mut window = bits.block(input)?;
            let part = &mut canvas.components[place.component];
            let factors = part.factors.as_ref().expect("set before the walk");
            let stride = part.stride * part.size;
            let start = place.row * part.size * stride + place.column * part.size;
            let mut job = Block {
                window: &mut window,
                dc: &dc[place.part],
                ac: &ac[place.part],
                prediction: &mut state.predictions[place.part],
                block: &mut block,
                factors,
                out: &mut part.samples[start..],
                stride,
            };
            match part.size {
                1 => job.decode::<1>(),
                2 => job.decode::<2>(),
                3 => job.decode::<3>(),
                4 => job.decode::<4>(),
                5 => job.decode::<5>(),
                6 => job.decode::<6>(),
                7 => job.decode::<7>(),
                _ => job.decode::<8>(),
            }?;
            window.done();
            Ok(())
        },
    )
}

struct Block<'a, 'b> {
    window: &'a mut Window<'b>,
    dc: &'a Table,
    ac: &'a Table,
    prediction: &'a mut i32,
    block: &'a mut Coefficients,
    factors: &'a [f32; 64],
    out: &'a mut [u8],
    stride: usize,
}

impl Block<'_, '_> {
    #[inline(always)]
    fn decode<const N: usize>(&mut self) -> Result<()> {
        let corner = &CORNERS[N];
        let difference = self.dc.symbol(self.window)?;
        *self.prediction = self.prediction.wrapping_add(difference.value);
        let block = &mut *self.block;
        let first = *self.prediction as f32 * self.factors[0];
        if N == 1 {
            self.ac.skip_block(self.window, 1)?;
            flat::<N>(first, self.out, self.stride);
            return Ok(());
        }
        clear::<N>(block);
        block[0] = first;
        let mut index = 1;
        while index <= corner.last {
            if let Some(pair) = self.ac.pair(self.window, index) {
                for (at, value) in [pair.first, pair.second].into_iter().zip(pair.values) {
                    let at = (at & 63) as usize;
                    block[corner.slot(at)] = f32::from(value) * self.factors[at];
                }
                index = pair.next;
                continue;
            }
            let symbol = self.ac.symbol(self.window)?;
            index += symbol.run;
            if index > 63 {
                if symbol.run == index - 1 {
                    flat::<N>(first, self.out, self.stride);
                    return Ok(());
                }
                break;
            }
            let at = (index & 63) as usize;
            block[corner.slot(at)] = symbol.value as f32 * self.factors[at];
            index += 1;
        }
        self.ac.skip_block(self.window, index)?;
        transform::<N>(block, self.out, self.stride);
        Ok(())
    }
}
