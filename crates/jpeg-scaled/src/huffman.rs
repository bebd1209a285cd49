//! Huffman decoding (ITU-T T.81, annexes C and F) with tables that decode several symbols at once.

use std::rc::Rc;

use crate::error::{Error, Result};
use crate::input::Bits;

/// Bits that index [`HuffmanDecoder::fast`].
const FAST_BITS: u32 = 10;
/// Bits that index [`HuffmanDecoder::differences`].
const DIFFERENCE_BITS: u32 = 9;
/// Bits that index [`AcLookups::pairs`].
const PAIR_BITS: u32 = 11;
/// Bits that index [`AcLookups::skip`].
const SKIP_BITS: u32 = 12;

/// Bits that index [`Codes::short`].
const SHORT_BITS: u32 = 12;

/// The most bits that a lookup of skipped symbols consumes. This may exceed its index: the value bits of the last skipped
/// symbol need not be known.
const MAX_SKIP_BITS: u32 = 14;

/// Lookups that one refill is enough for.
pub(crate) const PAIRS: usize = 56 / PAIR_BITS as usize;
pub(crate) const SKIPS: usize = 56 / MAX_SKIP_BITS as usize;
/// Lookups of pairs that are possible after a DC difference of the greatest length without another refill.
pub(crate) const PAIRS_AFTER_DC: usize = (56 - 16 - 15) / PAIR_BITS as usize;

/// A run longer than any block: the symbol is EOB, or in progressive scans EOBn.
pub(crate) const EOB: u32 = 64;

/// The next bits are no code of the table.
pub(crate) const UNDEFINED_CODE: Error = Error::Corrupt("an undefined Huffman code");

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
    codes: Codes,
    /// One symbol by the next bits. Bits 0 to 4: length of the code, including the value if it fits;
    /// bits 5 to 11: run of zeros, or [`EOB`] and more; bits 12 to 15: size of a value that does not
    /// fit; bits 16 to 31: a value that fits. 0 if the code is longer.
    fast: [u32; 1 << FAST_BITS],
    /// [`SymbolKind::Dc`] only: a code by the next bits. Bits 0 to 7: its length; bits 8 to 15: SSSS. 0 if the code is longer.
    differences: [u16; 1 << DIFFERENCE_BITS],
    /// [`SymbolKind::Ac`] only.
    lookups: Option<Box<AcLookups>>,
}

/// What the next bits of a block hold, after its DC difference.
pub(crate) struct AcLookups {
    /// One or two coefficients with their values.
    pairs: [Lookup; 1 << PAIR_BITS],
    /// As many symbols as the bits hold.
    skip: [SkipLookup; 1 << SKIP_BITS],
}

/// The codes of a table.
struct Codes {
    /// The code that the next bits start with. Bits 0 to 7: HUFFVAL; bits 8 to 15: its length. 0 if it is longer.
    short: [u16; 1 << SHORT_BITS],
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

/// In the distance of a lookup: its index or its entry has too few bits for the first symbol, or coefficients follow the 63rd,
/// so that those bits belong to the next block. The symbol must be read by [`HuffmanDecoder::decode`].
pub(crate) const LONG: u8 = 64;
/// In the distance of a lookup: the block ends.
pub(crate) const END: u8 = 128;

/// Up to two coefficients. Bits 0 to 5: length of their symbols; bits 7 to 14: distance to the next symbol, with [`LONG`] or
/// [`END`]; bits 15 to 20 and 21 to 27: values of the second and the first coefficient; bits 28 to 31: distance to the first
/// one. A second coefficient that is missing is a zero at the place of the first.
///
/// The fields are where the decoder needs the fewest instructions for them: a shift ignores the bits above the length, and so
/// do tests of the distance. 32 bits, because the tables of a scan must fit the L1 cache.
#[derive(Clone, Copy)]
pub(crate) struct Lookup(u32);

/// Skipped coefficients: the low half of a [`Lookup`].
#[derive(Clone, Copy)]
pub(crate) struct SkipLookup(u16);

impl Lookup {
    const TOO_LONG: Self = Self((LONG as u32) << 7);

    /// `None` if a value has too many bits.
    fn new(length: u32, distance: u32, run: u32, [first, second]: [i32; 2]) -> Option<Self> {
        let fits = (-64..64).contains(&first) && (-32..32).contains(&second);
        fits.then_some(Self(
            length | distance << 7 | (second as u32 & 63) << 15 | (first as u32 & 127) << 21 | run << 28,
        ))
    }

    /// A number of which the lowest six bits are the length.
    #[inline(always)]
    pub(crate) fn length(self) -> u32 {
        self.0
    }

    /// Distance to the next symbol.
    #[inline(always)]
    pub(crate) fn distance(self) -> u8 {
        (self.0 >> 7) as u8
    }

    /// Distance to the first coefficient.
    #[inline(always)]
    pub(crate) fn run(self) -> u32 {
        self.0 >> 28
    }

    #[inline(always)]
    pub(crate) fn first(self) -> i16 {
        ((self.0 << 4) as i32 >> 25) as i16
    }

    #[inline(always)]
    pub(crate) fn second(self) -> i16 {
        ((self.0 << 11) as i32 >> 26) as i16
    }
}

impl SkipLookup {
    const TOO_LONG: Self = Self((LONG as u16) << 7);

    /// A number of which the lowest six bits are the length.
    #[inline(always)]
    pub(crate) fn length(self) -> u32 {
        u32::from(self.0)
    }

    #[inline(always)]
    pub(crate) fn distance(self) -> u8 {
        (self.0 >> 7) as u8
    }
}

impl Codes {
    fn new(spec: &HuffmanSpec, kind: SymbolKind) -> Result<Self> {
        let mut codes =
            Self { short: [0; 1 << SHORT_BITS], max_code: [0; 17], val_offset: [0; 17], huffval: [0; 256], kind };
        codes.huffval[..spec.huffval.len()].copy_from_slice(&spec.huffval);
        let (mut next, mut index) = (0_u32, 0_u32);
        for length in 1..=16 {
            next <<= 1;
            let count = u32::from(spec.bits[length - 1]);
            codes.val_offset[length] = index as i32 - next as i32;
            if next + count > 1 << length {
                return Err(Error::Corrupt("a Huffman table has too many codes"));
            }
            if let Some(unused) = SHORT_BITS.checked_sub(length as u32) {
                for (code, &symbol) in (next..).zip(codes.huffval[index as usize..].iter().take(count as usize)) {
                    codes.short[(code << unused) as usize..][..1 << unused]
                        .fill((length as u16) << 8 | u16::from(symbol));
                }
            }
            index += count;
            next += count;
            codes.max_code[length] = next << (16 - length);
        }
        Ok(codes)
    }

    /// DECODE (section F.2.2.3) of the high bits of 16: length of the code, and its symbol.
    fn decode(&self, bits: u32) -> Option<(u32, u8)> {
        let short = self.short[bits as usize >> (16 - SHORT_BITS)];
        if short != 0 {
            return Some((u32::from(short >> 8), short as u8));
        }
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
        let Some((length, symbol)) = self.decode(bits << (16 - FAST_BITS)) else {
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

    fn difference_entry(&self, bits: u32) -> u16 {
        match self.decode(bits << (16 - DIFFERENCE_BITS)) {
            Some((length, symbol)) if length <= DIFFERENCE_BITS => length as u16 | u16::from(symbol & 15) << 8,
            _ => 0,
        }
    }

    fn pair_entry(&self, bits: u32) -> Option<Lookup> {
        let (length, run, value) = self.whole_symbol(bits, PAIR_BITS)?;
        if run >= EOB {
            // As if the next coefficient were zero.
            return Lookup::new(length, u32::from(END) + 1, 0, [0, 0]);
        }
        let one = Lookup::new(length, run + 1, run, [value, 0]);
        let known = PAIR_BITS - length;
        let Some((more, run_2, value_2)) = self.whole_symbol(bits & ((1 << known) - 1), known) else {
            return one;
        };
        if run_2 >= EOB {
            return Lookup::new(length + more, u32::from(END) + run + 1, run, [value, 0]);
        }
        Lookup::new(length + more, run + 1 + run_2 + 1, run, [value, value_2]).or(one)
    }

    fn skip_entry(&self, bits: u32) -> SkipLookup {
        let (mut used, mut passed) = (0, 0);
        while used < SKIP_BITS {
            let known = SKIP_BITS - used;
            let rest = bits & ((1 << known) - 1);
            let Some((length, symbol)) = self.decode(rest << (16 - known)) else {
                break;
            };
            let (run, size) = self.run_and_size(symbol);
            if length > known {
                break;
            }
            if run >= EOB {
                used += length;
                // As if the next coefficient were zero.
                passed += u32::from(END) + 1;
                break;
            }
            if passed + run + 1 > 63 || used + length + size > MAX_SKIP_BITS {
                break;
            }
            used += length + size;
            passed += run + 1;
        }
        if used == 0 { SkipLookup::TOO_LONG } else { SkipLookup((used | passed << 7) as u16) }
    }

    /// Length, run and value of a symbol within `known` bits, or `None` if it is longer.
    fn whole_symbol(&self, bits: u32, known: u32) -> Option<(u32, u32, i32)> {
        let (length, symbol) = self.decode(bits << (16 - known))?;
        let (run, size) = self.run_and_size(symbol);
        if length + size > known {
            return None;
        }
        let magnitude = (bits >> (known - length - size) & ((1 << size) - 1)) as i32;
        let negative = size > 0 && magnitude >> (size - 1) == 0;
        let value = magnitude - if negative { (1 << size) - 1 } else { 0 };
        Some((length + size, run, value))
    }
}

impl AcLookups {
    fn new(codes: &Codes) -> Box<Self> {
        let mut lookups =
            Box::new(Self { pairs: [Lookup::TOO_LONG; 1 << PAIR_BITS], skip: [SkipLookup::TOO_LONG; 1 << SKIP_BITS] });
        for (bits, entry) in (0..).zip(&mut lookups.pairs) {
            *entry = codes.pair_entry(bits).unwrap_or(Lookup::TOO_LONG);
        }
        (0..).zip(&mut lookups.skip).for_each(|(bits, entry)| *entry = codes.skip_entry(bits));
        lookups
    }

    /// What the next bits hold, without consuming it. The reader must hold [`PAIR_BITS`] bits.
    #[inline(always)]
    pub(crate) fn pair(&self, bits: Bits) -> Lookup {
        self.pairs[bits.peek::<PAIR_BITS>()]
    }

    /// What the next bits hold, without consuming it. The reader must hold [`SKIP_BITS`] bits.
    #[inline(always)]
    pub(crate) fn skip(&self, bits: Bits) -> SkipLookup {
        self.skip[bits.peek::<SKIP_BITS>()]
    }
}

impl HuffmanDecoder {
    pub(crate) fn new(spec: &HuffmanSpec, kind: SymbolKind) -> Result<Rc<Self>> {
        let mut decoder = Self {
            codes: Codes::new(spec, kind)?,
            fast: [0; 1 << FAST_BITS],
            differences: [0; 1 << DIFFERENCE_BITS],
            lookups: None,
        };
        let codes = &decoder.codes;
        (0..).zip(&mut decoder.fast).for_each(|(bits, entry)| *entry = codes.fast_entry(bits));
        match kind {
            SymbolKind::Dc => {
                (0..).zip(&mut decoder.differences).for_each(|(bits, entry)| *entry = codes.difference_entry(bits));
            }
            SymbolKind::Ac => decoder.lookups = Some(AcLookups::new(codes)),
            SymbolKind::ProgressiveAc => {}
        }
        Ok(Rc::new(decoder))
    }

    /// Reads a DC difference after a refill; `None` if the table does not have the code. No branch depends on its size.
    #[inline(always)]
    pub(crate) fn difference(&self, bits: &mut Bits) -> Option<i32> {
        let entry = u32::from(self.differences[bits.peek::<DIFFERENCE_BITS>()]);
        if entry == 0 {
            return self.decode(bits).map(|symbol| symbol.value);
        }
        bits.consume(entry & 255);
        Some(bits.extend_any(entry >> 8))
    }

    /// The lookups of a decoder of [`SymbolKind::Ac`].
    ///
    /// # Panics
    /// If it is of another kind.
    pub(crate) fn lookups(&self) -> &AcLookups {
        self.lookups.as_deref().expect("the kind has lookups")
    }

    /// Reads a symbol and its value after a refill, which leaves at least 25 bits; `None` if the table does not have the code.
    #[inline(always)]
    pub(crate) fn decode(&self, bits: &mut Bits) -> Option<Symbol> {
        let entry = self.fast[bits.peek::<FAST_BITS>()];
        let (length, run, size) = if entry == 0 {
            self.decode_long(bits.peek::<16>() as u32)?
        } else {
            (entry & 31, entry >> 5 & 127, entry >> 12 & 15)
        };
        bits.consume(length);
        Some(Symbol { run, value: if size == 0 { entry as i32 >> 16 } else { bits.extend(size) } })
    }

    /// Length, run and size of a symbol with a long code.
    #[cold]
    #[inline(never)]
    fn decode_long(&self, bits: u32) -> Option<(u32, u32, u32)> {
        let (length, symbol) = self.codes.decode(bits)?;
        let (run, size) = self.codes.run_and_size(symbol);
        Some((length, run, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typical;

    /// Symbols of at most 64 bits of a block, read one by one: the run and the value of each, and the bits before the next.
    fn symbols(spec: &HuffmanSpec, bits: u64) -> Vec<(u32, i32, u32)> {
        let mut codes = Vec::new();
        let (mut code, mut values) = (0_u32, spec.huffval.iter());
        for length in 1..=16 {
            for &symbol in values.by_ref().take(spec.bits[length as usize - 1].into()) {
                codes.push((length, code, symbol));
                code += 1;
            }
            code <<= 1;
        }
        let (mut found, mut used) = (Vec::new(), 0);
        loop {
            let next = |count: u32| if count == 0 { 0 } else { (bits << used >> (64 - count)) as u32 };
            let known = 63 - used;
            let Some(&(length, _, symbol)) =
                codes.iter().find(|&&(length, code, _)| length <= known && next(length) == code)
            else {
                return found;
            };
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if length + size > known {
                return found;
            }
            let magnitude = (next(length + size) & ((1 << size) - 1)) as i32;
            let value = if size > 0 && magnitude >> (size - 1) == 0 { magnitude - (1 << size) + 1 } else { magnitude };
            used += length + size;
            let end = size == 0 && run < 15;
            found.push((if end { EOB } else { run }, value, used));
            if end {
                return found;
            }
        }
    }

    fn check(spec: &HuffmanSpec) {
        let decoder = HuffmanDecoder::new(spec, SymbolKind::Ac).unwrap();
        let lookups = decoder.lookups();
        let (mut pairs, mut skips, mut random) = (0, 0, 1_u64);
        for round in 0..1 << PAIR_BITS.max(SKIP_BITS) {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let word = (round as u64) << 52 | random >> 12;
            let all = symbols(spec, word);

            let found = lookups.pairs[(word >> (64 - PAIR_BITS)) as usize];
            if found.distance() & LONG == 0 {
                let length = found.length() & 63;
                let count = 1 + all.iter().position(|&(.., used)| used == length).expect("whole symbols");
                let coefficients: Vec<_> = all[..count].iter().filter(|&&(run, ..)| run != EOB).collect();
                assert!(length <= PAIR_BITS && coefficients.len() <= 2);
                assert_eq!(found.distance() & END != 0, all[count - 1].0 == EOB);
                let mut place = 0;
                let mut wanted = [0; 32];
                for &&(run, value, _) in &coefficients {
                    wanted[(place + run) as usize] = value;
                    place += run + 1;
                }
                let distance = u32::from(found.distance() & !END);
                assert_eq!(distance, place.max(1));
                let mut set = [0; 32];
                set[distance as usize - 1] = found.second().into();
                set[found.run() as usize] = found.first().into();
                assert_eq!(set, wanted);
                pairs += 1;
            }

            let found = lookups.skip[(word >> (64 - SKIP_BITS)) as usize];
            if found.distance() & LONG == 0 {
                let length = found.length() & 63;
                let count = 1 + all.iter().position(|&(.., used)| used == length).expect("whole symbols");
                let end = all[count - 1].0 == EOB;
                let coefficients: u32 = all[..count - usize::from(end)].iter().map(|&(run, ..)| run + 1).sum();
                assert!(length <= MAX_SKIP_BITS);
                assert_eq!(found.distance() & END != 0, end);
                assert_eq!(u32::from(found.distance() & !END), coefficients + u32::from(end));
                skips += 1;
            }
        }
        assert!(pairs > 1000 && skips > 1000, "{pairs} pairs and {skips} skips were compared");
    }

    #[test]
    fn lookups_hold_what_reading_symbol_by_symbol_gives() {
        for &spec in &typical::AC {
            check(&spec.into());
        }
        // Short codes, so that lookups hold many symbols.
        check(&HuffmanSpec {
            bits: [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            huffval: vec![1, 0, 0x11, 2, 0xF0, 0x25],
        });
    }
}
