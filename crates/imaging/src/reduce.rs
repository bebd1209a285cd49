//! Reduces an image row by row to a few times the thumbnail's size, with a box filter of whole pixels.
//!
//! A box filter is fast but lets aliasing through. The final resize uses a Lanczos filter, and enough
//! pixels are left for it to remove that aliasing.

use plane_kernels::resize::rounded;
use pulp::{Arch, NullaryFnOnce};

use crate::picture::{Plane, Samples};

/// The most source pixels averaged in one direction; sums fit 32 bits.
const MAX_FACTOR: u32 = 4096;

/// Source pixels for one reduced pixel, in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Factor {
    pub(crate) x: u32,
    pub(crate) y: u32,
}

impl Factor {
    /// The largest factor that leaves `oversample` times the target in both directions.
    pub(crate) fn leaving(oversample: f64, source: (u32, u32), target: (u32, u32)) -> Self {
        let one = |source: u32, target: u32| {
            ((f64::from(source) / (f64::from(target) * oversample)) as u32).clamp(1, MAX_FACTOR)
        };
        Self { x: one(source.0, target.0), y: one(source.1, target.1) }
    }
}

/// Averages rows of interleaved 8-bit samples.
pub(crate) struct Reducer {
    channels: usize,
    /// Channels of the result, the first ones.
    kept: usize,
    width: u32,
    height: u32,
    factor: Factor,
    /// Sums of the rows of a box, before averaging across.
    sums: Vec<u32>,
    rows_summed: u32,
    out_width: usize,
    out: Vec<u8>,
    /// Only for rows out of order: sums of boxes.
    scattered: Vec<u32>,
}

impl Reducer {
    pub(crate) fn new(channels: usize, width: u32, height: u32, factor: Factor) -> Self {
        Self::keeping(channels, channels, width, height, factor)
    }

    /// Drops the channels after the first `kept`, which is 3 of 4, or all.
    pub(crate) fn keeping(kept: usize, channels: usize, width: u32, height: u32, factor: Factor) -> Self {
        let out_width = width.div_ceil(factor.x) as usize;
        let out_height = height.div_ceil(factor.y) as usize;
        Self {
            channels,
            kept,
            width,
            height,
            factor,
            sums: vec![0; width as usize * channels],
            rows_summed: 0,
            out_width,
            out: Vec::with_capacity(out_width * out_height * kept),
            scattered: Vec::new(),
        }
    }

    /// Adds the next row, `width * channels` samples.
    pub(crate) fn push(&mut self, row: &[u8]) {
        debug_assert_eq!(row.len(), self.sums.len());
        if self.factor == (Factor { x: 1, y: 1 }) {
            if self.kept == self.channels {
                self.out.extend_from_slice(row);
            } else {
                row.chunks_exact(self.channels).for_each(|pixel| self.out.extend_from_slice(&pixel[..self.kept]));
            }
            return;
        }
        if self.rows_summed == 0 {
            for (sum, &sample) in self.sums.iter_mut().zip(row) {
                *sum = u32::from(sample);
            }
        } else {
            for (sum, &sample) in self.sums.iter_mut().zip(row) {
                *sum += u32::from(sample);
            }
        }
        self.rows_summed += 1;
        if self.rows_summed == self.factor.y {
            self.finish_row();
        }
    }

    /// Turns rows of three channels into rows of four, all opaque. Not for rows out of order.
    pub(crate) fn add_alpha(&mut self) {
        debug_assert!(self.scattered.is_empty() && self.channels == 3 && self.kept == 3);
        let opaque = 255 * self.rows_summed;
        self.sums = self.sums.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, opaque]).collect();
        self.out = self.out.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
        (self.channels, self.kept) = (4, 4);
    }

    fn finish_row(&mut self) {
        let Self { sums, out, rows_summed, .. } = self;
        let (across, rows, channels, kept) = (self.factor.x as usize, *rows_summed, self.channels, self.kept);
        Arch::new().dispatch(AverageAcross { sums, out, across, rows, channels, kept });
        self.rows_summed = 0;
    }

    pub(crate) fn factor(&self) -> Factor {
        self.factor
    }

    /// Must be called before the first [`scatter`](Self::scatter). Missing pixels stay zero.
    pub(crate) fn expect_scattered(&mut self) {
        let height = self.height.div_ceil(self.factor.y) as usize;
        let samples = self.out_width * height * self.channels;
        if self.factor == (Factor { x: 1, y: 1 }) {
            self.out = vec![0; samples];
        } else {
            self.scattered = vec![0; samples];
        }
    }

    /// Adds the pixels of row `y` at the columns `x`, `x + step`, …, for interlaced images. Each pixel must
    /// be added once.
    pub(crate) fn scatter(&mut self, y: u32, x: u32, step: u32, pixels: &[u8]) {
        let row = (y / self.factor.y) as usize * self.out_width;
        let mut column = x;
        for pixel in pixels.chunks_exact(self.channels) {
            let at = (row + (column / self.factor.x) as usize) * self.channels;
            if self.scattered.is_empty() {
                self.out[at..at + self.channels].copy_from_slice(pixel);
            } else {
                for (sum, &sample) in self.scattered[at..].iter_mut().zip(pixel) {
                    *sum += u32::from(sample);
                }
            }
            column += step;
        }
    }

    /// Returns the reduced image. The caller must have added all rows.
    pub(crate) fn finish(mut self) -> Plane {
        if self.rows_summed > 0 {
            self.finish_row();
        }
        if !self.scattered.is_empty() {
            self.average_scattered();
        }
        Plane {
            width: self.out_width as u32,
            height: (self.out.len() / (self.out_width * self.kept)) as u32,
            stride: self.out_width * self.kept,
            view_width: f64::from(self.width) / f64::from(self.factor.x),
            view_height: f64::from(self.height) / f64::from(self.factor.y),
            spread: (0.0, 0.0),
            samples: Samples { channels: self.kept, data: self.out },
        }
    }

    fn average_scattered(&mut self) {
        let Factor { x, y } = self.factor;
        for (row, sums) in self.scattered.chunks(self.out_width * self.channels).enumerate() {
            let rows = y.min(self.height - row as u32 * y);
            for (column, pixel) in sums.chunks(self.channels).enumerate() {
                let count = u64::from(x.min(self.width - column as u32 * x)) * u64::from(rows);
                for &sum in pixel {
                    self.out.push(((u64::from(sum) * 2 + count) / (2 * count)) as u8);
                }
            }
        }
    }
}

/// Averages sums of rows across. Compiled for every processor and for AVX2.
struct AverageAcross<'a> {
    sums: &'a [u32],
    out: &'a mut Vec<u8>,
    across: usize,
    rows: u32,
    channels: usize,
    kept: usize,
}

impl NullaryFnOnce for AverageAcross<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        match (self.channels, self.kept) {
            (1, _) => self.average::<1, 1>(),
            (2, _) => self.average::<2, 2>(),
            (3, _) => self.average::<3, 3>(),
            (_, 3) => self.average::<4, 3>(),
            _ => self.average::<4, 4>(),
        }
    }
}

impl AverageAcross<'_> {
    /// Specialized for the usual box sizes.
    #[inline(always)]
    fn average<const CHANNELS: usize, const KEPT: usize>(self) {
        match self.across {
            2 => self.boxes::<CHANNELS, KEPT>(2),
            3 => self.boxes::<CHANNELS, KEPT>(3),
            4 => self.boxes::<CHANNELS, KEPT>(4),
            across => self.boxes::<CHANNELS, KEPT>(across),
        }
    }

    #[inline(always)]
    fn boxes<const CHANNELS: usize, const KEPT: usize>(self, across: usize) {
        let (sums, rows) = (self.sums, self.rows);
        // Resized first: pushing one by one would prevent vectorization.
        let start = self.out.len();
        self.out.resize(start + sums.len().div_ceil(across * CHANNELS) * KEPT, 0);
        let out = self.out[start..].as_chunks_mut::<KEPT>().0;
        let whole = sums.chunks_exact(across * CHANNELS);
        let part = whole.remainder();
        if let ([.., last], false) = (&mut *out, part.is_empty()) {
            *last = mean::<CHANNELS, KEPT>(part, part.len() / CHANNELS, rows);
        }
        for (pixels, out) in whole.zip(out) {
            *out = mean::<CHANNELS, KEPT>(pixels, across, rows);
        }
    }
}

#[inline(always)]
fn mean<const CHANNELS: usize, const KEPT: usize>(pixels: &[u32], across: usize, rows: u32) -> [u8; KEPT] {
    let mut total = [0_u32; KEPT];
    for pixel in 0..across {
        for channel in 0..KEPT {
            total[channel] += pixels[pixel * CHANNELS + channel];
        }
    }
    // Rounded division by multiplication, exact enough for sums of samples.
    let scale = 1.0 / (across as u32 * rows) as f32;
    let mut mean = [0; KEPT];
    for channel in 0..KEPT {
        mean[channel] = rounded(total[channel] as f32 * scale) as u8;
    }
    mean
}
