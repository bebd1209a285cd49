//! Huffman decoding (ITU-T T.81, annexes C and F) with tables that decode several symbols at once.

use crate::error::{Error, Result};
use crate::input::BitReader;

/// Bits that index [`HuffmanDecoder::fast`].
const FAST_BITS: u32 = 10;
/// Bits that index [`HuffmanDecoder::pairs`].
const PAIR_BITS: u32 = 11;
/// Bits that index [`HuffmanDecoder::skip`].
const SKIP_BITS: u32 = 12;

/// The most bits that a lookup consumes. This may exceed its index: the value bits of the last skipped
/// symbol need not be known.
const MAX_LOOKUP_BITS: u32 = 14;
/// Lookups that one refill is enough for.
pub(crate) const LOOKUPS: u32 = 56 / MAX_LOOKUP_BITS;

/// A run longer than any block: the symbol is EOB, or in progressive scans EOBn.
pub(crate) const EOB: u32 = 64;

/// BITS and HUFFVAL of a DHT segment (sections B.2.4.2 and C.2).
#[derive(Clone)]
pub(crate) struct HuffmanSpec {
    pub(crate) bits: [u8; 16],
    pub(crate) huffval: Vec<u8>,
}

impl From<crate::typical::HuffmanSpec> for HuffmanSpec {
    fn from(spec: crate::typical::HuffmanSpec) -> Self {
        Self { bits: spec.bits, huffval: spec.huffval.to_vec() }
    }
}

/// The meaning of the symbols.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SymbolKind {
    /// SSSS of a DC difference.
    Dc,
    /// RRRRSSSS; SSSS of 0 ends the block, except in ZRL.
    Ac,
    /// RRRRSSSS; SSSS of 0 starts an EOB run, except in ZRL.
    ProgressiveAc,
}

pub(crate) struct HuffmanDecoder {
    /// One symbol by the next bits. Bits 0 to 4: length of the code, including the value if it fits;
    /// bits 5 to 11: run of zeros, or [`EOB`] and more; bits 12 to 15: size of a value that does not
    /// fit; bits 16 to 31: a value that fits. 0 if the code is longer.
    fast: Box<[u32; 1 << FAST_BITS]>,
    /// As many symbols as the next bits hold: see [`SkipEntry`].
    skip: Box<[u16; 1 << SKIP_BITS]>,
    /// One or two symbols with their values by the next bits: see [`Pair`].
    pairs: Box<[u32; 1 << PAIR_BITS]>,
    /// MAXCODE + 1 of each length, in the high bits of 16.
    max_code: [u32; 17],
    /// VALPTR - MINCODE of each length.
    val_offset: [i32; 17],
    huffval: [u8; 256],
    kind: SymbolKind,
}

/// A symbol: the run of zeros and the value after it.
#[derive(Clone, Copy)]
pub(crate) struct Symbol {
    pub(crate) run: u32,
    pub(crate) value: i32,
}

/// Skipped symbols. Bits 0 to 7: their length; bits 8 to 15: their number of coefficients, plus [`EOB`]
/// if the last one ends the block. 0 if the first symbol is longer than the index.
#[derive(Clone, Copy)]
struct SkipEntry(u16);

/// Up to two coefficients. Bits 0 to 3: length of their symbols; bits 4 to 7: distance to the first; bits 8 to 15 and 16
/// to 23: their values; bits 24 to 31: distance to the next symbol, after the second coefficient, plus [`EOB`] if the
/// block ends. A second coefficient that is missing is a zero at the place of the first. 0 if the first symbol is longer
/// than the index, or its value than eight bits.
///
/// 32 bits, because the tables of a scan must fit the L1 cache.
#[derive(Clone, Copy)]
pub(crate) struct Pair(u32);

impl Pair {
    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Distance and value of each coefficient, the second one first: the first one overwrites it if it is missing.
    #[inline(always)]
    pub(crate) fn values(self) -> [(u32, i16); 2] {
        let second = (self.distance() % EOB).wrapping_sub(1);
        [(second, i16::from((self.0 >> 16) as i8)), (self.0 >> 4 & 15, i16::from((self.0 >> 8) as i8))]
    }

    /// Distance to the next symbol: [`EOB`] or more at the end of the block.
    #[inline(always)]
    pub(crate) fn distance(self) -> u32 {
        self.0 >> 24
    }
}

impl HuffmanDecoder {
    pub(crate) fn new(code: &HuffmanSpec, kind: SymbolKind) -> Result<Self> {
        let mut table = Self {
            fast: vec![0; 1 << FAST_BITS].try_into().expect("the size is right"),
            skip: vec![0; 1 << SKIP_BITS].try_into().expect("the size is right"),
            pairs: vec![0; 1 << PAIR_BITS].try_into().expect("the size is right"),
            max_code: [0; 17],
            val_offset: [0; 17],
            huffval: [0; 256],
            kind,
        };
        table.huffval[..code.huffval.len()].copy_from_slice(&code.huffval);
        let (mut next, mut index) = (0_u32, 0_u32);
        for length in 1..=16 {
            next <<= 1;
            let count = u32::from(code.bits[length - 1]);
            table.val_offset[length] = index as i32 - next as i32;
            index += count;
            next += count;
            if next > 1 << length {
                return Err(Error::Corrupt("a Huffman table has too many codes"));
            }
            table.max_code[length] = next << (16 - length);
        }
        for bits in 0..1 << FAST_BITS {
            table.fast[bits as usize] = table.fast_entry(bits);
        }
        if kind == SymbolKind::Ac {
            for bits in 0..1 << SKIP_BITS {
                table.skip[bits as usize] = table.skip_entry(bits);
            }
            for bits in 0..1 << PAIR_BITS {
                table.pairs[bits as usize] = table.pair_entry(bits);
            }
        }
        Ok(table)
    }

    /// DECODE (section F.2.2.3) of the high bits of 16: length of the code, and its symbol.
    fn decode_code(&self, bits: u32) -> Option<(u32, u8)> {
        (1..=16).find(|&length| bits < self.max_code[length]).map(|length| {
            let code = (bits >> (16 - length)) as i32;
            let index = code + self.val_offset[length];
            (length as u32, self.huffval[index as usize & 255])
        })
    }

    fn run_and_size(&self, symbol: u8) -> (u32, u32) {
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match (self.kind, run, size) {
            (SymbolKind::Dc, ..) => (0, size),
            (_, 15, 0) => (15, 0),
            (_, run, 0) => (EOB + run, 0),
            _ => (run, size),
        }
    }

    fn fast_entry(&self, bits: u32) -> u32 {
        let Some((length, symbol)) = self.decode_code(bits << (16 - FAST_BITS)) else {
            return 0;
        };
        if length > FAST_BITS {
            return 0;
        }
        let (run, size) = self.run_and_size(symbol);
        if size == 0 || length + size > FAST_BITS {
            return length | run << 5 | size << 12;
        }
        let magnitude = (bits >> (FAST_BITS - length - size)) & ((1 << size) - 1);
        let value = if magnitude >> (size - 1) == 0 { magnitude as i32 - (1 << size) + 1 } else { magnitude as i32 };
        (length + size) | run << 5 | (value as u32) << 16
    }

    fn skip_entry(&self, bits: u32) -> u16 {
        let (mut used, mut passed) = (0, 0);
        while used < SKIP_BITS {
            let known = SKIP_BITS - used;
            let Some((length, symbol)) = self.decode_code((bits << used & ((1 << SKIP_BITS) - 1)) << (16 - SKIP_BITS))
            else {
                break;
            };
            let (run, size) = self.run_and_size(symbol);
            if length > known {
                break;
            }
            if run >= EOB {
                used += length;
                passed += EOB;
                break;
            }
            if passed + run + 1 > 63 || used + length + size > MAX_LOOKUP_BITS {
                break;
            }
            used += length + size;
            passed += run + 1;
        }
        (used | passed << 8) as u16
    }

    /// Length, run and value of a symbol within `known` bits, or `None` if it is longer.
    fn whole_symbol(&self, bits: u32, known: u32) -> Option<(u32, u32, i32)> {
        let (length, symbol) = self.decode_code(bits << (16 - known))?;
        let (run, size) = self.run_and_size(symbol);
        if length + size > known {
            return None;
        }
        let magnitude = (bits >> (known - length - size) & ((1 << size) - 1)) as i32;
        let negative = size > 0 && magnitude >> (size - 1) == 0;
        let value = magnitude - if negative { (1 << size) - 1 } else { 0 };
        Some((length + size, run, value))
    }

    fn pair_entry(&self, bits: u32) -> u32 {
        let entry = |length: u32, run: u32, values: [i8; 2], distance: u32| {
            length | run << 4 | u32::from(values[0] as u8) << 8 | u32::from(values[1] as u8) << 16 | distance << 24
        };
        let Some((length, run, value)) = self.whole_symbol(bits, PAIR_BITS) else {
            return 0;
        };
        if run >= EOB {
            // As if the next coefficient were zero.
            return entry(length, 0, [0, 0], EOB + 1);
        }
        let Ok(value) = i8::try_from(value) else {
            return 0;
        };
        let next = run + 1;
        let known = PAIR_BITS - length;
        match self.whole_symbol(bits & ((1 << known) - 1), known) {
            Some((more, run_2, _)) if run_2 >= EOB => entry(length + more, run, [value, 0], next + EOB),
            Some((more, run_2, value_2)) if let Ok(value_2) = i8::try_from(value_2) => {
                entry(length + more, run, [value, value_2], next + run_2 + 1)
            }
            _ => entry(length, run, [value, 0], next),
        }
    }

    /// The next one or two symbols of a sequential block, if they are short, without consuming them.
    /// The reader must hold [`PAIR_BITS`] bits.
    #[inline(always)]
    pub(crate) fn pair(&self, reader: &BitReader<'_>) -> Pair {
        Pair(self.pairs[reader.peek::<PAIR_BITS>()])
    }

    #[inline(always)]
    pub(crate) fn take_pair(reader: &mut BitReader<'_>, pair: Pair) {
        reader.consume(pair.0 & 15);
    }

    /// Reads a symbol and its value; `None` if the table does not have the code. Refills the reader
    /// first, which then holds at least 25 bits.
    #[inline(always)]
    pub(crate) fn decode(&self, reader: &mut BitReader<'_>) -> Option<Symbol> {
        reader.refill();
        let entry = self.fast[reader.peek::<FAST_BITS>()];
        let (length, run, size) = if entry == 0 {
            self.decode_long(reader.peek::<16>() as u32)?
        } else {
            (entry & 31, entry >> 5 & 127, entry >> 12 & 15)
        };
        reader.consume(length);
        Some(Symbol { run, value: if size == 0 { entry as i32 >> 16 } else { reader.extend(size) } })
    }

    /// Length, run and size of a symbol with a long code.
    #[cold]
    #[inline(never)]
    fn decode_long(&self, bits: u32) -> Option<(u32, u32, u32)> {
        let (length, symbol) = self.decode_code(bits)?;
        let (run, size) = self.run_and_size(symbol);
        Some((length, run, size))
    }

    /// Skips the coefficients from `index` to the end of the block; `None` if the table does not have a
    /// code.
    #[inline(always)]
    pub(crate) fn skip_block(&self, reader: &mut BitReader<'_>, mut index: u32) -> Option<()> {
        while index < 64 {
            reader.refill();
            for _ in 0..LOOKUPS {
                let entry = SkipEntry(self.skip[reader.peek::<SKIP_BITS>()]);
                // Past the 63rd coefficient the bits belong to the next block.
                if entry.0 == 0 || index + entry.coefficients() > 63 {
                    index += self.decode(reader)?.run + 1;
                    break;
                }
                reader.consume(u32::from(entry.0));
                index += entry.distance();
                if index > 63 {
                    break;
                }
            }
        }
        Some(())
    }
}

impl SkipEntry {
    /// Distance to the next symbol: [`EOB`] or more at the end of the block.
    #[inline(always)]
    fn distance(self) -> u32 {
        u32::from(self.0 >> 8)
    }

    #[inline(always)]
    fn coefficients(self) -> u32 {
        u32::from(self.0 >> 8 & 63)
    }
}
