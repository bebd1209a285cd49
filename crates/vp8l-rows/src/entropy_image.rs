//! Entropy-coded images (RFC 9649, sections 3.6 and 3.7): literals, backward references and the color
//! cache.
//!
//! The decoder keeps pixels in a ring as long as the largest distance and returns them row by row. A
//! pixel is an ARGB number of 32 bits, alpha highest.

use pulp::{Arch, NullaryFnOnce};

use crate::bits::{BitReader, BitSource};
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::prefix::{CodeLengthReader, Entries, PrefixCode, mask};

/// The largest distance in pixels: the largest distance code less the 120 of [`DISTANCE_MAP`]
/// (section 3.6.2.2).
const MAX_DISTANCE: usize = 1 << 20;
/// The alphabet of the first code of a group: green literals, then length codes, then cache indices
/// (section 3.7.2.3).
const NUM_LITERALS: u32 = 256;
const NUM_LENGTH_CODES: u32 = 24;
const NUM_DISTANCE_CODES: usize = 40;
/// The distance codes 1 to 120 as columns to the left and rows above (section 3.6.2.2).
#[rustfmt::skip]
const DISTANCE_MAP: [(i8, i8); 120] = [
    (0, 1), (1, 0), (1, 1), (-1, 1), (0, 2), (2, 0), (1, 2), (-1, 2), (2, 1), (-2, 1), (2, 2), (-2, 2),
    (0, 3), (3, 0), (1, 3), (-1, 3), (3, 1), (-3, 1), (2, 3), (-2, 3), (3, 2), (-3, 2), (0, 4), (4, 0),
    (1, 4), (-1, 4), (4, 1), (-4, 1), (3, 3), (-3, 3), (2, 4), (-2, 4), (4, 2), (-4, 2), (0, 5), (3, 4),
    (-3, 4), (4, 3), (-4, 3), (5, 0), (1, 5), (-1, 5), (5, 1), (-5, 1), (2, 5), (-2, 5), (5, 2), (-5, 2),
    (4, 4), (-4, 4), (3, 5), (-3, 5), (5, 3), (-5, 3), (0, 6), (6, 0), (1, 6), (-1, 6), (6, 1), (-6, 1),
    (2, 6), (-2, 6), (6, 2), (-6, 2), (4, 5), (-4, 5), (5, 4), (-5, 4), (3, 6), (-3, 6), (6, 3), (-6, 3),
    (0, 7), (7, 0), (1, 7), (-1, 7), (5, 5), (-5, 5), (7, 1), (-7, 1), (4, 6), (-4, 6), (6, 4), (-6, 4),
    (2, 7), (-2, 7), (7, 2), (-7, 2), (3, 7), (-3, 7), (7, 3), (-7, 3), (5, 6), (-5, 6), (6, 5), (-6, 5),
    (8, 0), (4, 7), (-4, 7), (7, 4), (-7, 4), (8, 1), (8, 2), (6, 6), (-6, 6), (8, 3), (5, 7), (-5, 7),
    (7, 5), (-7, 5), (8, 4), (6, 7), (-6, 7), (7, 6), (-7, 6), (8, 5), (7, 7), (-7, 7), (8, 6), (8, 7),
];

/// Index bits of a packed table of red, blue and alpha, if there are few groups.
const PACKED_BITS: u32 = 11;
/// The most entries of all packed tables.
const PACKED_ENTRIES: u32 = 1 << 18;
/// Flag of a packed entry: the three codes are longer than the index.
const NOT_PACKED: u32 = 0x80;

/// A prefix code group (section 3.7.2).
struct PrefixCodeGroup {
    /// Green, length codes and cache indices.
    green: PrefixCode,
    /// Decodes red, blue and alpha in one lookup. The lowest eight bits of an entry hold the total code
    /// length, the others the pixel without green, rotated right by eight bits.
    packed: PrefixCode,
    red: PrefixCode,
    blue: PrefixCode,
    alpha: PrefixCode,
    distance: PrefixCode,
    /// The pixel, if all codes have a single symbol and need no bits.
    single_pixel: Option<u32>,
}

/// The prefix code groups and the entropy image, which selects them (section 3.7.2.2).
struct MetaPrefix {
    all: Vec<PrefixCodeGroup>,
    entries: Entries,
    /// Group indices of blocks of `1 << bits` pixels square, by rows; empty if there is one group.
    map: Vec<u16>,
    bits: u32,
    blocks_across: usize,
}

/// The color cache (section 3.6.2.3). Pixels are inserted late: when one is looked up, or at the end of
/// a row.
struct ColorCache {
    pixels: Vec<u32>,
    shift: u32,
    /// False if no code has a cache index.
    used: bool,
    /// The first pixel of the ring that is not inserted yet.
    from: usize,
}

impl ColorCache {
    #[inline(always)]
    fn insert_pending(&mut self, ring: &[u32], to: usize) {
        if self.used {
            for &pixel in &ring[self.from..to] {
                let at = pixel.wrapping_mul(0x1E35_A7BD) >> (self.shift & 31);
                // Always in range: the hash has `cache_bits` bits.
                if let Some(place) = self.pixels.get_mut(at as usize) {
                    *place = pixel;
                }
            }
        }
        self.from = to;
    }
}

/// An entropy-coded image, before the inverse transforms.
pub(crate) struct EntropyCodedImage {
    width: usize,
    height: usize,
    groups: MetaPrefix,
    cache: ColorCache,
    ring: Vec<u32>,
    /// Pixels decoded so far, and the position of the next in the ring.
    done: usize,
    slot: usize,
    /// Rows returned so far.
    row: usize,
}

impl EntropyCodedImage {
    /// Reads the color cache size and the prefix codes. Only the ARGB image (`argb`) has meta prefix
    /// codes (section 3.7.2.2).
    pub(crate) fn new(
        bits: &mut BitSource<'_>,
        (width, height): (usize, usize),
        argb: bool,
        budget: &mut Budget,
    ) -> Result<Self> {
        let mut cache_bits = 0;
        if bits.read_flag()? {
            cache_bits = bits.read_bits(4)?;
            if !(1..=11).contains(&cache_bits) {
                return Err(Error::Corrupt("an invalid color cache size"));
            }
        }
        let (groups, used) = MetaPrefix::read(bits, (width, height), cache_bits, argb, budget)?;
        let reach = (width * height).min(MAX_DISTANCE);
        budget.reserve(reach * size_of::<u32>(), "pixels")?;
        Ok(Self {
            width,
            height,
            cache: ColorCache { pixels: vec![0; 1 << cache_bits], shift: 32 - cache_bits, used, from: 0 },
            groups,
            ring: vec![0; reach],
            done: 0,
            slot: 0,
            row: 0,
        })
    }

    /// Decodes the next row into `out`, which has the image's width.
    pub(crate) fn next_row(&mut self, bits: &mut BitSource<'_>, out: &mut [u32]) -> Result<()> {
        let start = self.row * self.width;
        let end = start + self.width;
        while self.done < end {
            bits.ensure_step()?;
            Arch::new().dispatch(DecodeRow { pixels: self, reader: bits.reader(), start })?;
        }
        bits.check_overrun()?;
        self.row += 1;
        // A backward reference may extend past the row, but never overwrites it in the ring.
        let first = (self.slot + self.ring.len() - (self.done - start)) % self.ring.len();
        let before = self.width.min(self.ring.len() - first);
        out[..before].copy_from_slice(&self.ring[first..first + before]);
        out[before..].copy_from_slice(&self.ring[..self.width - before]);
        Ok(())
    }

    /// Decodes all pixels of a subresolution image or color table.
    pub(crate) fn all<T>(
        bits: &mut BitSource<'_>,
        (width, height): (usize, usize),
        budget: &mut Budget,
        make: impl Fn(u32) -> T,
    ) -> Result<Vec<T>> {
        let left = budget.left();
        let mut pixels = Self::new(bits, (width, height), false, budget)?;
        let mut row = vec![0; width];
        let bytes = width * height * size_of::<T>();
        budget.reserve(bytes, "pixels")?;
        let mut out = Vec::with_capacity(width * height);
        for _ in 0..height {
            pixels.next_row(bits, &mut row)?;
            out.extend(row.iter().map(|&pixel| make(pixel)));
            budget.check_time()?;
        }
        budget.restore(left - bytes);
        Ok(out)
    }
}

/// Decodes to the end of a row or of the buffered data. Compiled for every processor, and for AVX2 with
/// BMI2.
struct DecodeRow<'a> {
    pixels: &'a mut EntropyCodedImage,
    reader: BitReader<'a>,
    /// The first pixel of the row.
    start: usize,
}

impl NullaryFnOnce for DecodeRow<'_> {
    type Output = Result<()>;

    #[inline(always)]
    fn call(self) -> Result<()> {
        let Self { pixels, mut reader, start } = self;
        let EntropyCodedImage { width, height, ref groups, ref mut cache, ref mut ring, .. } = *pixels;
        let (mut done, mut slot) = (pixels.done, pixels.slot);
        let total = width * height;
        let entries = &groups.entries[..];
        'row: while done < start + width && reader.has_step() {
            if slot == ring.len() {
                cache.insert_pending(ring, slot);
                cache.from = 0;
                slot = 0;
            }
            let (group, block_end) = groups.at(done - start, pixels.row);
            let stop = (slot + (start + block_end.min(width) - done)).min(ring.len());
            // Position in the image minus position in the ring.
            let offset = done.wrapping_sub(slot);
            if let Some(pixel) = group.single_pixel {
                ring[slot..stop].fill(pixel);
                slot = stop;
                done = slot.wrapping_add(offset);
                continue;
            }
            while slot < stop && reader.has_step() {
                reader.refill();
                let entry = group.green.entry(entries, reader.peek());
                reader.consume(entry & 0xFF);
                let green = entry >> 8;
                if green < NUM_LITERALS {
                    ring[slot] = green << 8 | group.rest(entries, &mut reader);
                    slot += 1;
                } else if green < NUM_LITERALS + NUM_LENGTH_CODES {
                    let length = read_lz77_value(&mut reader, green - NUM_LITERALS) as usize;
                    reader.refill();
                    let symbol = group.distance.symbol(entries, &mut reader);
                    let distance = pixel_distance(read_lz77_value(&mut reader, symbol), width);
                    done = slot.wrapping_add(offset);
                    if distance > done || length > total - done {
                        reader.commit();
                        return Err(Error::Corrupt("a backward reference outside of the image"));
                    }
                    if distance <= slot && length <= ring.len() - slot {
                        copy(ring, slot, distance, length);
                        slot += length;
                    } else {
                        slot = copy_around(ring, cache, slot, distance, length);
                        done += length;
                        continue 'row;
                    }
                } else {
                    cache.insert_pending(ring, slot);
                    ring[slot] = cache.pixels[(green - NUM_LITERALS - NUM_LENGTH_CODES) as usize];
                    slot += 1;
                }
            }
            done = slot.wrapping_add(offset);
        }
        reader.commit();
        pixels.done = done;
        pixels.slot = slot;
        if done >= start + width {
            pixels.cache.insert_pending(&pixels.ring, slot);
        }
        Ok(())
    }
}

/// The value of a prefix code and its extra bits (section 3.6.2.2), at most 10 for a length and 18 for
/// a distance, which must be in the word.
#[inline(always)]
fn read_lz77_value(reader: &mut BitReader<'_>, symbol: u32) -> u32 {
    if symbol < 4 {
        return symbol + 1;
    }
    let extra = (symbol - 2) >> 1;
    ((2 + (symbol & 1)) << extra) + reader.read_bits(extra) + 1
}

/// The distance in pixels of a distance code.
#[inline(always)]
fn pixel_distance(code: u32, width: usize) -> usize {
    match DISTANCE_MAP.get(code as usize - 1) {
        Some(&(left, above)) => (i32::from(left) + i32::from(above) * width as i32).max(1) as usize,
        None => code as usize - DISTANCE_MAP.len(),
    }
}

/// Copies within the ring; source and target may overlap.
#[inline(always)]
fn copy(ring: &mut [u32], slot: usize, distance: usize, length: usize) {
    let from = slot - distance;
    if distance >= length {
        ring.copy_within(from..from + length, slot);
    } else if distance == 1 {
        let pixel = ring[from];
        ring[slot..slot + length].fill(pixel);
    } else {
        let (mut ready, mut left) = (distance, length);
        while left > 0 {
            // Copies from the start of the source, twice as much each time.
            let part = ready.min(left);
            ring.copy_within(from..from + part, slot + length - left);
            ready += part;
            left -= part;
        }
    }
}

/// [`copy`] across the end of the ring. Returns the next position.
#[cold]
#[inline(never)]
fn copy_around(ring: &mut [u32], cache: &mut ColorCache, mut slot: usize, distance: usize, length: usize) -> usize {
    let mut from = if distance <= slot { slot - distance } else { slot + ring.len() - distance };
    for _ in 0..length {
        if slot == ring.len() {
            cache.insert_pending(ring, slot);
            cache.from = 0;
            slot = 0;
        }
        if from == ring.len() {
            from = 0;
        }
        ring[slot] = ring[from];
        slot += 1;
        from += 1;
    }
    slot
}

impl PrefixCodeGroup {
    /// Red, blue and alpha of a literal. The word must hold 41 bits.
    #[inline(always)]
    fn rest(&self, entries: &[u32], reader: &mut BitReader<'_>) -> u32 {
        let PrefixCode { start, bits } = self.packed;
        let entry = entries[start as usize + (reader.peek() as u32 & mask(bits)) as usize];
        if entry & NOT_PACKED == 0 {
            reader.consume(entry & 0xFF);
            return entry.rotate_left(8) & 0xFFFF_00FF;
        }
        reader.refill();
        let red = self.red.symbol(entries, reader);
        let blue = self.blue.symbol(entries, reader);
        let alpha = self.alpha.symbol(entries, reader);
        alpha << 24 | red << 16 | blue
    }

    /// Appends the packed table of red, blue and alpha.
    fn pack(&mut self, entries: &mut Entries, most: u32) {
        let codes = [self.red, self.blue, self.alpha];
        let bits = codes.iter().map(|code| code.bits).sum::<u32>().min(most);
        let start = entries.len();
        for index in 0..1_u32 << bits {
            let (mut used, mut levels) = (0, [0; 3]);
            for (code, level) in codes.iter().zip(&mut levels) {
                match code.known(entries, index >> used, bits - used) {
                    Some((length, symbol)) => {
                        used += length;
                        *level = symbol;
                    }
                    None => {
                        used = NOT_PACKED;
                        break;
                    }
                }
            }
            let [red, blue, alpha] = levels;
            entries.push((alpha << 24 | red << 16 | blue).rotate_right(8) & !0xFF | used);
        }
        self.packed = PrefixCode { start: start as u32, bits };
    }
}

impl MetaPrefix {
    /// Also returns true if a code has cache indices.
    fn read(
        bits: &mut BitSource<'_>,
        (width, height): (usize, usize),
        cache_bits: u32,
        argb: bool,
        budget: &mut Budget,
    ) -> Result<(Self, bool)> {
        let mut groups = Self { all: Vec::new(), entries: Entries::new(), map: Vec::new(), bits: 31, blocks_across: 1 };
        if argb && bits.read_flag()? {
            groups.bits = 2 + bits.read_bits(3)?;
            groups.blocks_across = blocks(width, groups.bits);
            let size = (groups.blocks_across, blocks(height, groups.bits));
            groups.map = EntropyCodedImage::all(bits, size, budget, |pixel| (pixel >> 8) as u16)?;
        }
        let stored = 1 + groups.map.iter().copied().max().map_or(0, usize::from);
        // Groups that no block uses are read and dropped.
        let mut named = vec![groups.map.is_empty(); stored];
        groups.map.iter().for_each(|&group| named[usize::from(group)] = true);
        let kept = named.iter().filter(|&&named| named).count() as u32;
        let packed = PACKED_BITS.min((PACKED_ENTRIES / kept).ilog2());

        let cache_size = if cache_bits == 0 { 0 } else { 1 << cache_bits };
        let greens = (NUM_LITERALS + NUM_LENGTH_CODES) as usize + cache_size;
        let mut lengths = CodeLengthReader::new(greens);
        let mut used = false;
        let mut places = vec![0; stored];
        for (&keep, place) in named.iter().zip(&mut places) {
            budget.check_time()?;
            let entries = &mut groups.entries;
            let green = lengths.read(bits, greens, entries, keep)?;
            let cached = lengths.any((NUM_LITERALS + NUM_LENGTH_CODES) as usize, greens);
            let mut code = |alphabet| lengths.read(bits, alphabet, entries, keep);
            let (red, blue, alpha, distance) = (code(256)?, code(256)?, code(256)?, code(NUM_DISTANCE_CODES)?);
            if !keep {
                continue;
            }
            used |= cached;
            let mut group = PrefixCodeGroup { green, packed: green, red, blue, alpha, distance, single_pixel: None };
            group.pack(entries, packed);
            if green.bits == 0 && group.packed.bits == 0 && entries[green.start as usize] >> 8 < NUM_LITERALS {
                let others = entries[group.packed.start as usize].rotate_left(8) & 0xFFFF_00FF;
                group.single_pixel = Some(others | entries[green.start as usize]);
            }
            *place = groups.all.len() as u16;
            groups.all.push(group);
            budget.limit(
                entries.len() * size_of::<u32>() + groups.all.len() * size_of::<PrefixCodeGroup>(),
                "prefix codes",
            )?;
        }
        groups.map.iter_mut().for_each(|group| *group = places[usize::from(*group)]);
        groups.entries.shrink_to_fit();
        budget.reserve(
            groups.entries.len() * size_of::<u32>() + groups.all.len() * size_of::<PrefixCodeGroup>(),
            "prefix codes",
        )?;
        Ok((groups, used))
    }

    /// The group of a pixel, and the first column after its block.
    #[inline(always)]
    fn at(&self, x: usize, y: usize) -> (&PrefixCodeGroup, usize) {
        if self.map.is_empty() {
            return (&self.all[0], usize::MAX);
        }
        let group = self.map[(y >> self.bits) * self.blocks_across + (x >> self.bits)];
        (&self.all[usize::from(group)], ((x >> self.bits) + 1) << self.bits)
    }
}

/// The number of blocks of `1 << bits` pixels along a side (`DIV_ROUND_UP`).
pub(crate) fn blocks(side: usize, bits: u32) -> usize {
    side.div_ceil(1 << bits)
}
