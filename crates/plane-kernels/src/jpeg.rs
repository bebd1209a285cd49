//! A baseline JPEG encoder with the example tables of ITU-T T.81, annex K: YCbCr with 4:2:0 subsampling,
//! or gray. Planes have the full size, so that chroma is rounded only once, during quantization.

use jpeg_scaled::marker;
use jpeg_scaled::typical::{AC, DC, HuffmanSpec};
use pulp::{Arch, NullaryFnOnce};

use crate::simd::{LANES, Scalar, Transpose};

/// Quantization tables of luma and chroma by rows (ITU-T T.81, tables K.1 and K.2), for quality 50.
const QUANTIZATION_TABLES: [[u8; 64]; 2] = [
    [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
        51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121,
        120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ],
    [
        17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

/// The zigzag sequence of a block that is stored by columns.
const ZIGZAG: [u8; 64] = zigzag_by_columns();

const fn zigzag_by_columns() -> [u8; 64] {
    let mut order = [0; 64];
    let mut index = 0;
    while index < 64 {
        let (row, column) = jpeg_scaled::ZIGZAG[index];
        order[index] = column * 8 + row;
        index += 1;
    }
    order
}

/// Encodes one plane or three, each of `width * height` samples.
pub fn encode(planes: &[&[u8]], width: u16, height: u16, quality: u8) -> Vec<u8> {
    encode_on(Arch::new(), planes, width, height, quality)
}

fn encode_on(arch: Arch, planes: &[&[u8]], width: u16, height: u16, quality: u8) -> Vec<u8> {
    let quantization_tables = QUANTIZATION_TABLES.map(|table| scale_quantization(&table, quality));
    let mut out = Vec::with_capacity(planes[0].len() / 4 + 1024);
    headers(&mut out, planes.len(), width, height, &quantization_tables);
    let mut bits = BitWriter { out, word: 0, count: 0 };
    let (width, height) = (usize::from(width), usize::from(height));
    match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V3(simd) => {
            simd.vectorize(EncodeScan {
                planes,
                width,
                height,
                quantization_tables: &quantization_tables,
                bits: &mut bits,
                transpose: simd,
            });
        }
        other => other.dispatch(EncodeScan {
            planes,
            width,
            height,
            quantization_tables: &quantization_tables,
            bits: &mut bits,
            transpose: Scalar,
        }),
    }
    let mut out = bits.finish();
    out.extend_from_slice(&[0xFF, marker::EOI]);
    out
}

/// Scales a table to a quality of 50 or more by libjpeg's formula.
fn scale_quantization(table: &[u8; 64], quality: u8) -> [u8; 64] {
    let percent = 200 - 2 * u32::from(quality.clamp(50, 100));
    table.map(|quantiser| ((u32::from(quantiser) * percent + 50) / 100).max(1) as u8)
}

fn headers(out: &mut Vec<u8>, components: usize, width: u16, height: u16, quantization_tables: &[[u8; 64]; 2]) {
    out.extend_from_slice(&[0xFF, marker::SOI]);
    let mut segment = |code: u8, payload: &[u8]| {
        out.extend_from_slice(&[0xFF, code]);
        out.extend_from_slice(&(payload.len() as u16 + 2).to_be_bytes());
        out.extend_from_slice(payload);
    };
    let count = components as u8;
    let tables = components.min(2);
    segment(marker::APP0, b"JFIF\0\x01\x01\x00\x00\x01\x00\x01\x00\x00");
    for (number, table) in quantization_tables.iter().enumerate().take(tables) {
        let mut payload = vec![number as u8];
        payload.extend(ZIGZAG.iter().map(|&at| table[usize::from(at % 8 * 8 + at / 8)]));
        segment(marker::DQT, &payload);
    }
    let mut frame = vec![8];
    frame.extend_from_slice(&height.to_be_bytes());
    frame.extend_from_slice(&width.to_be_bytes());
    frame.push(count);
    for component in 0..count {
        let sampling = if count > 1 && component == 0 { 0x22 } else { 0x11 };
        frame.extend_from_slice(&[component + 1, sampling, component.min(1)]);
    }
    segment(marker::SOF0, &frame);
    for (class, codes) in [DC, AC].iter().enumerate() {
        for (number, spec) in codes.iter().enumerate().take(tables) {
            let mut payload = vec![(class << 4 | number) as u8];
            payload.extend_from_slice(&spec.bits);
            payload.extend_from_slice(spec.huffval);
            segment(marker::DHT, &payload);
        }
    }
    let mut scan = vec![count];
    for component in 0..count {
        scan.extend_from_slice(&[component + 1, component.min(1) * 0x11]);
    }
    scan.extend_from_slice(&[0, 63, 0]);
    segment(marker::SOS, &scan);
}

/// The tables of luma or chroma.
struct EncoderTables {
    /// Factors of the transformed samples by columns.
    factors: [[f32; LANES]; 8],
    /// Code, and in the low eight bits its length, by symbol.
    dc: [u32; 256],
    ac: [u32; 256],
}

impl EncoderTables {
    fn new(number: usize, quantization_tables: &[[u8; 64]; 2]) -> Self {
        let scale = |index: usize| match index {
            0 => 1.0,
            _ => (index as f64 * std::f64::consts::PI / 16.0).cos() * std::f64::consts::SQRT_2,
        };
        let factor = |column: usize, row: usize| {
            let quantiser = f64::from(quantization_tables[number][row * 8 + column]);
            (1.0 / (8.0 * quantiser * scale(column) * scale(row))) as f32
        };
        Self {
            factors: std::array::from_fn(|column| std::array::from_fn(|row| factor(column, row))),
            dc: codes(DC[number]),
            ac: codes(AC[number]),
        }
    }
}

fn codes(spec: HuffmanSpec) -> [u32; 256] {
    let mut codes = [0; 256];
    let mut symbols = spec.huffval.iter();
    let mut next = 0;
    for (length, &count) in (1..).zip(&spec.bits) {
        for &symbol in symbols.by_ref().take(usize::from(count)) {
            codes[usize::from(symbol)] = next << 8 | length;
            next += 1;
        }
        next <<= 1;
    }
    codes
}

struct EncodeScan<'a, S> {
    planes: &'a [&'a [u8]],
    width: usize,
    height: usize,
    quantization_tables: &'a [[u8; 64]; 2],
    bits: &'a mut BitWriter,
    transpose: S,
}

impl<S: Transpose> NullaryFnOnce for EncodeScan<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { planes, width, height, quantization_tables, bits, transpose } = self;
        let tables = [0, 1].map(|number| EncoderTables::new(number, quantization_tables));
        let mut predictions = [0; 3];
        if let [grey] = planes {
            let mut strip = Strip::new(width.next_multiple_of(8));
            for top in (0..height).step_by(8) {
                strip.fill(grey, width, height, top, 8);
                for left in (0..width).step_by(8) {
                    let block = strip.block(0, left, &tables[0], transpose);
                    bits.block(&block, &mut predictions[0], &tables[0]);
                }
            }
            return;
        }
        let mut strips = [1, 2, 2].map(|part| Strip::new(width.next_multiple_of(16) / part));
        for top in (0..height).step_by(16) {
            strips[0].fill(planes[0], width, height, top, 16);
            strips[1].fill_halved(planes[1], width, height, top);
            strips[2].fill_halved(planes[2], width, height, top);
            for left in (0..width).step_by(16) {
                for (y, x) in [(0, 0), (0, 8), (8, 0), (8, 8)] {
                    let block = strips[0].block(y, left + x, &tables[0], transpose);
                    bits.block(&block, &mut predictions[0], &tables[0]);
                }
                for component in [1, 2] {
                    let block = strips[component].block(0, left / 2, &tables[1], transpose);
                    bits.block(&block, &mut predictions[component], &tables[1]);
                }
            }
        }
    }
}

/// Rows of level-shifted samples, padded by repeating the edges.
struct Strip {
    samples: Vec<f32>,
    stride: usize,
}

impl Strip {
    fn new(stride: usize) -> Self {
        Self { samples: vec![0.0; stride * 16], stride }
    }

    #[inline(always)]
    fn fill(&mut self, plane: &[u8], width: usize, height: usize, top: usize, rows: usize) {
        for (y, out) in self.samples.chunks_exact_mut(self.stride).enumerate().take(rows) {
            let row = &plane[(top + y).min(height - 1) * width..][..width];
            let (inside, outside) = out.split_at_mut(width);
            for (out, &sample) in inside.iter_mut().zip(row) {
                *out = f32::from(sample) - 128.0;
            }
            outside.fill(inside[width - 1]);
        }
    }

    /// Fills eight rows with the means of 2 x 2 samples.
    #[inline(always)]
    fn fill_halved(&mut self, plane: &[u8], width: usize, height: usize, top: usize) {
        for (y, out) in self.samples.chunks_exact_mut(self.stride).enumerate().take(8) {
            let row = |y: usize| plane[(top + y).min(height - 1) * width..][..width].as_chunks::<2>();
            let ((upper, upper_last), (lower, lower_last)) = (row(2 * y), row(2 * y + 1));
            for ((out, &[a, b]), &[c, d]) in out.iter_mut().zip(upper).zip(lower) {
                let sum = u16::from(a) + u16::from(b) + u16::from(c) + u16::from(d);
                *out = f32::from(sum) * 0.25 - 128.0;
            }
            if let (&[a], &[b]) = (upper_last, lower_last) {
                out[width / 2] = f32::from(u16::from(a) + u16::from(b)) * 0.5 - 128.0;
            }
            let (inside, outside) = out.split_at_mut(width.div_ceil(2));
            outside.fill(inside[inside.len() - 1]);
        }
    }

    /// Transforms and quantizes a block; the result is stored by columns.
    #[inline(always)]
    fn block(&self, top: usize, left: usize, tables: &EncoderTables, transpose: impl Transpose) -> [i16; 64] {
        let mut rows = [[0.0; LANES]; 8];
        for (y, row) in rows.iter_mut().enumerate() {
            let at = (top + y) * self.stride + left;
            row.copy_from_slice(&self.samples[at..at + LANES]);
        }
        let columns = transform(transpose.transpose(transform(rows)));
        let mut block = [0; 64];
        for column in 0..8 {
            for row in 0..LANES {
                // Adding 3 * 2^22 leaves the rounded integer in the low bits.
                let level = columns[column][row] * tables.factors[column][row] + 12_582_912.0;
                block[column * LANES + row] = level.to_bits() as i16;
            }
        }
        block
    }
}

/// The DCT of Arai, Agui and Nakajima (AAN) in each lane, without the scaling, which is in the factors.
#[inline(always)]
fn transform(input: [[f32; LANES]; 8]) -> [[f32; LANES]; 8] {
    // √½, sin(π/8), cos(π/8) - sin(π/8) and cos(π/8) + sin(π/8).
    const HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
    const SINE: f32 = 0.382_683_43;
    const LESS: f32 = 0.541_196_1;
    const PLUS: f32 = 1.306_563;
    let mut out = input;
    for lane in 0..LANES {
        let (mut sums, mut differences) = ([0.0; 4], [0.0; 4]);
        for index in 0..4 {
            sums[index] = input[index][lane] + input[7 - index][lane];
            differences[3 - index] = input[index][lane] - input[7 - index][lane];
        }

        let (outer, inner) = (sums[0] + sums[3], sums[1] + sums[2]);
        let outer_difference = sums[0] - sums[3];
        let rotated = (sums[1] - sums[2] + outer_difference) * HALF;
        out[0][lane] = outer + inner;
        out[4][lane] = outer - inner;
        out[2][lane] = outer_difference + rotated;
        out[6][lane] = outer_difference - rotated;

        let pairs = [differences[0] + differences[1], differences[1] + differences[2], differences[2] + differences[3]];
        let shared = (pairs[0] - pairs[2]) * SINE;
        let (low, high) = (pairs[0] * LESS + shared, pairs[2] * PLUS + shared);
        let middle = pairs[1] * HALF;
        let (sum, difference) = (differences[3] + middle, differences[3] - middle);
        out[5][lane] = difference + low;
        out[3][lane] = difference - low;
        out[1][lane] = sum + high;
        out[7][lane] = sum - high;
    }
    out
}

/// Writes entropy-coded data with byte stuffing.
struct BitWriter {
    out: Vec<u8>,
    /// The low `count` bits, at most 32, are not written yet.
    word: u64,
    count: u32,
}

impl BitWriter {
    /// At most 32 bits.
    #[inline(always)]
    fn push(&mut self, bits: u32, count: u32) {
        self.word = self.word << count | u64::from(bits);
        self.count += count;
        if self.count > 32 {
            self.count -= 32;
            let four = (self.word >> self.count) as u32;
            // A byte of 0xFF is a zero byte of the complement.
            let zeros = !four;
            if zeros.wrapping_sub(0x0101_0101) & !zeros & 0x8080_8080 == 0 {
                self.out.extend_from_slice(&four.to_be_bytes());
            } else {
                self.stuff(four.to_be_bytes());
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn stuff(&mut self, bytes: [u8; 4]) {
        for byte in bytes {
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
        }
    }

    /// Writes a symbol and its value (section F.1.2).
    #[inline(always)]
    fn value(&mut self, codes: &[u32; 256], run: u32, value: i32) {
        let size = 32 - value.unsigned_abs().leading_zeros();
        let code = codes[(run << 4 | size) as usize & 255];
        let bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
        self.push(code >> 8 << size | bits, (code & 255) + size);
    }

    #[inline(always)]
    fn block(&mut self, block: &[i16; 64], prediction: &mut i32, tables: &EncoderTables) {
        let dc = i32::from(block[0]);
        self.value(&tables.dc, 0, dc - *prediction);
        *prediction = dc;
        let mut ordered = [0; 64];
        for index in 0..64 {
            ordered[index] = block[usize::from(ZIGZAG[index])];
        }
        let mut left = nonzero(&ordered) >> 1;
        let mut at = 0;
        while left != 0 {
            let mut run = left.trailing_zeros();
            at += run as usize + 1;
            left = left >> run >> 1;
            while run > 15 {
                self.push(tables.ac[0xF0] >> 8, tables.ac[0xF0] & 255);
                run -= 16;
            }
            self.value(&tables.ac, run, i32::from(ordered[at & 63]));
        }
        if at < 63 {
            self.push(tables.ac[0] >> 8, tables.ac[0] & 255);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let fill = self.count.next_multiple_of(8) - self.count;
        let word = self.word << fill | ((1 << fill) - 1);
        let bytes = ((self.count + fill) / 8) as usize;
        for byte in &word.to_be_bytes()[8 - bytes..] {
            self.out.push(*byte);
            if *byte == 0xFF {
                self.out.push(0);
            }
        }
        self.out
    }
}

/// A mask of the non-zero values, the first lowest.
#[inline(always)]
fn nonzero(values: &[i16; 64]) -> u64 {
    let mut flags = [0; 64];
    for index in 0..64 {
        flags[index] = u8::from(values[index] != 0);
    }
    let mut bits = 0;
    for (byte, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        // Moves each flag to its bit of the highest byte.
        let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits |= gathered << (8 * byte);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_and_simd_files_are_equal() {
        let mut state = 7_u32;
        let mut sample = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for (width, height) in [(1, 1), (1, 40), (40, 1), (7, 9), (8, 8), (16, 16), (17, 33), (100, 75), (267, 200)] {
            let [y, cb, cr] = [(); 3].map(|()| (0..width * height).map(|_| sample()).collect::<Vec<u8>>());
            let (width, height) = (width as u16, height as u16);
            for quality in [50, 80, 95] {
                for planes in [&[&y[..]][..], &[&y, &cb, &cr]] {
                    let scalar = encode_on(Arch::Scalar, planes, width, height, quality);
                    assert_eq!(scalar, encode(planes, width, height, quality));
                }
            }
        }
    }

    #[test]
    fn ff_bytes_are_stuffed() {
        let mut bits = BitWriter { out: Vec::new(), word: 0, count: 0 };
        for _ in 0..3 {
            bits.push(0xFF_FF12, 24);
        }
        bits.push(0x1F, 5);
        let wanted: Vec<u8> = [0xFF, 0, 0xFF, 0, 0x12].repeat(3).into_iter().chain([0xFF, 0]).collect();
        assert_eq!(bits.finish(), wanted);
    }
}
