//! Writes JPEG files from known coefficients.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part of these")]

use jpeg_scaled::marker;

/// A sequence of numbers that is the same on every run (xorshift64*).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 to `end - 1`.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end
    }
}

/// One scan: its components, `Ss`, `Se`, `Ah` and `Al`.
#[derive(Clone)]
pub struct Scan {
    pub components: Vec<usize>,
    pub ss: usize,
    pub se: usize,
    pub ah: u32,
    pub al: u32,
}

pub fn scan(components: &[usize], ss: usize, se: usize, ah: u32, al: u32) -> Scan {
    Scan { components: components.to_vec(), ss, se, ah, al }
}

#[derive(Clone)]
pub struct File {
    pub width: usize,
    pub height: usize,
    /// Horizontal and vertical sampling of each component.
    pub sampling: Vec<(usize, usize)>,
    pub quantisers: [u16; 64],
    pub restart_interval: usize,
    pub progressive: bool,
    pub scans: Vec<Scan>,
    /// By component and block (including the padding of MCUs), in zigzag order.
    pub coefficients: Vec<Vec<[i32; 64]>>,
}

impl File {
    /// A file of one sequential scan with random coefficients.
    pub fn noise(
        numbers: &mut Numbers,
        (width, height): (usize, usize),
        sampling: &[(usize, usize)],
        quantiser: u16,
    ) -> Self {
        let mut file = Self {
            width,
            height,
            sampling: sampling.to_vec(),
            quantisers: std::array::from_fn(|index| quantiser + index as u16 % 5),
            restart_interval: 0,
            progressive: false,
            scans: vec![scan(&(0..sampling.len()).collect::<Vec<_>>(), 0, 63, 0, 0)],
            coefficients: Vec::new(),
        };
        for component in 0..sampling.len() {
            let (across, down) = file.stride(component);
            let blocks = (0..across * down).map(|_| noise_block(numbers, quantiser));
            let blocks = blocks.collect();
            file.coefficients.push(blocks);
        }
        file
    }

    /// The same image in the usual ten scans of a progressive file.
    pub fn into_progressive(mut self) -> Self {
        let all: Vec<usize> = (0..self.sampling.len()).collect();
        self.progressive = true;
        self.scans = vec![scan(&all, 0, 0, 0, 1)];
        for &component in &all {
            self.scans.push(scan(&[component], 1, 5, 0, 2));
            self.scans.push(scan(&[component], 6, 63, 0, 2));
            self.scans.push(scan(&[component], 1, 63, 2, 1));
        }
        self.scans.push(scan(&all, 0, 0, 1, 0));
        for &component in &all {
            self.scans.push(scan(&[component], 1, 63, 1, 0));
        }
        self
    }

    fn most(&self) -> (usize, usize) {
        let across = self.sampling.iter().map(|&(h, _)| h).max().unwrap();
        let down = self.sampling.iter().map(|&(_, v)| v).max().unwrap();
        (across, down)
    }

    fn mcus(&self) -> (usize, usize) {
        let (across, down) = self.most();
        (self.width.div_ceil(8 * across), self.height.div_ceil(8 * down))
    }

    /// Blocks across and down, including the padding of MCUs.
    pub fn stride(&self, component: usize) -> (usize, usize) {
        let (mcus, (h, v)) = (self.mcus(), self.sampling[component]);
        (mcus.0 * h, mcus.1 * v)
    }

    /// Samples across and down at `scale` eighths, rounded up.
    pub fn size(&self, component: usize, scale: usize) -> (usize, usize) {
        let ((across, down), (h, v)) = (self.most(), self.sampling[component]);
        ((self.width * h * scale).div_ceil(8 * across), (self.height * v * scale).div_ceil(8 * down))
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![0xFF, marker::SOI];
        let mut table = vec![0x10];
        table.extend(self.quantisers.iter().flat_map(|value| value.to_be_bytes()));
        segment(&mut out, marker::DQT, &table);
        let mut frame = vec![8];
        frame.extend((self.height as u16).to_be_bytes());
        frame.extend((self.width as u16).to_be_bytes());
        frame.push(self.sampling.len() as u8);
        for (index, &(h, v)) in self.sampling.iter().enumerate() {
            frame.extend([index as u8 + 1, (h << 4 | v) as u8, 0]);
        }
        segment(&mut out, if self.progressive { marker::SOF2 } else { marker::SOF1 }, &frame);
        for (class, code) in [(0, Code::dc()), (0x10, Code::ac())] {
            let mut table = vec![class];
            table.extend(code.counts);
            table.extend(code.symbols);
            segment(&mut out, marker::DHT, &table);
        }
        if self.restart_interval > 0 {
            segment(&mut out, marker::DRI, &(self.restart_interval as u16).to_be_bytes());
        }
        for scan in &self.scans {
            let mut header = vec![scan.components.len() as u8];
            for &component in &scan.components {
                header.extend([component as u8 + 1, 0]);
            }
            header.extend([scan.ss as u8, scan.se as u8, (scan.ah << 4 | scan.al) as u8]);
            segment(&mut out, marker::SOS, &header);
            self.write_scan(&mut out, scan);
        }
        out.extend([0xFF, marker::EOI]);
        out
    }

    fn write_scan(&self, out: &mut Vec<u8>, scan: &Scan) {
        let mut writer = Writer::new(out);
        let mut places = Vec::new();
        if let [component] = scan.components[..] {
            let (across, down) = self.most();
            let (h, v) = self.sampling[component];
            let columns = (self.width * h).div_ceil(8 * across);
            let rows = (self.height * v).div_ceil(8 * down);
            let stride = self.stride(component).0;
            for row in 0..rows {
                for column in 0..columns {
                    places.push(vec![(component, row * stride + column)]);
                }
            }
        } else {
            let mcus = self.mcus();
            for mcu in 0..mcus.0 * mcus.1 {
                let (x, y) = (mcu % mcus.0, mcu / mcus.0);
                let mut blocks = Vec::new();
                for &component in &scan.components {
                    let (h, v) = self.sampling[component];
                    let stride = self.stride(component).0;
                    for row in 0..v {
                        for column in 0..h {
                            let block = (y * v + row) * stride + x * h + column;
                            blocks.push((component, block));
                        }
                    }
                }
                places.push(blocks);
            }
        }
        let mut predictions = [0; 4];
        for (mcu, blocks) in places.iter().enumerate() {
            if self.restart_interval > 0 && mcu > 0 && mcu % self.restart_interval == 0 {
                writer.end_run();
                writer.restart(mcu / self.restart_interval - 1);
                predictions = [0; 4];
            }
            for &(component, block) in blocks {
                let block = &self.coefficients[component][block];
                if !self.progressive {
                    writer.dc(block[0], &mut predictions[component]);
                    writer.sequential(block);
                } else if scan.ss == 0 && scan.ah == 0 {
                    writer.dc(block[0] >> scan.al, &mut predictions[component]);
                } else if scan.ss == 0 {
                    writer.bits((block[0] >> scan.al & 1) as u32, 1);
                } else if scan.ah == 0 {
                    writer.first(&block[scan.ss..=scan.se], scan.al);
                } else {
                    writer.refine(&block[scan.ss..=scan.se], scan.al);
                }
            }
        }
        writer.end_run();
        writer.flush();
    }
}

fn noise_block(numbers: &mut Numbers, quantiser: u16) -> [i32; 64] {
    let density = numbers.below(20);
    let reach = (2000 / i64::from(quantiser)).clamp(1, 1000);
    std::array::from_fn(|index| {
        let coded = index == 0 || numbers.below(24) < density;
        if !coded {
            return 0;
        }
        // Large values are rare, and larger at low frequencies.
        let reach = match numbers.below(6) {
            0 => reach / (1 + index as i64 / 2),
            _ => 3,
        }
        .max(1);
        (numbers.below(2 * reach as u64 + 1) as i64 - reach) as i32
    })
}

fn segment(out: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    out.extend([0xFF, marker]);
    out.extend((payload.len() as u16 + 2).to_be_bytes());
    out.extend(payload);
}

/// A Huffman code with a few short codes and many long ones, so that every lookup table is used.
struct Code {
    counts: [u8; 16],
    symbols: Vec<u8>,
    /// Code and length by symbol.
    codes: Vec<(u32, u32)>,
}

impl Code {
    fn new(counts: [u8; 16], symbols: Vec<u8>) -> Self {
        let mut codes = vec![(0, 0); 256];
        let mut next = 0;
        let mut taken = symbols.iter();
        for (length, &count) in counts.iter().enumerate() {
            next <<= 1;
            for _ in 0..count {
                let Some(&symbol) = taken.next() else { break };
                codes[usize::from(symbol)] = (next, length as u32 + 1);
                next += 1;
            }
        }
        Self { counts, symbols, codes }
    }

    fn dc() -> Self {
        let mut counts = [0; 16];
        counts[1] = 2;
        counts[3] = 6;
        counts[14] = 4;
        Self::new(counts, (0..12).collect())
    }

    fn ac() -> Self {
        let mut counts = [0; 16];
        counts[1] = 1;
        counts[2] = 1;
        counts[5] = 8;
        counts[7] = 40;
        counts[12] = 100;
        counts[15] = 106;
        let mut symbols: Vec<u8> = (0..=255).collect();
        symbols.sort_by_key(|symbol| (symbol & 15) * 2 + (symbol >> 4));
        Self::new(counts, symbols)
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    word: u64,
    count: u32,
    dc: Code,
    ac: Code,
    eob_run: u32,
    corrections: Vec<u32>,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, word: 0, count: 0, dc: Code::dc(), ac: Code::ac(), eob_run: 0, corrections: Vec::new() }
    }

    fn bits(&mut self, value: u32, count: u32) {
        self.word = self.word << count | u64::from(value);
        self.count += count;
        while self.count >= 8 {
            let byte = (self.word >> (self.count - 8)) as u8;
            self.out.push(byte);
            if byte == 0xFF {
                self.out.push(0);
            }
            self.count -= 8;
        }
        self.word &= (1 << self.count) - 1;
    }

    fn flush(&mut self) {
        if self.count > 0 {
            let fill = 8 - self.count;
            self.bits((1 << fill) - 1, fill);
        }
    }

    fn restart(&mut self, number: usize) {
        self.flush();
        self.out.extend([0xFF, marker::RST0 + (number % 8) as u8]);
    }

    fn symbol(&mut self, symbol: u32) {
        let (code, length) = self.ac.codes[symbol as usize];
        self.bits(code, length);
    }

    fn value(&mut self, value: i32, size: u32) {
        let bits = if value < 0 { value - 1 } else { value } as u32;
        self.bits(bits & ((1 << size) - 1), size);
    }

    fn dc(&mut self, value: i32, prediction: &mut i32) {
        let difference = value - *prediction;
        *prediction = value;
        let size = size(difference);
        let (code, length) = self.dc.codes[size as usize];
        self.bits(code, length);
        if size > 0 {
            self.value(difference, size);
        }
    }

    fn sequential(&mut self, block: &[i32; 64]) {
        let mut run = 0;
        for &value in &block[1..] {
            if value == 0 {
                run += 1;
                continue;
            }
            while run > 15 {
                self.symbol(0xF0);
                run -= 16;
            }
            self.symbol(run << 4 | size(value));
            self.value(value, size(value));
            run = 0;
        }
        if run > 0 {
            self.symbol(0);
        }
    }

    fn first(&mut self, band: &[i32], low: u32) {
        let mut run = 0;
        for &value in band {
            let value = shifted(value, low);
            if value == 0 {
                run += 1;
                continue;
            }
            self.end_run();
            while run > 15 {
                self.symbol(0xF0);
                run -= 16;
            }
            self.symbol(run << 4 | size(value));
            self.value(value, size(value));
            run = 0;
        }
        if run > 0 {
            self.eob_run += 1;
            if self.eob_run == 0x7FFF {
                self.end_run();
            }
        }
    }

    fn refine(&mut self, band: &[i32], low: u32) {
        let values: Vec<i32> = band.iter().map(|&value| shifted(value, low)).collect();
        let last_new = values.iter().rposition(|&value| value.abs() == 1);
        let mut run = 0;
        let mut corrections = Vec::new();
        for (index, &value) in values.iter().enumerate() {
            if value == 0 {
                run += 1;
                continue;
            }
            while run > 15 && last_new.is_some_and(|last| index <= last) {
                self.end_run();
                self.symbol(0xF0);
                run -= 16;
                for bit in corrections.drain(..) {
                    self.bits(bit, 1);
                }
            }
            if value.abs() > 1 {
                corrections.push(value.unsigned_abs() & 1);
                continue;
            }
            self.end_run();
            self.symbol(run << 4 | 1);
            self.bits(u32::from(value > 0), 1);
            for bit in corrections.drain(..) {
                self.bits(bit, 1);
            }
            run = 0;
        }
        if run > 0 || !corrections.is_empty() {
            self.eob_run += 1;
            self.corrections.append(&mut corrections);
            if self.eob_run == 0x7FFF || self.corrections.len() > 900 {
                self.end_run();
            }
        }
    }

    /// Writes an EOB run and its correction bits (ITU-T T.81, section G.1.2.3).
    fn end_run(&mut self) {
        if self.eob_run > 0 {
            let size = self.eob_run.ilog2();
            self.symbol(size << 4);
            self.bits(self.eob_run & ((1 << size) - 1), size);
            self.eob_run = 0;
            for bit in std::mem::take(&mut self.corrections) {
                self.bits(bit, 1);
            }
        }
    }
}

fn size(value: i32) -> u32 {
    32 - value.unsigned_abs().leading_zeros()
}

/// The point transform (ITU-T T.81, section A.4).
fn shifted(value: i32, low: u32) -> i32 {
    let magnitude = (value.unsigned_abs() >> low) as i32;
    if value < 0 { -magnitude } else { magnitude }
}
