//! Entropy-coded pixels (RFC 9649, sections 3.6 and 3.7): literals, copies and the colour cache.
//!
//! Pixels are kept in a ring that is as long as copies reach, and handed out row by row. A pixel is
//! a number of 32 bits: alpha highest, then red, green and blue.

use std::io::Read;

use pulp::{Arch, NullaryFnOnce};

use crate::bits::{Bits, Window};
use crate::budget::Budget;
use crate::error::{Error, Result};
use crate::prefix::{Code, Entries, Lengths, mask};

/// How far back copies can reach, in pixels: the largest distance code, less those that stand for
/// neighbours (RFC 9649, section 3.6.2.2).
const REACH: usize = 1 << 20;
/// Symbols of the first code of a group that are levels of green; lengths follow, then the cache.
const LITERALS: u32 = 256;
const LENGTHS: u32 = 24;
const DISTANCES: usize = 40;
/// Distance codes that stand for neighbours: columns to the left and rows above.
#[rustfmt::skip]
const NEIGHBOURS: [(i8, i8); 120] = [
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

/// Bits that index a table of red, blue and alpha at once, where there are few groups of codes.
const TOGETHER: u32 = 11;
/// Entries of all such tables, where there are many.
const TOGETHER_ALL: u32 = 1 << 18;
/// In such an entry: the three codes are longer than the index.
const APART: u32 = 0x80;

/// The codes of a part of a picture.
struct Group {
    /// Green, lengths and cache.
    green: Code,
    /// Red, blue and alpha by one lookup: in its lowest eight bits the length of the codes, in the
    /// others what is left of a pixel that is turned right by eight bits.
    together: Code,
    red: Code,
    blue: Code,
    alpha: Code,
    distance: Code,
    /// The pixel, if there is but one, for which no bits are spent.
    only: Option<u32>,
}

/// Which group is for which part.
struct Groups {
    all: Vec<Group>,
    entries: Entries,
    /// By tiles of `1 << bits` pixels square, row by row; empty if there is but one group.
    map: Vec<u16>,
    bits: u32,
    tiles_across: usize,
}

/// Recent pixels by a hash of their value (RFC 9649, section 3.6.2.3). They are put in no sooner than
/// one is asked for, or a row ends.
struct Cache {
    pixels: Vec<u32>,
    shift: u32,
    /// Whether any code asks for one at all.
    used: bool,
    /// Pixels of the ring from here on are not in yet.
    from: usize,
}

impl Cache {
    #[inline(always)]
    fn catch_up(&mut self, ring: &[u32], to: usize) {
        if self.used {
            for &pixel in &ring[self.from..to] {
                let at = pixel.wrapping_mul(0x1E35_A7BD) >> (self.shift & 31);
                // Always there: the hash has as many bits as the index.
                if let Some(place) = self.pixels.get_mut(at as usize) {
                    *place = pixel;
                }
            }
        }
        self.from = to;
    }
}

/// A picture that is being decoded, before its transforms are undone.
pub(crate) struct Pixels {
    width: usize,
    height: usize,
    groups: Groups,
    cache: Cache,
    ring: Vec<u32>,
    /// Pixels decoded so far, and where in the ring the next goes.
    done: usize,
    slot: usize,
    /// Rows that were given.
    row: usize,
}

impl Pixels {
    /// Reads what stands before the pixels. Codes may differ from part to part only in a `main`
    /// picture, not in those that serve one.
    pub(crate) fn new<R: Read>(
        bits: &mut Bits<R>,
        (width, height): (usize, usize),
        main: bool,
        budget: &mut Budget,
    ) -> Result<Self> {
        let mut cache_bits = 0;
        if bits.flag()? {
            cache_bits = bits.take(4)?;
            if !(1..=11).contains(&cache_bits) {
                return Err(Error::Corrupt("a colour cache of a size that does not exist"));
            }
        }
        let (groups, used) = Groups::read(bits, (width, height), cache_bits, main, budget)?;
        let reach = (width * height).min(REACH);
        budget.hold(reach * size_of::<u32>(), "pixels")?;
        Ok(Self {
            width,
            height,
            cache: Cache { pixels: vec![0; 1 << cache_bits], shift: 32 - cache_bits, used, from: 0 },
            groups,
            ring: vec![0; reach],
            done: 0,
            slot: 0,
            row: 0,
        })
    }

    /// Decodes the next row into `out`, which has the picture's width.
    pub(crate) fn next_row<R: Read>(&mut self, bits: &mut Bits<R>, out: &mut [u32]) -> Result<()> {
        let start = self.row * self.width;
        let end = start + self.width;
        while self.done < end {
            bits.fill()?;
            Arch::new().dispatch(Part { pixels: self, window: bits.window(), start })?;
        }
        bits.check()?;
        self.row += 1;
        // Copies may have gone on past the row, but never so far that it is lost.
        let first = (self.slot + self.ring.len() - (self.done - start)) % self.ring.len();
        let before = self.width.min(self.ring.len() - first);
        out[..before].copy_from_slice(&self.ring[first..first + before]);
        out[before..].copy_from_slice(&self.ring[..self.width - before]);
        Ok(())
    }

    /// All pixels of a small picture that serves the main one.
    pub(crate) fn all<R: Read, T>(
        bits: &mut Bits<R>,
        (width, height): (usize, usize),
        budget: &mut Budget,
        make: impl Fn(u32) -> T,
    ) -> Result<Vec<T>> {
        let left = budget.left();
        let mut pixels = Self::new(bits, (width, height), false, budget)?;
        let mut row = vec![0; width];
        let bytes = width * height * size_of::<T>();
        budget.hold(bytes, "pixels")?;
        let mut out = Vec::with_capacity(width * height);
        for _ in 0..height {
            pixels.next_row(bits, &mut row)?;
            out.extend(row.iter().map(|&pixel| make(pixel)));
            budget.check_time()?;
        }
        budget.release_to(left - bytes);
        Ok(out)
    }
}

/// Decodes from where a picture is to the end of a row, or as far as the data at hand goes.
/// Compiled for any processor and for AVX2 with BMI2.
struct Part<'a> {
    pixels: &'a mut Pixels,
    window: Window<'a>,
    /// The first pixel of the row.
    start: usize,
}

impl NullaryFnOnce for Part<'_> {
    type Output = Result<()>;

    #[inline(always)]
    fn call(self) -> Result<()> {
        let Self { pixels, mut window, start } = self;
        let Pixels { width, height, ref groups, ref mut cache, ref mut ring, .. } = *pixels;
        let (mut done, mut slot) = (pixels.done, pixels.slot);
        let total = width * height;
        let entries = &groups.entries[..];
        'row: while done < start + width && window.safe() {
            if slot == ring.len() {
                cache.catch_up(ring, slot);
                cache.from = 0;
                slot = 0;
            }
            let (group, tile_end) = groups.at(done - start, pixels.row);
            let stop = (slot + (start + tile_end.min(width) - done)).min(ring.len());
            // What a place in the ring is as a place in the picture.
            let offset = done.wrapping_sub(slot);
            if let Some(pixel) = group.only {
                ring[slot..stop].fill(pixel);
                slot = stop;
                done = slot.wrapping_add(offset);
                continue;
            }
            while slot < stop && window.safe() {
                window.refill();
                let entry = group.green.entry(entries, window.word());
                window.consume(entry & 0xFF);
                let green = entry >> 8;
                if green < LITERALS {
                    ring[slot] = green << 8 | group.others(entries, &mut window);
                    slot += 1;
                } else if green < LITERALS + LENGTHS {
                    let length = prefixed(&mut window, green - LITERALS) as usize;
                    window.refill();
                    let symbol = group.distance.symbol(entries, &mut window);
                    let distance = distance(prefixed(&mut window, symbol), width);
                    done = slot.wrapping_add(offset);
                    if distance > done || length > total - done {
                        window.done();
                        return Err(Error::Corrupt("a copy from or to outside of the picture"));
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
                    cache.catch_up(ring, slot);
                    ring[slot] = cache.pixels[(green - LITERALS - LENGTHS) as usize];
                    slot += 1;
                }
            }
            done = slot.wrapping_add(offset);
        }
        window.done();
        pixels.done = done;
        pixels.slot = slot;
        if done >= start + width {
            pixels.cache.catch_up(&pixels.ring, slot);
        }
        Ok(())
    }
}

/// The number that a prefix symbol and the bits after it stand for (RFC 9649, section 3.6.2.2). The
/// window holds the bits: at most 10 of a length, 18 of a distance.
#[inline(always)]
fn prefixed(window: &mut Window<'_>, symbol: u32) -> u32 {
    if symbol < 4 {
        return symbol + 1;
    }
    let extra = (symbol - 2) >> 1;
    ((2 + (symbol & 1)) << extra) + window.take(extra) + 1
}

/// In pixels, from a distance code.
#[inline(always)]
fn distance(code: u32, width: usize) -> usize {
    match NEIGHBOURS.get(code as usize - 1) {
        Some(&(left, above)) => (i32::from(left) + i32::from(above) * width as i32).max(1) as usize,
        None => code as usize - NEIGHBOURS.len(),
    }
}

/// Copies within the ring; what was copied may be copied again.
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
            // From the beginning, twice as much each time.
            let part = ready.min(left);
            ring.copy_within(from..from + part, slot + length - left);
            ready += part;
            left -= part;
        }
    }
}

/// The same where the source or the target goes around the end of the ring. Gives the next place.
#[cold]
#[inline(never)]
fn copy_around(ring: &mut [u32], cache: &mut Cache, mut slot: usize, distance: usize, length: usize) -> usize {
    let mut from = if distance <= slot { slot - distance } else { slot + ring.len() - distance };
    for _ in 0..length {
        if slot == ring.len() {
            cache.catch_up(ring, slot);
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

impl Group {
    /// Red, blue and alpha of a literal, 41 bits or more being in the window.
    #[inline(always)]
    fn others(&self, entries: &[u32], window: &mut Window<'_>) -> u32 {
        let Code { start, bits } = self.together;
        let entry = entries[start as usize + (window.word() as u32 & mask(bits)) as usize];
        if entry & APART == 0 {
            window.consume(entry & 0xFF);
            return entry.rotate_left(8) & 0xFFFF_00FF;
        }
        window.refill();
        let red = self.red.symbol(entries, window);
        let blue = self.blue.symbol(entries, window);
        let alpha = self.alpha.symbol(entries, window);
        alpha << 24 | red << 16 | blue
    }

    /// Appends the table of red, blue and alpha at once.
    fn put_together(&mut self, entries: &mut Entries, most: u32) {
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
                        used = APART;
                        break;
                    }
                }
            }
            let [red, blue, alpha] = levels;
            entries.push((alpha << 24 | red << 16 | blue).rotate_right(8) & !0xFF | used);
        }
        self.together = Code { start: start as u32, bits };
    }
}

impl Groups {
    /// Also whether any code asks for pixels of the cache.
    fn read<R: Read>(
        bits: &mut Bits<R>,
        (width, height): (usize, usize),
        cache_bits: u32,
        main: bool,
        budget: &mut Budget,
    ) -> Result<(Self, bool)> {
        let mut groups = Self { all: Vec::new(), entries: Entries::new(), map: Vec::new(), bits: 31, tiles_across: 1 };
        if main && bits.flag()? {
            groups.bits = 2 + bits.take(3)?;
            groups.tiles_across = tiles(width, groups.bits);
            let size = (groups.tiles_across, tiles(height, groups.bits));
            groups.map = Pixels::all(bits, size, budget, |pixel| (pixel >> 8) as u16)?;
        }
        let stored = 1 + groups.map.iter().copied().max().map_or(0, usize::from);
        // Those that no tile names are read and forgotten.
        let mut named = vec![groups.map.is_empty(); stored];
        groups.map.iter().for_each(|&group| named[usize::from(group)] = true);
        let kept = named.iter().filter(|&&named| named).count() as u32;
        let together = TOGETHER.min((TOGETHER_ALL / kept).ilog2());

        let cache_size = if cache_bits == 0 { 0 } else { 1 << cache_bits };
        let greens = (LITERALS + LENGTHS) as usize + cache_size;
        let mut lengths = Lengths::new(greens);
        let mut used = false;
        let mut places = vec![0; stored];
        for (&keep, place) in named.iter().zip(&mut places) {
            budget.check_time()?;
            let entries = &mut groups.entries;
            let green = lengths.read(bits, greens, entries, keep)?;
            let cached = lengths.any((LITERALS + LENGTHS) as usize, greens);
            let mut code = |alphabet| lengths.read(bits, alphabet, entries, keep);
            let (red, blue, alpha, distance) = (code(256)?, code(256)?, code(256)?, code(DISTANCES)?);
            if !keep {
                continue;
            }
            used |= cached;
            let mut group = Group { green, together: green, red, blue, alpha, distance, only: None };
            group.put_together(entries, together);
            if green.bits == 0 && group.together.bits == 0 && entries[green.start as usize] >> 8 < LITERALS {
                let others = entries[group.together.start as usize].rotate_left(8) & 0xFFFF_00FF;
                group.only = Some(others | entries[green.start as usize]);
            }
            *place = groups.all.len() as u16;
            groups.all.push(group);
            budget.most(entries.len() * size_of::<u32>() + groups.all.len() * size_of::<Group>(), "prefix codes")?;
        }
        groups.map.iter_mut().for_each(|group| *group = places[usize::from(*group)]);
        groups.entries.shrink_to_fit();
        budget.hold(groups.entries.len() * size_of::<u32>() + groups.all.len() * size_of::<Group>(), "prefix codes")?;
        Ok((groups, used))
    }

    /// The group of a column and row, and the column where its tile ends.
    #[inline(always)]
    fn at(&self, x: usize, y: usize) -> (&Group, usize) {
        if self.map.is_empty() {
            return (&self.all[0], usize::MAX);
        }
        let group = self.map[(y >> self.bits) * self.tiles_across + (x >> self.bits)];
        (&self.all[usize::from(group)], ((x >> self.bits) + 1) << self.bits)
    }
}

/// How many tiles of `1 << bits` pixels a side has.
pub(crate) fn tiles(side: usize, bits: u32) -> usize {
    side.div_ceil(1 << bits)
}
