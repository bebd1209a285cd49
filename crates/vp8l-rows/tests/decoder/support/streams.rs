//! Writes random valid VP8L streams: transforms, codes, literals, backward references and cache indices
//! that no encoder would choose.

use super::Numbers;

#[derive(Default)]
pub(crate) struct Writer {
    pub bytes: Vec<u8>,
    used: u32,
}

impl Writer {
    /// Writes the low `count` bits, the lowest first.
    pub(crate) fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }
}

/// A prefix code.
pub(crate) struct Code {
    pub symbols: Vec<u32>,
    lengths: Vec<u32>,
    /// By symbol; the last bit of a code is the lowest.
    codes: Vec<u32>,
}

impl Code {
    /// A complete code of at most `longest` bits; a single symbol has no bits.
    pub(crate) fn random(numbers: &mut Numbers, symbols: &[u32], alphabet: usize, longest: u32) -> Self {
        let mut depths = vec![0_u32];
        // Some codes are as long as possible.
        let skewed = numbers.once_in(3);
        while depths.len() < symbols.len() {
            let last = depths.len() - 1;
            let at = if skewed && depths[last] < longest { last } else { numbers.below(depths.len() as u64) as usize };
            if depths[at] < longest {
                depths[at] += 1;
                depths.push(depths[at]);
            }
        }
        if symbols.len() == 1 {
            depths[0] = 1 + numbers.below(u64::from(longest)) as u32;
        }
        let mut lengths = vec![0; alphabet];
        let mut order = symbols.to_vec();
        for depth in depths {
            let at = numbers.below(order.len() as u64) as usize;
            lengths[order.swap_remove(at) as usize] = depth;
        }
        Self::of(lengths)
    }

    fn of(lengths: Vec<u32>) -> Self {
        let symbols: Vec<u32> = (0..lengths.len() as u32).filter(|&symbol| lengths[symbol as usize] > 0).collect();
        let mut codes = vec![0; lengths.len()];
        let mut next = 0;
        for length in 1..=15 {
            next <<= 1;
            for &symbol in symbols.iter().filter(|&&symbol| lengths[symbol as usize] == length) {
                codes[symbol as usize] = next;
                next += 1;
            }
        }
        Self { symbols, lengths, codes }
    }

    pub(crate) fn put(&self, out: &mut Writer, symbol: u32) {
        assert!(self.lengths[symbol as usize] > 0, "a symbol of the code");
        if self.symbols.len() > 1 {
            for bit in (0..self.lengths[symbol as usize]).rev() {
                out.put(self.codes[symbol as usize] >> bit & 1, 1);
            }
        }
    }

    /// Writes the lengths as a simple or a normal code length code.
    pub(crate) fn put_lengths(&self, out: &mut Writer, numbers: &mut Numbers) {
        let flat = self.symbols.iter().all(|&symbol| self.lengths[symbol as usize] == 1 || self.symbols.len() == 1);
        if flat && self.symbols.len() <= 2 && *self.symbols.last().unwrap() < 256 && !numbers.once_in(4) {
            out.put(1, 1);
            let (first, second) = (self.symbols[0], self.symbols.get(1).copied());
            // A repeated symbol, or one outside of the alphabet, counts once.
            let again = if self.lengths.len() < 256 { numbers.pick(&[first, 255]) } else { first };
            let second = second.or((numbers.once_in(3)).then_some(again));
            out.put(u32::from(second.is_some()), 1);
            let short = first < 2 && !numbers.once_in(3);
            out.put(u32::from(!short), 1);
            out.put(first, if short { 1 } else { 8 });
            if let Some(second) = second {
                out.put(second, 8);
            }
            return;
        }
        out.put(0, 1);
        let tokens = self.tokens(numbers);
        // Trailing zeros may be omitted.
        let told = match tokens.iter().rposition(|&(token, ..)| token != 0 && token < 17) {
            Some(last) if numbers.once_in(2) => last + 1 + numbers.below((tokens.len() - last) as u64) as usize,
            _ => tokens.len(),
        };
        let told = if told < 2 { tokens.len() } else { told };
        let mut used: Vec<u32> = tokens[..told].iter().map(|&(token, ..)| token).collect();
        for _ in 0..numbers.below(3) {
            used.push(numbers.below(19) as u32);
        }
        used.sort_unstable();
        used.dedup();
        let code = Self::random(numbers, &used, 19, 7);
        const ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        let needed = ORDER.iter().rposition(|&at| code.lengths[at] > 0).unwrap() + 1;
        let count = needed.max(4) + numbers.below(20 - needed.max(4) as u64) as usize;
        out.put(count as u32 - 4, 4);
        for &at in &ORDER[..count] {
            out.put(code.lengths[at], 3);
        }
        if told == tokens.len() {
            out.put(0, 1);
        } else {
            out.put(1, 1);
            let least = (0..8).find(|half| told - 2 < 1 << (2 + 2 * half)).unwrap();
            let half = least + numbers.below(8 - u64::from(least)) as u32;
            out.put(half, 3);
            out.put(told as u32 - 2, 2 + 2 * half);
        }
        for &(token, extra, bits) in &tokens[..told] {
            code.put(out, token);
            out.put(extra, bits);
        }
    }

    /// Lengths as tokens with their extra bits, with random use of runs.
    fn tokens(&self, numbers: &mut Numbers) -> Vec<(u32, u32, u32)> {
        let (mut tokens, mut at, mut previous) = (Vec::new(), 0, 8);
        while at < self.lengths.len() {
            let length = self.lengths[at];
            let run = self.lengths[at..].iter().take_while(|&&other| other == length).count() as u32;
            let part = |numbers: &mut Numbers, from: u32, to: u32| {
                from + numbers.below(u64::from(run.min(to) - from + 1)) as u32
            };
            let plain = numbers.once_in(6);
            let (token, extra, bits, count) = if length == 0 && run >= 11 && !plain {
                let count = if numbers.once_in(4) { part(numbers, 11, 138) } else { run.min(138) };
                (18, count - 11, 7, count)
            } else if length == 0 && run >= 3 && !plain {
                let count = part(numbers, 3, 10);
                (17, count - 3, 3, count)
            } else if length == previous && run >= 3 && !plain {
                let count = part(numbers, 3, 6);
                (16, count - 3, 2, count)
            } else {
                (length, 0, 0, 1)
            };
            tokens.push((token, extra, bits));
            if length > 0 {
                previous = length;
            }
            at += count as usize;
        }
        tokens
    }
}

/// Prefix code, number of extra bits and extra bits of a value of 1 or more.
pub(crate) fn prefixed(value: u32) -> (u32, u32, u32) {
    let value = value - 1;
    if value < 4 {
        return (value, 0, 0);
    }
    let highest = 31 - value.leading_zeros();
    let extra = highest - 1;
    (2 * highest + (value >> extra & 1), extra, value & ((1 << extra) - 1))
}

/// The inverse of [`prefixed`], with random extra bits.
fn of_prefix(numbers: &mut Numbers, symbol: u32) -> (u32, u32, u32) {
    if symbol < 4 {
        return (symbol + 1, 0, 0);
    }
    let bits = (symbol - 2) >> 1;
    let extra = numbers.below(1 << bits) as u32;
    (((2 + (symbol & 1)) << bits) + extra + 1, bits, extra)
}

pub(crate) fn subset(numbers: &mut Numbers, from: u32, to: u32, most: u64) -> Vec<u32> {
    let count = 1 + numbers.below(most.min(u64::from(to - from)));
    let mut all: Vec<u32> = (0..count).map(|_| from + numbers.below(u64::from(to - from)) as u32).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Parameters of an entropy-coded image.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub width: usize,
    pub height: usize,
    /// It may have meta prefix codes.
    pub main: bool,
    /// The number of prefix code groups that its red and green select.
    pub groups: Option<u32>,
}

struct Group {
    green: Code,
    red: Code,
    blue: Code,
    alpha: Code,
    distance: Code,
}

/// The color cache.
struct Cache {
    bits: u32,
    pixels: Vec<u32>,
}

/// The distance map (RFC 9649, section 3.6.2.2), computed instead of written as a table: sorted by the
/// square of the distance, then by the column, left before right.
fn neighbours() -> Vec<(i64, i64)> {
    let mut all: Vec<(i64, i64)> = (0..8)
        .flat_map(|above| (-7..=8).map(move |left| (left, above)))
        .filter(|&(left, above)| above > 0 || left > 0)
        .collect();
    all.sort_by_key(|&(left, above)| (left * left + above * above, left.abs(), left < 0));
    all
}

pub(crate) fn pixels(out: &mut Writer, numbers: &mut Numbers, wanted: Wanted) -> Vec<u32> {
    let Wanted { width, height, main, groups } = wanted;
    let cache_bits = if numbers.once_in(2) { 1 + numbers.below(11) as u32 } else { 0 };
    out.put(u32::from(cache_bits > 0), 1);
    if cache_bits > 0 {
        out.put(cache_bits, 4);
    }
    let (mut map, mut tile_bits, mut across) = (Vec::new(), 0, 0);
    if main {
        let several = numbers.once_in(2);
        out.put(u32::from(several), 1);
        if several {
            tile_bits = 2 + numbers.below(8) as u32;
            out.put(tile_bits - 2, 3);
            across = width.div_ceil(1 << tile_bits);
            let most = numbers.pick(&[2, 3, 9, 40, 300]);
            let size =
                Wanted { width: across, height: height.div_ceil(1 << tile_bits), main: false, groups: Some(most) };
            map = pixels(out, numbers, size).into_iter().map(|pixel| (pixel >> 8 & 0xFFFF) as usize).collect();
        }
    }
    let count = 1 + map.iter().copied().max().unwrap_or(0);
    let alphabet = 280 + if cache_bits > 0 { 1 << cache_bits } else { 0 };
    // Some images are all literals, some nearly all backward references; most have few levels.
    let levels = numbers.pick(&[1, 2, 5, 40, 256]);
    let copies = !numbers.once_in(3);
    let codes: Vec<Group> = (0..count)
        .map(|_| {
            let level = |numbers: &mut Numbers, most: Option<u32>| {
                let symbols = subset(numbers, 0, most.unwrap_or(256).clamp(1, 256), levels);
                Code::random(numbers, &symbols, 256, 15)
            };
            let mut greens = subset(numbers, 0, groups.unwrap_or(256).min(256), levels);
            if copies {
                greens.extend(subset(numbers, 256, 280, 24));
            }
            if cache_bits > 0 && !numbers.once_in(4) {
                let most = numbers.pick(&[1, 3, 100]);
                greens.extend(subset(numbers, 280, alphabet as u32, most));
            }
            let group = Group {
                green: Code::random(numbers, &greens, alphabet, 15),
                red: level(numbers, groups.map(|groups| groups.div_ceil(256))),
                blue: level(numbers, None),
                alpha: level(numbers, None),
                distance: {
                    let symbols = subset(numbers, 0, 40, 40);
                    Code::random(numbers, &symbols, 40, 15)
                },
            };
            for code in [&group.green, &group.red, &group.blue, &group.alpha, &group.distance] {
                code.put_lengths(out, numbers);
            }
            group
        })
        .collect();

    let neighbours = neighbours();
    let mut cache = Cache { bits: cache_bits, pixels: vec![0; 1 << cache_bits] };
    let mut all: Vec<u32> = Vec::with_capacity(width * height);
    while all.len() < width * height {
        let (x, y) = (all.len() % width, all.len() / width);
        let group = if map.is_empty() { &codes[0] } else { &codes[map[(y >> tile_bits) * across + (x >> tile_bits)]] };
        let before = all.len();
        let symbol = numbers.pick(&group.green.symbols);
        if symbol < 256 {
            let [red, blue, alpha] = [&group.red, &group.blue, &group.alpha].map(|code| numbers.pick(&code.symbols));
            group.green.put(out, symbol);
            group.red.put(out, red);
            group.blue.put(out, blue);
            group.alpha.put(out, alpha);
            all.push(alpha << 24 | red << 16 | symbol << 8 | blue);
        } else if symbol < 280 {
            let (length, length_bits, length_extra) = of_prefix(numbers, symbol - 256);
            let distance_symbol = numbers.pick(&group.distance.symbols);
            let (code, bits, extra) = of_prefix(numbers, distance_symbol);
            let distance = match neighbours.get(code as usize - 1).filter(|_| code <= 120) {
                Some(&(left, above)) => (left + above * width as i64).max(1) as usize,
                None => code as usize - 120,
            };
            if distance > all.len() || length as usize > width * height - all.len() {
                continue;
            }
            group.green.put(out, symbol);
            out.put(length_extra, length_bits);
            group.distance.put(out, distance_symbol);
            out.put(extra, bits);
            for _ in 0..length {
                all.push(all[all.len() - distance]);
            }
        } else {
            group.green.put(out, symbol);
            all.push(cache.pixels[symbol as usize - 280]);
        }
        if cache.bits > 0 {
            for &pixel in &all[before..] {
                cache.pixels[(pixel.wrapping_mul(0x1E35_A7BD) >> (32 - cache.bits)) as usize] = pixel;
            }
        }
    }
    all
}

/// The data after the header of a `VP8L` payload or the first byte of a compressed `ALPH` payload.
pub(crate) fn stream(out: &mut Writer, numbers: &mut Numbers, mut width: usize, height: usize) {
    let mut kinds = vec![0, 1, 2, 3];
    for _ in 0..numbers.below(5) {
        let at = numbers.below(kinds.len() as u64) as usize;
        let kind = kinds.swap_remove(at);
        out.put(1, 1);
        out.put(kind, 2);
        let helper = |width, height| Wanted { width, height, main: false, groups: None };
        match kind {
            0 | 1 => {
                let bits = 2 + numbers.below(8) as u32;
                out.put(bits - 2, 3);
                pixels(out, numbers, helper(width.div_ceil(1 << bits), height.div_ceil(1 << bits)));
            }
            2 => {}
            _ => {
                let count = numbers.pick(&[1, 2, 3, 4, 5, 16, 17, 200, 256]);
                out.put(count as u32 - 1, 8);
                pixels(out, numbers, helper(count, 1));
                width = width.div_ceil(match count {
                    ..=2 => 8,
                    3..=4 => 4,
                    5..=16 => 2,
                    _ => 1,
                });
            }
        }
    }
    out.put(0, 1);
    pixels(out, numbers, Wanted { width, height, main: true, groups: None });
}

/// The payload of a `VP8L` chunk.
pub(crate) fn payload(numbers: &mut Numbers, width: usize, height: usize) -> Vec<u8> {
    let mut out = header(width, height);
    stream(&mut out, numbers, width, height);
    out.bytes
}

pub(crate) fn header(width: usize, height: usize) -> Writer {
    let mut out = Writer::default();
    out.put(0x2F, 8);
    out.put(width as u32 - 1, 14);
    out.put(height as u32 - 1, 14);
    out.put(1, 1);
    out.put(0, 3);
    out
}

/// A payload of noise with backward references of the largest distances.
pub(crate) fn far(numbers: &mut Numbers, width: usize, height: usize) -> Vec<u8> {
    let mut out = header(width, height);
    // No transform, a color cache of 11 bits, one group.
    out.put(0, 1);
    out.put(1, 1);
    out.put(11, 4);
    out.put(0, 1);
    let all = |to: u32| (0..to).collect::<Vec<u32>>();
    let green = Code::random(numbers, &all(280 + 2048), 280 + 2048, 15);
    let [red, blue, alpha] = [(); 3].map(|()| Code::random(numbers, &all(256), 256, 15));
    let distances = Code::random(numbers, &all(40), 40, 15);
    for code in [&green, &red, &blue, &alpha, &distances] {
        code.put_lengths(&mut out, numbers);
    }
    let (mut done, total) = (0, width * height);
    while done < total {
        for _ in 0..numbers.below(if done == 0 { 20_000 } else { 40 }).min((total - done) as u64) {
            if numbers.once_in(3) {
                green.put(&mut out, 280 + numbers.below(2048) as u32);
            } else {
                green.put(&mut out, numbers.below(256) as u32);
                for code in [&red, &blue, &alpha] {
                    code.put(&mut out, numbers.below(256) as u32);
                }
            }
            done += 1;
        }
        let most = done.min((1 << 20) - 120);
        // Mostly the largest distances, or so small that source and target overlap.
        let distance = match numbers.below(4) {
            0 => 1 + numbers.below(most.clamp(1, 70) as u64) as usize,
            1 => 1 + numbers.below(most.max(1) as u64) as usize,
            _ => most - numbers.below((most / 100).max(1) as u64) as usize,
        };
        let length = (1 + numbers.below(4096) as usize).min(total - done);
        if distance > most || distance == 0 || length == 0 {
            continue;
        }
        for (code, value, first) in [(&green, length, 256), (&distances, distance + 120, 0)] {
            let (symbol, bits, extra) = prefixed(value as u32);
            code.put(&mut out, first + symbol);
            out.put(extra, bits);
        }
        done += length;
    }
    out.bytes
}
