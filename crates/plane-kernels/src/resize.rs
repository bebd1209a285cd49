//! Resizes with a Lanczos filter of three lobes.
//!
//! Samples are rounded once, at the end: rounding to eight bits between the two directions, or between
//! one thumbnail and the next, costs up to 1.5 dB. The vertical pass comes first, because it needs no
//! moves between lanes and leaves fewer rows for the horizontal pass. It multiplies whole numbers: samples
//! by weights of 16 bits, summed in 32 bits. The horizontal pass is in single precision.

use std::f32::consts::PI;
use std::hint;
use std::ops::Range;

use pulp::{Arch, NullaryFnOnce};

use crate::simd::{LANES, MultiplyAdd, Scalar, Transpose, WIDE};

/// The radius of the filter, in samples of the smaller image.
const LOBES: f64 = 3.0;
/// Decoders interpolate subsampled chroma: 3/8 of a sample in each of the two pixels that it covers, 1/8
/// in each of those beside them. These are the shifts, in widths of the sample, and the weights. Because
/// chroma is resized without interpolation here, the filter includes it.
const SPREAD: [(f32, f32); 4] = [(-0.75, 0.125), (-0.25, 0.375), (0.25, 0.375), (0.75, 0.125)];
/// Rows of the result computed at once. Their source rows, [`WIDE`] columns of 16 bits, fit the L1 cache.
const BAND: usize = 16;
/// Bytes.
const CACHE_LINE: usize = 64;
/// Neighboring samples of the result written at once.
const FEW: usize = 4;

/// A plane of samples, or several interleaved.
#[derive(Clone, Copy, Debug)]
pub struct PlaneView<'a> {
    pub samples: &'a [u8],
    pub channels: usize,
    /// In pixels.
    pub width: usize,
    pub height: usize,
    /// Samples from a row to the next.
    pub stride: usize,
    /// The size of the resized part, from the top left, in fractional pixels.
    pub across: f64,
    pub down: f64,
    /// The width and height, in samples of this plane, of a subsampled chroma sample of the file, which
    /// decoders interpolate (see [`SPREAD`]); 0 if not subsampled.
    pub spread: (f64, f64),
}

/// Where a result has its pixels, so that it can be turned and mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The index of the pixel at the top left.
    pub first: usize,
    /// From the index of a pixel to that of the next one to the right, and of the next one below.
    pub across: isize,
    pub down: isize,
}

impl Layout {
    /// By rows from the top.
    pub fn upright(width: usize) -> Self {
        Self { first: 0, across: 1, down: width as isize }
    }

    #[inline(always)]
    fn index(&self, x: usize, y: usize) -> usize {
        self.first.wrapping_add_signed(x as isize * self.across + y as isize * self.down)
    }
}

/// The sample type of a result.
trait Sample: Copy + Default {
    fn from_sum(sum: f32) -> Self;

    /// Writes up to [`FEW`] neighboring samples of each row, from `start` on.
    fn write(samples: &[[f32; BAND]; FEW], rows: std::slice::ChunksExactMut<'_, Self>, start: usize);
}

/// Rounds to eight bits.
#[inline(always)]
pub fn rounded(value: f32) -> u32 {
    // Adding 2^23 leaves the integer in the low bits.
    (value.clamp(0.0, 255.0) + 8_388_608.0).to_bits() & 255
}

impl Sample for u8 {
    #[inline(always)]
    fn from_sum(sum: f32) -> Self {
        rounded(sum) as u8
    }

    #[inline(always)]
    fn write(samples: &[[f32; BAND]; FEW], rows: std::slice::ChunksExactMut<'_, Self>, start: usize) {
        let mut words = [0; BAND];
        for (place, samples) in samples.iter().enumerate() {
            for row in 0..BAND {
                words[row] |= rounded(samples[row]) << (8 * place);
            }
        }
        for (row, word) in rows.zip(words) {
            let (place, bytes) = (&mut row[start..], word.to_le_bytes());
            match place.first_chunk_mut::<FEW>() {
                Some(place) => *place = bytes,
                None => place.copy_from_slice(&bytes[..place.len()]),
            }
        }
    }
}

/// Neither rounded nor clamped.
impl Sample for f32 {
    #[inline(always)]
    fn from_sum(sum: f32) -> Self {
        sum
    }

    #[inline(always)]
    fn write(samples: &[[f32; BAND]; FEW], rows: std::slice::ChunksExactMut<'_, Self>, start: usize) {
        for (index, row) in rows.enumerate() {
            for (place, samples) in row[start..].iter_mut().zip(samples) {
                *place = samples[index];
            }
        }
    }
}

impl PlaneView<'_> {
    /// Resizes to `target`, a width and a height in pixels before turning, with the same channels.
    ///
    /// # Panics
    /// If `layout` puts a pixel of `target` beyond its number of pixels.
    pub fn resize(&self, target: (usize, usize), layout: Layout, filters: &mut FilterCache) -> Vec<u8> {
        self.resize_on(Arch::new(), target, layout, filters)
    }

    /// The same, neither rounded nor clamped.
    pub fn resize_unrounded(&self, target: (usize, usize), layout: Layout, filters: &mut FilterCache) -> Vec<f32> {
        self.resize_on(Arch::new(), target, layout, filters)
    }

    fn resize_on<L: Sample>(
        &self,
        arch: Arch,
        target: (usize, usize),
        layout: Layout,
        filters: &mut FilterCache,
    ) -> Vec<L> {
        let mut out = vec![L::default(); target.0 * target.1 * self.channels];
        let [across, down] = filters.weights_for(self, target);
        match arch {
            #[cfg(target_arch = "x86_64")]
            Arch::V3(simd) => simd.vectorize(Resize { view: self, across, down, layout, out: &mut out, simd }),
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(simd) => simd.vectorize(Resize { view: self, across, down, layout, out: &mut out, simd }),
            other => other.dispatch(Resize { view: self, across, down, layout, out: &mut out, simd: Scalar }),
        }
        out
    }

    /// Loads rows into the cache. The strips of a band read few samples of many rows, which no prefetcher foresees.
    #[inline(always)]
    fn load_rows(&self, rows: Range<usize>) {
        let end = (rows.end * self.stride).min(self.samples.len());
        let samples = &self.samples[(rows.start * self.stride).min(end)..end];
        hint::black_box(samples.iter().step_by(CACHE_LINE).fold(0, |all, sample| all ^ sample));
    }

    /// The samples of a row from column `start` on. Those past the last one are undefined, and below the last row it is
    /// repeated: their weights are 0.
    #[inline(always)]
    fn columns(&self, row: usize, start: usize) -> [u8; WIDE] {
        let length = self.width * self.channels;
        let row = &self.samples[row.min(self.height - 1) * self.stride..][..length];
        match row[start..].first_chunk::<WIDE>() {
            Some(samples) => *samples,
            None => {
                let mut samples = [row[start]; WIDE];
                samples[..row.len() - start].copy_from_slice(&row[start..]);
                samples
            }
        }
    }
}

/// Compiled for every processor and for AVX2. Not a closure, because the body of a closure would not be
/// compiled for AVX2.
struct Resize<'a, L, S> {
    view: &'a PlaneView<'a>,
    across: &'a FilterWeights,
    down: &'a FilterWeights,
    layout: Layout,
    out: &'a mut [L],
    simd: S,
}

impl<L: Sample, S: Transpose + MultiplyAdd> NullaryFnOnce for Resize<'_, L, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { view, across, down, layout, out, simd } = self;
        let height = down.firsts.len();
        let samples = view.width * view.channels;
        let strips = samples.div_ceil(WIDE);
        let one = 1.0 / down.unit;
        let mut pairs = Vec::new();
        let mut loaded = 0;
        // Each lane is a row. Columns past the last one have a weight of 0.
        let mut columns = vec![[0.0; BAND]; (samples + (across.taps + 1) * view.channels).next_multiple_of(WIDE)];
        let mut strip_rows = [[0.0; WIDE]; BAND];
        for start in (0..height).step_by(BAND) {
            let end = height.min(start + BAND);
            let first = down.firsts[start];
            let last = down.firsts[end - 1] + down.taps;
            pairs.resize((last - first).div_ceil(2), simd.pair([0; WIDE], [0; WIDE]));
            view.load_rows(loaded.max(first)..last);
            loaded = last;
            for (strip, columns) in columns.as_chunks_mut::<WIDE>().0.iter_mut().enumerate().take(strips) {
                for (index, pair) in pairs.iter_mut().enumerate() {
                    let row = first + 2 * index;
                    *pair = simd.pair(view.columns(row, strip * WIDE), view.columns(row + 1, strip * WIDE));
                }
                for y in start..end {
                    let (from, weights) = down.whole_at(y);
                    let mut sums = simd.zeros();
                    for (pair, &weights) in pairs[(from - first) / 2..].iter().zip(weights) {
                        sums = simd.multiply_add(sums, pair, weights);
                    }
                    for (sample, sum) in strip_rows[y % BAND].iter_mut().zip(simd.columns(sums)) {
                        *sample = sum as f32 * one;
                    }
                }
                for (eight, rows) in strip_rows.as_chunks::<LANES>().0.iter().enumerate() {
                    for column in 0..WIDE / LANES {
                        let mut square = [[0.0; LANES]; LANES];
                        for lane in 0..LANES {
                            square[lane] = rows[lane].as_chunks::<LANES>().0[column];
                        }
                        let square = simd.transpose(square);
                        for lane in 0..LANES {
                            columns[column * LANES + lane].as_chunks_mut::<LANES>().0[eight] = square[lane];
                        }
                    }
                }
            }
            match view.channels {
                1 => across.apply::<1, L>(&columns, start..end, layout, out),
                2 => across.apply::<2, L>(&columns, start..end, layout, out),
                3 => across.apply::<3, L>(&columns, start..end, layout, out),
                _ => across.apply::<4, L>(&columns, start..end, layout, out),
            }
        }
    }
}

/// The weights of the last resize, reused because chroma planes come in pairs of one size.
#[derive(Default)]
pub struct FilterCache(Vec<(Dimension, FilterWeights)>);

/// Length, visible length, target length and spread.
type Dimension = (usize, f64, usize, f64);

impl FilterCache {
    fn weights_for(&mut self, view: &PlaneView<'_>, (width, height): (usize, usize)) -> [&FilterWeights; 2] {
        let dimensions =
            [(view.width, view.across, width, view.spread.0), (view.height, view.down, height, view.spread.1)];
        if !self.0.iter().map(|(dimension, _)| dimension).eq(&dimensions) {
            self.0 = dimensions.map(|dimension| (dimension, FilterWeights::new(dimension))).into();
        }
        [0, 1].map(|index| &self.0[index].1)
    }
}

/// The source samples and weights of each sample of the result.
struct FilterWeights {
    /// Weights of each sample, an even number; those outside of the filter or of the image are 0.
    taps: usize,
    /// Allocated weights for each.
    stride: usize,
    /// Even numbers, so that source rows pair up alike for all filters.
    firsts: Vec<usize>,
    weights: Vec<f32>,
    /// The weights as whole numbers, in pairs.
    whole: Vec<[i16; 2]>,
    /// What 1 is in `whole`: a power of two.
    unit: f32,
}

impl FilterWeights {
    /// `target` filters over the visible part `view` of `length` samples.
    fn new((length, view, target, spread): Dimension) -> Self {
        let scale = view / target as f64;
        let stretch = scale.max(1.0);
        let reach = LOBES * stretch + spread * 0.75;
        let mut firsts = Vec::with_capacity(target);
        let mut counts = Vec::with_capacity(target);
        let mut nearest = Vec::with_capacity(target);
        for index in 0..target {
            let middle = (index as f64 + 0.5) * scale;
            let first = ((middle - reach + 0.5).max(0.0) as usize).min(length - 1);
            let end = ((middle + reach + 0.5) as usize).clamp(first + 1, length);
            // The tap that this may add is outside of the filter.
            let first = first & !1;
            firsts.push(first);
            counts.push(end - first);
            nearest.push(((first as f64 + 0.5 - middle) / stretch) as f32);
        }
        let taps = counts.iter().copied().max().unwrap_or(0).next_multiple_of(2);
        let stride = taps.next_multiple_of(LANES);
        let mut weights = vec![0.0; stride * target];
        let step = (1.0 / stretch) as f32;
        let spread = (spread / stretch) as f32;
        Arch::new().dispatch(Weigh { nearest: &nearest, counts: &counts, step, spread, stride, weights: &mut weights });
        let (unit, whole) = whole_weights(&weights, stride, taps);
        Self { taps, stride, firsts, weights, whole, unit }
    }

    #[inline(always)]
    fn at(&self, index: usize) -> (usize, &[[f32; 2]]) {
        (self.firsts[index], self.weights[index * self.stride..][..self.taps].as_chunks().0)
    }

    #[inline(always)]
    fn whole_at(&self, index: usize) -> (usize, &[[i16; 2]]) {
        (self.firsts[index], &self.whole[index * self.taps / 2..][..self.taps / 2])
    }

    /// Computes rows of the result from columns with one lane for each row.
    #[inline(always)]
    fn apply<const CHANNELS: usize, L: Sample>(
        &self,
        columns: &[[f32; BAND]],
        rows: Range<usize>,
        layout: Layout,
        out: &mut [L],
    ) {
        let width = self.firsts.len();
        let length = width * CHANNELS;
        if layout == Layout::upright(width) {
            let out = &mut out[rows.start * length..rows.end * length];
            for start in (0..length).step_by(FEW) {
                let mut samples = [[0.0; BAND]; FEW];
                for (sample, sums) in (start..length).zip(&mut samples) {
                    *sums = self.sum::<CHANNELS>(columns, sample);
                }
                L::write(&samples, out.chunks_exact_mut(length), start);
            }
            return;
        }
        let pixels = out.as_chunks_mut::<CHANNELS>().0;
        for sample in 0..length {
            let (x, channel) = (sample / CHANNELS, sample % CHANNELS);
            let sums = self.sum::<CHANNELS>(columns, sample);
            let mut lanes = [L::default(); BAND];
            for lane in 0..BAND {
                lanes[lane] = L::from_sum(sums[lane]);
            }
            let lanes = &lanes[..rows.len()];
            // The rows of a column that becomes a row follow each other.
            match layout.down {
                1 => {
                    let line = &mut pixels[layout.index(x, rows.start)..][..lanes.len()];
                    for (pixel, &lane) in line.iter_mut().zip(lanes) {
                        pixel[channel] = lane;
                    }
                }
                -1 => {
                    let line = &mut pixels[layout.index(x, rows.end - 1)..][..lanes.len()];
                    for (pixel, &lane) in line.iter_mut().zip(lanes.iter().rev()) {
                        pixel[channel] = lane;
                    }
                }
                _ => {
                    for (y, &lane) in rows.clone().zip(lanes) {
                        pixels[layout.index(x, y)][channel] = lane;
                    }
                }
            }
        }
    }

    /// The lanes of a sample of the result: a row each.
    #[inline(always)]
    fn sum<const CHANNELS: usize>(&self, columns: &[[f32; BAND]], sample: usize) -> [f32; BAND] {
        let (from, weights) = self.at(sample / CHANNELS);
        weighted_sum::<CHANNELS>(&columns[from * CHANNELS + sample % CHANNELS..], weights)
    }
}

/// The weighted sum of every `CHANNELS`th column.
#[inline(always)]
fn weighted_sum<const CHANNELS: usize>(columns: &[[f32; BAND]], weights: &[[f32; 2]]) -> [f32; BAND] {
    // Two sums, so that an addition need not wait for the one before.
    let (mut first, mut second) = ([0.0; BAND], [0.0; BAND]);
    for (columns, weights) in columns.chunks_exact(2 * CHANNELS).zip(weights) {
        for lane in 0..BAND {
            first[lane] = columns[0][lane].mul_add(weights[0], first[lane]);
        }
        for lane in 0..BAND {
            second[lane] = columns[CHANNELS][lane].mul_add(weights[1], second[lane]);
        }
    }
    for lane in 0..BAND {
        first[lane] += second[lane];
    }
    first
}

/// Rounds the weights to whole numbers whose sums are exact, the first `taps` of every `stride`. Returns what 1 is in them.
fn whole_weights(weights: &[f32], stride: usize, taps: usize) -> (f32, Vec<[i16; 2]>) {
    // Sums of products with samples fit 31 bits, as weights without their signs add up to less than 2.
    const MOST: f32 = (1 << 21) as f32;
    let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let mut unit = MOST;
    while unit * largest > 32_000.0 {
        unit /= 2.0;
    }
    let mut whole = Vec::with_capacity(weights.len() / stride * taps / 2);
    for weights in weights.chunks_exact(stride) {
        let start = whole.len();
        let (pairs, _) = weights[..taps].as_chunks::<2>();
        whole.extend(pairs.iter().map(|pair| pair.map(|weight| (weight * unit).round() as i16)));
        let weights = whole[start..].as_flattened_mut();
        let missing = unit as i32 - weights.iter().map(|&weight| i32::from(weight)).sum::<i32>();
        if let Some(weight) = weights.iter_mut().max_by_key(|weight| weight.unsigned_abs()) {
            *weight = weight.saturating_add(missing as i16);
        }
    }
    (unit, whole)
}

/// Computes the weights from the position of the first tap of each filter. Compiled like [`Resize`].
struct Weigh<'a> {
    nearest: &'a [f32],
    counts: &'a [usize],
    /// Distance from a tap to the next.
    step: f32,
    spread: f32,
    stride: usize,
    weights: &'a mut [f32],
}

impl NullaryFnOnce for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { nearest, counts, step, spread, stride, weights } = self;
        for ((weights, &nearest), &count) in weights.chunks_exact_mut(stride).zip(nearest).zip(counts) {
            let mut sums = [0.0; LANES];
            let (eights, _) = weights.as_chunks_mut::<LANES>();
            for (eight, weights) in eights.iter_mut().enumerate() {
                for lane in 0..LANES {
                    let tap = eight * LANES + lane;
                    let x = nearest + tap as i32 as f32 * step;
                    let weight = if spread == 0.0 {
                        lanczos(x)
                    } else {
                        SPREAD.iter().map(|&(shift, part)| part * lanczos(x + shift * spread)).sum()
                    };
                    weights[lane] = if tap < count { weight } else { 0.0 };
                    sums[lane] += weights[lane];
                }
            }
            let one = 1.0 / sums.iter().sum::<f32>();
            weights.iter_mut().for_each(|weight| *weight *= one);
        }
    }
}

/// sinc(x) sinc(x/3) = u² (3 - 4 sin²(πx/3)) / 3, with u = sinc(x/3) as a series, which is the same on
/// every machine, unlike the sine of C libraries.
#[inline(always)]
fn lanczos(x: f32) -> f32 {
    let square = x * x * (PI * PI / 9.0);
    let mut sinc = 1.0;
    for factor in
        [18.0 * 19.0, 16.0 * 17.0, 14.0 * 15.0, 12.0 * 13.0, 10.0 * 11.0, 8.0 * 9.0, 6.0 * 7.0, 4.0 * 5.0, 6.0]
    {
        sinc = 1.0 - sinc * square * (1.0 / factor);
    }
    let u_square = sinc * sinc;
    let window = u_square * (1.0 - square * u_square * (4.0 / 3.0));
    if x.abs() < LOBES as f32 { window } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    #[test]
    fn filter_is_lanczos() {
        for step in -400..=400 {
            let x = f64::from(step) / 100.0;
            assert!((f64::from(lanczos(x as f32)) - exact_lanczos(x)).abs() < 5e-7, "{x}");
        }
    }

    fn exact_lanczos(x: f64) -> f64 {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
    }

    /// Resizes by the definition, without vectors.
    fn plainly(view: &PlaneView<'_>, (width, height): (usize, usize), channel: usize) -> Vec<f64> {
        let window = |length: usize, view: f64, target: usize, index: usize, spread: f64| -> Vec<f64> {
            let scale = view / target as f64;
            let middle = (index as f64 + 0.5) * scale;
            let weight = |at: usize| {
                let near = |shift: f64| exact_lanczos((at as f64 + 0.5 - middle + shift * spread) / scale.max(1.0));
                3.0 * (near(0.25) + near(-0.25)) + near(0.75) + near(-0.75)
            };
            let weights: Vec<f64> = (0..length).map(weight).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|weight| weight / sum).collect()
        };
        let mut out = Vec::new();
        for y in 0..height {
            let down = window(view.height, view.down, height, y, view.spread.1);
            for x in 0..width {
                let across = window(view.width, view.across, width, x, view.spread.0);
                let mut sum = 0.0;
                for (row, down) in down.iter().enumerate() {
                    for (column, across) in across.iter().enumerate() {
                        let at = row * view.stride + column * view.channels + channel;
                        sum += down * across * f64::from(view.samples[at]);
                    }
                }
                out.push(sum);
            }
        }
        out
    }

    /// The other seven ways to turn and mirror a picture.
    fn turned((width, height): (usize, usize)) -> [Layout; 7] {
        let (w, h) = (width as isize, height as isize);
        let (right, bottom) = (width - 1, (height - 1) * width);
        let (turned_right, turned_bottom) = (height - 1, (width - 1) * height);
        [
            (right, -1, w),
            (bottom, 1, -w),
            (bottom + right, -1, -w),
            (0, h, 1),
            (turned_right, h, -1),
            (turned_bottom, -h, 1),
            (turned_bottom + turned_right, -h, -1),
        ]
        .map(|(first, across, down)| Layout { first, across, down })
    }

    #[test]
    fn resize_matches_definition_at_every_size_and_channel_count() {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for channels in 1..=4 {
            for (width, height) in [(1, 1), (3, 50), (40, 2), (61, 37), (16, 16)] {
                let stride = width * channels + 5;
                let samples: Vec<u8> = (0..stride * height).map(|_| next()).collect();
                for (target, part) in [((1, 1), 0.0), ((7, 5), 0.4), ((50, 20), 0.125), ((16, 16), 0.0)] {
                    let (across, down) = (width as f64 - part, height as f64 - part);
                    let spread = if channels == 1 { (0.75, 0.0) } else { (0.0, 1.0) };
                    let view = PlaneView { samples: &samples, channels, width, height, stride, across, down, spread };
                    let filters = &mut FilterCache::default();
                    let layout = Layout::upright(target.0);
                    let exact = view.resize_unrounded(target, layout, filters);
                    let rounded = view.resize(target, layout, filters);
                    assert_eq!(rounded, view.resize_on::<u8>(Arch::Scalar, target, layout, filters));
                    for layout in turned(target) {
                        let turned = view.resize(target, layout, filters);
                        for (index, pixel) in rounded.chunks_exact(channels).enumerate() {
                            let index = layout.index(index % target.0, index / target.0);
                            assert_eq!(turned[index * channels..][..channels], *pixel, "{layout:?}");
                        }
                        assert_eq!(turned, view.resize_on::<u8>(Arch::Scalar, target, layout, filters));
                    }
                    for channel in 0..channels {
                        let expected = plainly(&view, target, channel);
                        let found = exact.iter().zip(&rounded).skip(channel).step_by(channels);
                        assert_eq!(found.len(), expected.len());
                        for ((&exact, &rounded), expected) in found.zip(expected) {
                            assert!((f64::from(exact) - expected).abs() < 0.02, "{exact} for {expected}");
                            assert!((f64::from(rounded) - expected.clamp(0.0, 255.0)).abs() < 0.52);
                        }
                    }
                }
            }
        }
    }
}
