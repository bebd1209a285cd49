//! Prefix codes (RFC 9649, section 3.7.2): reading their code lengths, and decoding tables.

use crate::bits::{BitReader, BitSource};
use crate::error::{Error, Result};

/// The longest code, in bits.
const MAX_CODE_LENGTH: usize = 15;
/// Bits that index the first-level table of a code.
const ROOT_BITS: u32 = 9;
/// Flag of a first-level entry: the code is longer and continues in a second-level table.
const SECOND_LEVEL: u32 = 1 << 31;
/// `kCodeLengthCodeOrder` (section 3.7.2.1).
const CODE_LENGTH_ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// The symbol that repeats the previous non-zero length; 17 and 18 repeat zero.
const REPEAT_PREVIOUS: u32 = 16;
/// The length that is repeated if there is no previous one.
const INITIAL_PREVIOUS: u8 = 8;

/// The tables of all codes of an image.
///
/// The lowest 8 bits of an entry hold the code length, the others the symbol. If [`SECOND_LEVEL`] is
/// set, they hold the number of index bits and the offset of the second-level table.
pub(crate) type Entries = Vec<u32>;

/// The position of a code's tables.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PrefixCode {
    pub(crate) start: u32,
    /// Bits that index the first-level table; 0 for a code of one symbol.
    pub(crate) bits: u32,
}

impl PrefixCode {
    /// Reads a symbol. The word must hold 15 bits.
    #[inline(always)]
    pub(crate) fn symbol(self, entries: &[u32], reader: &mut BitReader<'_>) -> u32 {
        let entry = self.entry(entries, reader.peek());
        reader.consume(entry & 0xFF);
        entry >> 8
    }

    /// The entry of the code in the low bits of a word.
    #[inline(always)]
    pub(crate) fn entry(self, entries: &[u32], word: u64) -> u32 {
        let entry = entries[self.start as usize + (word as u32 & mask(self.bits)) as usize];
        if entry & SECOND_LEVEL == 0 { entry } else { self.second(entries, entry, word) }
    }

    /// The second-level entry.
    #[inline(always)]
    pub(crate) fn second(self, entries: &[u32], entry: u32, word: u64) -> u32 {
        let start = self.start + ((entry & !SECOND_LEVEL) >> 8);
        entries[(start + ((word >> self.bits) as u32 & mask(entry & 0xFF))) as usize]
    }

    /// Length and symbol of the code in the low `known` bits, or `None` if it is longer.
    pub(crate) fn known(self, entries: &[u32], word: u32, known: u32) -> Option<(u32, u32)> {
        let entry = self.entry(entries, u64::from(word));
        (entry & 0xFF <= known).then_some((entry & 0xFF, entry >> 8))
    }
}

#[inline(always)]
pub(crate) fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}

/// Reads code lengths (section 3.7.2.1).
pub(crate) struct CodeLengthReader {
    of: Vec<u8>,
    /// Tables of the code length code.
    entries: Entries,
    sorted: Vec<u16>,
}

impl CodeLengthReader {
    /// For alphabets of at most `most` symbols.
    pub(crate) fn new(most: usize) -> Self {
        Self { of: vec![0; most.max(256)], entries: Vec::new(), sorted: Vec::new() }
    }

    /// Reads and checks a code; appends its tables to `entries` if `keep` is set.
    pub(crate) fn read(
        &mut self,
        bits: &mut BitSource<'_>,
        alphabet: usize,
        entries: &mut Entries,
        keep: bool,
    ) -> Result<PrefixCode> {
        self.of.fill(0);
        if bits.read_flag()? {
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

    /// Returns true if the last code read has a symbol in `from..to`.
    pub(crate) fn any(&self, from: usize, to: usize) -> bool {
        self.of[from..to].iter().any(|&length| length > 0)
    }

    /// A simple code length code: one or two symbols. Symbols outside of the alphabet are ignored.
    fn read_simple(&mut self, bits: &mut BitSource<'_>) -> Result<()> {
        let two = bits.read_flag()?;
        let size = if bits.read_flag()? { 8 } else { 1 };
        self.of[bits.read_bits(size)? as usize] = 1;
        if two {
            self.of[bits.read_bits(8)? as usize] = 1;
        }
        Ok(())
    }

    fn read_coded(&mut self, bits: &mut BitSource<'_>, alphabet: usize) -> Result<()> {
        let count = 4 + bits.read_bits(4)? as usize;
        let mut code_lengths = [0; CODE_LENGTH_ORDER.len()];
        for &at in &CODE_LENGTH_ORDER[..count] {
            code_lengths[at] = bits.read_bits(3)? as u8;
        }
        self.entries.clear();
        let code = build(&code_lengths, &mut self.sorted, &mut self.entries)?;
        let mut left = alphabet;
        if bits.read_flag()? {
            let size = 2 + 2 * bits.read_bits(3)?;
            left = 2 + bits.read_bits(size)? as usize;
            if left > alphabet {
                return Err(Error::Corrupt("more code lengths than symbols"));
            }
        }
        let (mut at, mut previous) = (0, INITIAL_PREVIOUS);
        while at < alphabet && left > 0 {
            left -= 1;
            bits.ensure_step()?;
            let mut reader = bits.reader();
            reader.refill();
            let length = code.symbol(&self.entries, &mut reader);
            let (value, count) = match length {
                REPEAT_PREVIOUS => (previous, 3 + reader.read_bits(2)),
                17 => (0, 3 + reader.read_bits(3)),
                18 => (0, 11 + reader.read_bits(7)),
                length => (length as u8, 1),
            };
            reader.commit();
            if length < REPEAT_PREVIOUS && value > 0 {
                previous = value;
            }
            let end = at + count as usize;
            self.of[..alphabet]
                .get_mut(at..end)
                .ok_or(Error::Corrupt("code lengths past the last symbol"))?
                .fill(value);
            at = end;
        }
        bits.check_overrun()
    }
}

/// Appends the tables of the canonical code with these lengths (0 for unused symbols). A single symbol
/// has a code of 0 bits, whatever its length.
fn build(lengths: &[u8], sorted: &mut Vec<u16>, entries: &mut Entries) -> Result<PrefixCode> {
    let mut counts = [0_u32; MAX_CODE_LENGTH + 1];
    for &length in lengths {
        counts[usize::from(length)] += 1;
    }
    let symbols = lengths.len() as u32 - counts[0];
    let start = entries.len();
    if symbols <= 1 {
        let symbol =
            lengths.iter().position(|&length| length > 0).ok_or(Error::Corrupt("a prefix code without symbols"))?;
        entries.push((symbol as u32) << 8);
        return Ok(PrefixCode { start: start as u32, bits: 0 });
    }
    counts[0] = 0;
    let (mut space, mut places, mut place) = (0_u32, [0; MAX_CODE_LENGTH + 1], 0);
    for length in 1..=MAX_CODE_LENGTH {
        space += counts[length] << (MAX_CODE_LENGTH - length);
        places[length] = place;
        place += counts[length] as usize;
    }
    if space != 1 << MAX_CODE_LENGTH {
        return Err(Error::Corrupt("an incomplete or oversubscribed prefix code"));
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

    let longest = (1..=MAX_CODE_LENGTH).rfind(|&length| counts[length] > 0).unwrap_or(1) as u32;
    let root = longest.min(ROOT_BITS);
    entries.resize(start + (1 << root), 0);
    let mut symbols = sorted.iter();
    // The next code, its first bit highest.
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
                // Codes with a common first-level prefix are consecutive.
                if next & mask(length - root) == 0 && entries[start + first as usize] == 0 {
                    let bits = second_bits(&counts, length, left, root);
                    second = entries.len()..entries.len() + (1 << bits);
                    entries[start + first as usize] = SECOND_LEVEL | ((second.start - start) as u32) << 8 | bits;
                    entries.resize(second.end, 0);
                }
                let table = &mut entries[second.clone()];
                let step = 1 << (length - root);
                (reversed as usize >> root..table.len()).step_by(step).for_each(|at| table[at] = entry);
            }
            next += 1;
        }
    }
    Ok(PrefixCode { start: start as u32, bits: root })
}

/// Index bits of the second-level table that starts with a code of `length` bits. `left` codes of that
/// length, including this one, remain.
fn second_bits(counts: &[u32; MAX_CODE_LENGTH + 1], length: u32, left: u32, root: u32) -> u32 {
    let mut space = 1_i64 << (length - root);
    let mut longest = length;
    space -= i64::from(left);
    while space > 0 {
        longest += 1;
        space = space * 2 - i64::from(counts[longest as usize]);
    }
    longest - root
}
