//! Prefix codes (RFC 9649, section 3.7.2): how their lengths are read, and tables to read symbols
//! with.

use std::io::Read;

use crate::bits::{Bits, Window};
use crate::error::{Error, Result};

/// The longest code.
const LONGEST: usize = 15;
/// Bits that index the first table of a code.
const ROOT: u32 = 9;
/// In an entry of a first table: the code is longer, and a second table follows.
const LONGER: u32 = 1 << 31;
/// The order in which lengths of the code of code lengths are stored (RFC 9649, section 3.7.2.1).
const LENGTH_ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// A code length that repeats the one before it; those after it repeat zero.
const REPEAT: u32 = 16;
/// What is repeated if nothing came before.
const FIRST_LENGTH: u8 = 8;

/// The tables of all codes of a picture, one after the other.
///
/// An entry has the length of the code in its lowest 8 bits and the symbol above; where
/// [`LONGER`] is set instead, the bits of the second table's index, and how far on it begins.
pub(crate) type Entries = Vec<u32>;

/// Where the tables of a code are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Code {
    pub(crate) start: u32,
    /// Bits that index the first table; a code of one symbol has none.
    pub(crate) bits: u32,
}

impl Code {
    /// The next symbol. The window holds 15 bits.
    #[inline(always)]
    pub(crate) fn symbol(self, entries: &[u32], window: &mut Window<'_>) -> u32 {
        let entry = self.entry(entries, window.word());
        window.consume(entry & 0xFF);
        entry >> 8
    }

    /// The entry of the code at the bottom of a word.
    #[inline(always)]
    pub(crate) fn entry(self, entries: &[u32], word: u64) -> u32 {
        let entry = entries[self.start as usize + (word as u32 & mask(self.bits)) as usize];
        if entry & LONGER == 0 { entry } else { self.second(entries, entry, word) }
    }

    /// The entry that the second table has for the bits after those of the first.
    #[inline(always)]
    pub(crate) fn second(self, entries: &[u32], entry: u32, word: u64) -> u32 {
        let start = self.start + ((entry & !LONGER) >> 8);
        entries[(start + ((word >> self.bits) as u32 & mask(entry & 0xFF))) as usize]
    }

    /// Length of the code and symbol at the bottom of `known` bits, if it is there whole.
    pub(crate) fn known(self, entries: &[u32], word: u32, known: u32) -> Option<(u32, u32)> {
        let entry = self.entry(entries, u64::from(word));
        (entry & 0xFF <= known).then_some((entry & 0xFF, entry >> 8))
    }
}

#[inline(always)]
pub(crate) fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}

/// Code lengths, by symbol.
pub(crate) struct Lengths {
    of: Vec<u8>,
    /// For the code of code lengths.
    entries: Entries,
    sorted: Vec<u16>,
}

impl Lengths {
    /// For alphabets of at most so many symbols.
    pub(crate) fn new(most: usize) -> Self {
        Self { of: vec![0; most.max(256)], entries: Vec::new(), sorted: Vec::new() }
    }

    /// Reads the code of an alphabet and appends its tables to `entries`, or nothing if `keep` is
    /// not set; the code is checked either way.
    pub(crate) fn read<R: Read>(
        &mut self,
        bits: &mut Bits<R>,
        alphabet: usize,
        entries: &mut Entries,
        keep: bool,
    ) -> Result<Code> {
        self.of.fill(0);
        if bits.flag()? {
            self.read_simple(bits)?;
        } else {
            self.read_coded(bits, alphabet)?;
        }
        let before = entries.len();
        let code = build(&self.of[..alphabet], &mut self.sorted, entries)?;
        if !keep {
            entries.truncate(before);
        }
        Ok(code)
    }

    /// Whether the code that was read last has any of these symbols.
    pub(crate) fn any(&self, from: usize, to: usize) -> bool {
        self.of[from..to].iter().any(|&length| length > 0)
    }

    /// One or two symbols of one bit each. One that the alphabet does not have does not count.
    fn read_simple<R: Read>(&mut self, bits: &mut Bits<R>) -> Result<()> {
        let two = bits.flag()?;
        let size = if bits.flag()? { 8 } else { 1 };
        self.of[bits.take(size)? as usize] = 1;
        if two {
            self.of[bits.take(8)? as usize] = 1;
        }
        Ok(())
    }

    fn read_coded<R: Read>(&mut self, bits: &mut Bits<R>, alphabet: usize) -> Result<()> {
        let count = 4 + bits.take(4)? as usize;
        let mut code_lengths = [0; LENGTH_ORDER.len()];
        for &at in &LENGTH_ORDER[..count] {
            code_lengths[at] = bits.take(3)? as u8;
        }
        self.entries.clear();
        let code = build(&code_lengths, &mut self.sorted, &mut self.entries)?;
        let mut left = alphabet;
        if bits.flag()? {
            let size = 2 + 2 * bits.take(3)?;
            left = 2 + bits.take(size)? as usize;
            if left > alphabet {
                return Err(Error::Corrupt("more code lengths than symbols"));
            }
        }
        let (mut at, mut previous) = (0, FIRST_LENGTH);
        while at < alphabet && left > 0 {
            left -= 1;
            bits.fill()?;
            let mut window = bits.window();
            window.refill();
            let length = code.symbol(&self.entries, &mut window);
            let (value, count) = match length {
                REPEAT => (previous, 3 + window.take(2)),
                17 => (0, 3 + window.take(3)),
                18 => (0, 11 + window.take(7)),
                length => (length as u8, 1),
            };
            window.done();
            if length < REPEAT && value > 0 {
                previous = value;
            }
            let end = at + count as usize;
            self.of[..alphabet]
                .get_mut(at..end)
                .ok_or(Error::Corrupt("code lengths past the last symbol"))?
                .fill(value);
            at = end;
        }
        bits.check()
    }
}

/// Appends the tables of the canonical code with these lengths, 0 where there is no code. A symbol
/// without others has a code of no bits, whatever its length.
fn build(lengths: &[u8], sorted: &mut Vec<u16>, entries: &mut Entries) -> Result<Code> {
    let mut counts = [0_u32; LONGEST + 1];
    for &length in lengths {
        counts[usize::from(length)] += 1;
    }
    let symbols = lengths.len() as u32 - counts[0];
    let start = entries.len();
    if symbols <= 1 {
        let symbol = lengths.iter().position(|&length| length > 0).ok_or(Error::Corrupt("a code without symbols"))?;
        entries.push((symbol as u32) << 8);
        return Ok(Code { start: start as u32, bits: 0 });
    }
    counts[0] = 0;
    let (mut space, mut places, mut place) = (0_u32, [0; LONGEST + 1], 0);
    for length in 1..=LONGEST {
        space += counts[length] << (LONGEST - length);
        places[length] = place;
        place += counts[length] as usize;
    }
    if space != 1 << LONGEST {
        return Err(Error::Corrupt("a code that is not complete"));
    }
    sorted.clear();
    sorted.resize(place, 0);
    for (symbol, &length) in lengths.iter().enumerate() {
        if length > 0 {
            let place = &mut places[usize::from(length)];
            sorted[*place] = symbol as u16;
            *place += 1;
        }
    }

    let longest = (1..=LONGEST).rfind(|&length| counts[length] > 0).unwrap_or(1) as u32;
    let root = longest.min(ROOT);
    entries.resize(start + (1 << root), 0);
    let mut symbols = sorted.iter();
    // The code that comes next, its first bit highest.
    let mut next = 0_u32;
    let mut second = 0..0;
    for length in 1..=longest {
        next <<= 1;
        for left in (1..=counts[length as usize]).rev() {
            let entry = u32::from(*symbols.next().expect("as many as were counted")) << 8 | length;
            let reversed = next.reverse_bits() >> (32 - length);
            if length <= root {
                let table = &mut entries[start..];
                (reversed as usize..1 << root).step_by(1 << length).for_each(|at| table[at] = entry);
            } else {
                let first = reversed & mask(root);
                // Codes of one beginning follow each other.
                if next & mask(length - root) == 0 && entries[start + first as usize] == 0 {
                    let bits = second_bits(&counts, length, left, root);
                    second = entries.len()..entries.len() + (1 << bits);
                    entries[start + first as usize] = LONGER | ((second.start - start) as u32) << 8 | bits;
                    entries.resize(second.end, 0);
                }
                let table = &mut entries[second.clone()];
                let step = 1 << (length - root);
                (reversed as usize >> root..table.len()).step_by(step).for_each(|at| table[at] = entry);
            }
            next += 1;
        }
    }
    Ok(Code { start: start as u32, bits: root })
}

/// Bits that the longest code has beyond the first `root`, of those that begin like one of `length`
/// bits after which, with it, `left` of its length are left.
fn second_bits(counts: &[u32; LONGEST + 1], length: u32, left: u32, root: u32) -> u32 {
    let mut space = 1_i64 << (length - root);
    let mut longest = length;
    space -= i64::from(left);
    while space > 0 {
        longest += 1;
        space = space * 2 - i64::from(counts[longest as usize]);
    }
    longest - root
}
