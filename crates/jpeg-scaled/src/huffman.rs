//! Huffman tables (ITU-T T.81, annexes C and F), arranged for taking as much as possible at once.

use crate::error::{Error, Result};
use crate::input::Window;

/// Bits that index [`Table::fast`].
const FAST: u32 = 10;
/// Bits that index [`Table::pairs`].
const PAIR: u32 = 11;
/// Bits that index [`Table::skip`].
const SKIP: u32 = 12;

/// A run that no block has: the block ends, or the band, after this symbol.
pub(crate) const END: u32 = 64;

/// Code lengths and symbols as a DHT segment gives them.
#[derive(Clone)]
pub(crate) struct Code {
    pub(crate) counts: [u8; 16],
    pub(crate) symbols: Vec<u8>,
}

/// What the symbols mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The size of a difference.
    Dc,
    /// Run and size; a size of zero ends the block.
    Ac,
    /// The same, but a size of zero may end a run of blocks.
    ProgressiveAc,
}

pub(crate) struct Table {
    /// By the next bits: bits 0 to 4, the length of the code and, where it fits too, the value;
    /// bits 5 to 11, the run of zeros, or [`END`] and more; bits 12 to 15, the size of a value
    /// that did not fit; bits 16 to 31, the value that did. Zero where the code is longer.
    fast: Box<[u32; 1 << FAST]>,
    /// By the next bits: bits 0 to 4, the length of as many whole symbols as are known; bits 5 to
    /// 11, how many coefficients they are; bit 12, whether the last one ends the block. Zero where
    /// not even one is known.
    skip: Box<[u16; 1 << SKIP]>,
    /// By the next bits, where they hold at least one symbol with its value that does not end the
    /// block: see [`Pair`].
    pairs: Box<[u64; 1 << PAIR]>,
    /// The first code of each length that is too large for it, at the top of 16 bits.
    ends: [u32; 17],
    /// What to add to a code of each length to get the index of its symbol.
    offsets: [i32; 17],
    symbols: [u8; 256],
    kind: Kind,
}

/// A symbol: its run, and its value or the value's size.
#[derive(Clone, Copy)]
pub(crate) struct Symbol {
    pub(crate) run: u32,
    pub(crate) value: i32,
}

/// Two coefficients and where they are. The second may be none: a zero right after the first, where
/// nothing is yet.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) first: u32,
    /// Over 63 in a damaged file.
    pub(crate) second: u32,
    /// Where to go on; over 63 at the end of the block.
    pub(crate) next: u32,
    pub(crate) values: [i16; 2],
}

impl Table {
    pub(crate) fn new(code: &Code, kind: Kind) -> Result<Self> {
        let mut table = Self {
            fast: vec![0; 1 << FAST].try_into().expect("the size is right"),
            skip: vec![0; 1 << SKIP].try_into().expect("the size is right"),
            pairs: vec![0; 1 << PAIR].try_into().expect("the size is right"),
            ends: [0; 17],
            offsets: [0; 17],
            symbols: [0; 256],
            kind,
        };
        table.symbols[..code.symbols.len()].copy_from_slice(&code.symbols);
        let (mut next, mut index) = (0_u32, 0_u32);
        for length in 1..=16 {
            next <<= 1;
            let count = u32::from(code.counts[length - 1]);
            table.offsets[length] = index as i32 - next as i32;
            index += count;
            next += count;
            if next > 1 << length {
                return Err(Error::Corrupt("a Huffman table has too many codes"));
            }
            table.ends[length] = next << (16 - length);
        }
        for bits in 0..1 << FAST {
            table.fast[bits as usize] = table.fast_entry(bits);
        }
        if kind != Kind::Dc {
            for bits in 0..1 << SKIP {
                table.skip[bits as usize] = table.skip_entry(bits);
            }
        }
        if kind == Kind::Ac {
            for bits in 0..1 << PAIR {
                table.pairs[bits as usize] = table.pair_entry(bits);
            }
        }
        Ok(table)
    }

    /// Length and symbol of the code at the top of 16 bits.
    fn find(&self, bits: u32) -> Option<(u32, u8)> {
        (1..=16).find(|&length| bits < self.ends[length]).map(|length| {
            let code = (bits >> (16 - length)) as i32;
            let index = code + self.offsets[length];
            (length as u32, self.symbols[index as usize & 255])
        })
    }

    fn run_and_size(&self, symbol: u8) -> (u32, u32) {
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match (self.kind, run, size) {
            (Kind::Dc, ..) => (0, size),
            (_, 15, 0) => (15, 0),
            (_, run, 0) => (END + run, 0),
            _ => (run, size),
        }
    }

    fn fast_entry(&self, bits: u32) -> u32 {
        let Some((length, symbol)) = self.find(bits << (16 - FAST)) else {
            return 0;
        };
        if length > FAST {
            return 0;
        }
        let (run, size) = self.run_and_size(symbol);
        if size == 0 || length + size > FAST {
            return length | run << 5 | size << 12;
        }
        let magnitude = (bits >> (FAST - length - size)) & ((1 << size) - 1);
        let value = if magnitude >> (size - 1) == 0 { magnitude as i32 - (1 << size) + 1 } else { magnitude as i32 };
        (length + size) | run << 5 | (value as u32) << 16
    }

    fn skip_entry(&self, bits: u32) -> u16 {
        let (mut used, mut passed) = (0, 0);
        let mut end = 0;
        while used < SKIP {
            let known = SKIP - used;
            let Some((length, symbol)) = self.find((bits << used & ((1 << SKIP) - 1)) << (16 - SKIP)) else {
                break;
            };
            let (run, size) = self.run_and_size(symbol);
            // The end of more than this block is not for passing over.
            if length > known || (run > END && self.kind == Kind::ProgressiveAc) {
                break;
            }
            if run >= END {
                used += length;
                end = 1;
                break;
            }
            if passed + run + 1 > 63 {
                break;
            }
            used += length + size;
            passed += run + 1;
        }
        (used | passed << 5 | end << 12) as u16
    }

    /// Length, run and value of the symbol at the top of so many known bits, if it is there whole.
    fn whole_symbol(&self, bits: u32, known: u32) -> Option<(u32, u32, i32)> {
        let (length, symbol) = self.find(bits << (16 - known))?;
        let (run, size) = self.run_and_size(symbol);
        if length + size > known {
            return None;
        }
        let magnitude = (bits >> (known - length - size) & ((1 << size) - 1)) as i32;
        let negative = size > 0 && magnitude >> (size - 1) == 0;
        let value = magnitude - if negative { (1 << size) - 1 } else { 0 };
        Some((length + size, run, value))
    }

    fn pair_entry(&self, bits: u32) -> u64 {
        let Some((length, run, value)) = self.whole_symbol(bits, PAIR) else {
            return 0;
        };
        if run >= END {
            return 0;
        }
        let known = PAIR - length;
        let second = self.whole_symbol(bits & ((1 << known) - 1), known);
        let (second_length, second_run, second_value, passed) = match second {
            Some((length, run, _)) if run >= END => (length, 0, 0, END),
            Some((length, run, value)) => (length, run, value, run + 1),
            None => (0, 0, 0, 0),
        };
        u64::from(length + second_length)
            | u64::from(run) << 8
            | u64::from(second_run) << 16
            | u64::from(run + 1 + passed) << 24
            | u64::from(value as u16) << 32
            | u64::from(second_value as u16) << 48
    }

    /// The next one or two symbols of a sequential block with their values, unless they are long,
    /// the first ends the block, or it is the last that the block can have.
    #[inline(always)]
    pub(crate) fn pair(&self, window: &mut Window<'_>, index: u32) -> Option<Pair> {
        window.refill();
        let entry = self.pairs[window.peek::<PAIR>()];
        let first = index + (entry >> 8 & 127) as u32;
        if entry == 0 || first >= 63 {
            return None;
        }
        window.consume(entry as u32 & 31);
        Some(Pair {
            first,
            second: first + 1 + (entry >> 16 & 127) as u32,
            next: index + (entry >> 24 & 127) as u32,
            values: [(entry >> 32) as i16, (entry >> 48) as i16],
        })
    }

    /// The next symbol with its value. The window is refilled before, and holds at least 25 bits
    /// after it.
    #[inline(always)]
    pub(crate) fn symbol(&self, window: &mut Window<'_>) -> Result<Symbol> {
        window.refill();
        let entry = self.fast[window.peek::<FAST>()];
        if entry == 0 {
            return self.long_symbol(window);
        }
        window.consume(entry & 31);
        let size = entry >> 12 & 15;
        Ok(Symbol { run: entry >> 5 & 127, value: if size == 0 { entry as i32 >> 16 } else { window.extend(size) } })
    }

    #[cold]
    #[inline(never)]
    fn long_symbol(&self, window: &mut Window<'_>) -> Result<Symbol> {
        let (length, symbol) = self
            .find(window.peek::<16>() as u32)
            .ok_or(Error::Corrupt("a code that its Huffman table does not have"))?;
        window.consume(length);
        let (run, size) = self.run_and_size(symbol);
        Ok(Symbol { run, value: if size == 0 { 0 } else { window.extend(size) } })
    }

    /// Passes over the coefficients from `index` to the end of the block, whatever they are.
    #[inline(always)]
    pub(crate) fn skip_block(&self, window: &mut Window<'_>, mut index: u32) -> Result<()> {
        while index < 64 {
            window.refill();
            let entry = u32::from(self.skip[window.peek::<SKIP>()]);
            let (passed, end) = (entry >> 5 & 127, entry >> 12);
            // Past the 63rd coefficient the bits belong to the next block.
            if entry == 0 || index + passed + end > 64 {
                let symbol = self.symbol(window)?;
                index += symbol.run + 1;
                continue;
            }
            window.consume(entry & 31);
            index += passed + (end << 6);
        }
        Ok(())
    }
}
