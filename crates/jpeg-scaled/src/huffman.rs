//! Huffman tables (ITU-T T.81, annexes C and F), arranged for taking as much as possible at once.

use crate::error::{Error, Result};
use crate::input::Window;

/// Bits that index [`Table::fast`].
const FAST: u32 = 10;
/// Bits that index [`Table::pairs`].
const PAIR: u32 = 11;
/// Bits that index [`Table::skip`].
const SKIP: u32 = 12;

/// The most bits that a lookup takes: of the last symbol that is passed over the value need not be
/// known.
const MOST: u32 = 14;
/// Lookups after one refill.
pub(crate) const LOOKUPS: u32 = 56 / MOST;

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
    /// By the next bits, as many whole symbols as they hold: see [`Passed`].
    skip: Box<[u16; 1 << SKIP]>,
    /// By the next bits, one or two symbols with their values: see [`Pair`].
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

/// Symbols that are passed over. Bits 0 to 7, their length in bits; bits 8 to 15, how many
/// coefficients they are, and [`END`] if the last ends the block. Zero where not even one is known.
#[derive(Clone, Copy)]
struct Passed(u16);

/// Up to two coefficients and where they are. Bits 0 to 7, the length of their symbols; then, eight
/// bits each, how far on the first is, how far on the second, and how far to go on, with [`END`] if
/// the block ends; then their values, 16 bits each. A coefficient that is not there is a zero where
/// nothing is yet. Zero where not even one symbol is known.
#[derive(Clone, Copy)]
pub(crate) struct Pair(u64);

impl Pair {
    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// How far on each of the two is, and its value.
    #[inline(always)]
    pub(crate) fn values(self) -> [(u32, i16); 2] {
        [((self.0 >> 8) as u8, (self.0 >> 32) as i16), ((self.0 >> 16) as u8, (self.0 >> 48) as i16)]
            .map(|(distance, value)| (u32::from(distance), value))
    }

    /// How far to go on: [`END`] or more at the end of the block.
    #[inline(always)]
    pub(crate) fn distance(self) -> u32 {
        u32::from((self.0 >> 24) as u8)
    }
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
        if kind == Kind::Ac {
            for bits in 0..1 << SKIP {
                table.skip[bits as usize] = table.skip_entry(bits);
            }
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
        while used < SKIP {
            let known = SKIP - used;
            let Some((length, symbol)) = self.find((bits << used & ((1 << SKIP) - 1)) << (16 - SKIP)) else {
                break;
            };
            let (run, size) = self.run_and_size(symbol);
            if length > known {
                break;
            }
            if run >= END {
                used += length;
                passed += END;
                break;
            }
            if passed + run + 1 > 63 || used + length + size > MOST {
                break;
            }
            used += length + size;
            passed += run + 1;
        }
        (used | passed << 8) as u16
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
        let entry = |length: u32, first: u32, second: u32, on: u32, values: [i32; 2]| {
            u64::from(length)
                | u64::from(first) << 8
                | u64::from(second) << 16
                | u64::from(on) << 24
                | u64::from(values[0] as u16) << 32
                | u64::from(values[1] as u16) << 48
        };
        if run >= END {
            return entry(length, 0, 0, END, [0, 0]);
        }
        let next = run + 1;
        let known = PAIR - length;
        match self.whole_symbol(bits & ((1 << known) - 1), known) {
            None => entry(length, run, next, next, [value, 0]),
            Some((more, run_2, _)) if run_2 >= END => entry(length + more, run, next, next + END, [value, 0]),
            Some((more, run_2, value_2)) => entry(length + more, run, next + run_2, next + run_2 + 1, [value, value_2]),
        }
    }

    /// The next one or two symbols of a sequential block, if they are short, and not taken yet. It
    /// needs [`PAIR`] bits in the window.
    #[inline(always)]
    pub(crate) fn pair(&self, window: &Window<'_>) -> Pair {
        Pair(self.pairs[window.peek::<PAIR>()])
    }

    #[inline(always)]
    pub(crate) fn take_pair(window: &mut Window<'_>, pair: Pair) {
        window.consume(pair.0 as u32);
    }

    /// The next symbol with its value; `None` if its code is not in the table. The window is
    /// refilled before, and holds at least 25 bits after it.
    #[inline(always)]
    pub(crate) fn symbol(&self, window: &mut Window<'_>) -> Option<Symbol> {
        window.refill();
        let entry = self.fast[window.peek::<FAST>()];
        let (length, run, size) = if entry == 0 {
            self.long(window.peek::<16>() as u32)?
        } else {
            (entry & 31, entry >> 5 & 127, entry >> 12 & 15)
        };
        window.consume(length);
        Some(Symbol { run, value: if size == 0 { entry as i32 >> 16 } else { window.extend(size) } })
    }

    /// Length, run and size of a symbol whose code is long.
    #[cold]
    #[inline(never)]
    fn long(&self, bits: u32) -> Option<(u32, u32, u32)> {
        let (length, symbol) = self.find(bits)?;
        let (run, size) = self.run_and_size(symbol);
        Some((length, run, size))
    }

    /// Passes over the coefficients from `index` to the end of the block, whatever they are; `None`
    /// at a code that is not in the table.
    #[inline(always)]
    pub(crate) fn skip_block(&self, window: &mut Window<'_>, mut index: u32) -> Option<()> {
        while index < 64 {
            window.refill();
            for _ in 0..LOOKUPS {
                let entry = Passed(self.skip[window.peek::<SKIP>()]);
                // Past the 63rd coefficient the bits belong to the next block.
                if entry.0 == 0 || index + entry.coefficients() > 63 {
                    index += self.symbol(window)?.run + 1;
                    break;
                }
                window.consume(u32::from(entry.0));
                index += entry.distance();
                if index > 63 {
                    break;
                }
            }
        }
        Some(())
    }
}

impl Passed {
    /// How far to go on: [`END`] or more at the end of the block.
    #[inline(always)]
    fn distance(self) -> u32 {
        u32::from(self.0 >> 8)
    }

    #[inline(always)]
    fn coefficients(self) -> u32 {
        u32::from(self.0 >> 8 & 63)
    }
}
