//! Resizes with a Lanczos filter of three lobes, in single precision.
//!
//! Samples are rounded once, at the end: rounding to eight bits between the two directions, or between
//! one thumbnail and the next, costs up to 1.5 dB. The vertical pass comes first, because it needs no
//! moves between lanes and leaves fewer rows for the horizontal pass.

use std::f32::consts::PI;

use pulp::{Arch, NullaryFnOnce};

use crate::simd::{LANES, Scalar, Transpose};

/// The radius of the filter, in samples of the smaller image.
const LOBES: f64 = 3.0;
/// Decoders interpolate subsampled chroma: 3/8 of a sample in each of the two pixels that it covers, 1/8
/// in each of those beside them. These are the shifts, in widths of the sample, and the weights. Because
/// chroma is resized without interpolation here, the filter includes it.
const SPREAD: [(f32, f32); 4] = [(-0.75, 0.125), (-0.25, 0.375), (0.25, 0.375), (0.75, 0.125)];
/// Columns summed at once.
const WIDE: usize = 32;
/// Rows of the result computed at once. Their source rows, [`WIDE`] columns of floats, fit the L1 cache.
const BAND: usize = 16;
/// Neighboring samples of the result written at once.
const FEW: usize = 4;

/// A plane of samples, or several interleaved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlaneView<'a, T> {
    pub(crate) samples: &'a [T],
    pub(crate) channels: usize,
    /// In pixels.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Samples from a row to the next.
    pub(crate) stride: usize,
    /// The size of the resized part, from the top left, in fractional pixels.
    pub(crate) across: f64,
    pub(crate) down: f64,
    /// The width and height, in samples of this plane, of a subsampled chroma sample of the file, which
    /// decoders interpolate (see [`SPREAD`]); 0 if not subsampled.
    pub(crate) spread: (f64, f64),
}

/// The sample type of a result.
pub(crate) trait Sample: Copy + Default {
    /// Writes up to [`FEW`] neighboring samples of each row, from `start` on.
    fn write(samples: &[[f32; BAND]; FEW], rows: std::slice::ChunksExactMut<'_, Self>, start: usize);
}

/// Rounds to eight bits.
#[inline(always)]
pub(crate) fn rounded(value: f32) -> u32 {
    // Adding 2^23 leaves the integer in the low bits.
    (value.clamp(0.0, 255.0) + 8_388_608.0).to_bits() & 255
}

impl Sample for u8 {
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
    fn write(samples: &[[f32; BAND]; FEW], rows: std::slice::ChunksExactMut<'_, Self>, start: usize) {
        for (index, row) in rows.enumerate() {
            for (place, samples) in row[start..].iter_mut().zip(samples) {
                *place = samples[index];
            }
        }
    }
}

impl<T: Copy + Into<f32>> PlaneView<'_, T> {
    /// Resizes to `target`, with the same channels.
    pub(crate) fn resize<L: Sample>(&self, target: (usize, usize), filters: &mut FilterCache) -> Vec<L> {
        self.resize_on(Arch::new(), target, filters)
    }

    fn resize_on<L: Sample>(&self, arch: Arch, target: (usize, usize), filters: &mut FilterCache) -> Vec<L> {
        let mut out = vec![L::default(); target.0 * target.1 * self.channels];
        let [across, down] = filters.weights_for(self, target);
        match arch {
            #[cfg(target_arch = "x86_64")]
            Arch::V3(simd) => simd.vectorize(Resize { view: self, across, down, out: &mut out, transpose: simd }),
            other => other.dispatch(Resize { view: self, across, down, out: &mut out, transpose: Scalar }),
        }
        out
    }

    /// Converts the rows from `first` and the columns from `start` to floats; columns past the last one are
    /// undefined.
    #[inline(always)]
    fn convert(&self, first: usize, start: usize, out: &mut [[f32; WIDE]]) {
        let length = self.width * self.channels;
        for (index, out) in out.iter_mut().enumerate() {
            let row = &self.samples[(first + index) * self.stride..][..length];
            // By value, so that the compiler need not assume aliasing.
            let samples = match row[start..].first_chunk::<WIDE>() {
                Some(samples) => *samples,
                None => {
                    let mut samples = [row[start]; WIDE];
                    samples[..row.len() - start].copy_from_slice(&row[start..]);
                    samples
                }
            };
            for lane in 0..WIDE {
                out[lane] = samples[lane].into();
            }
        }
    }
}

/// The weighted sum of neighbors.
#[inline(always)]
fn add<'a, const COUNT: usize>(neighbours: impl Iterator<Item = &'a [f32; COUNT]>, weights: &[f32]) -> [f32; COUNT] {
    let mut sums = [0.0; COUNT];
    for (values, &weight) in neighbours.zip(weights) {
        for lane in 0..COUNT {
            sums[lane] = values[lane].mul_add(weight, sums[lane]);
        }
    }
    sums
}

/// Compiled for every processor and for AVX2. Not a closure, because the body of a closure would not be
/// compiled for AVX2.
struct Resize<'a, T, L, S> {
    view: &'a PlaneView<'a, T>,
    across: &'a FilterWeights,
    down: &'a FilterWeights,
    out: &'a mut [L],
    transpose: S,
}

impl<T: Copy + Into<f32>, L: Sample, S: Transpose> NullaryFnOnce for Resize<'_, T, L, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { view, across, down, out, transpose } = self;
        let (width, height) = (across.firsts.len(), down.firsts.len());
        let samples = view.width * view.channels;
        let mut rows = Vec::new();
        // Each lane is a row.
        let mut columns = vec![[0.0; BAND]; samples.next_multiple_of(WIDE)];
        let mut strip_rows = [[0.0; WIDE]; BAND];
        for start in (0..height).step_by(BAND) {
            let end = height.min(start + BAND);
            let first = down.firsts[start];
            let last = (start..end).map(|y| down.firsts[y] + down.counts[y]).max().unwrap_or(first);
            rows.resize(last - first, [0.0; WIDE]);
            for (strip, columns) in columns.as_chunks_mut::<WIDE>().0.iter_mut().enumerate() {
                view.convert(first, strip * WIDE, &mut rows);
                for y in start..end {
                    let (from, weights) = down.at(y);
                    strip_rows[y % BAND] = add(rows[from - first..].iter(), weights);
                }
                for (eight, rows) in strip_rows.as_chunks::<LANES>().0.iter().enumerate() {
                    for column in 0..WIDE / LANES {
                        let mut square = [[0.0; LANES]; LANES];
                        for lane in 0..LANES {
                            square[lane] = rows[lane].as_chunks::<LANES>().0[column];
                        }
                        let square = transpose.transpose(square);
                        for lane in 0..LANES {
                            columns[column * LANES + lane].as_chunks_mut::<LANES>().0[eight] = square[lane];
                        }
                    }
                }
            }
            let band = &mut out[start * width * view.channels..end * width * view.channels];
            match view.channels {
                1 => across.apply::<1, L>(&columns, band, width),
                2 => across.apply::<2, L>(&columns, band, width),
                3 => across.apply::<3, L>(&columns, band, width),
                _ => across.apply::<4, L>(&columns, band, width),
            }
        }
    }
}

/// The weights of the last resize, reused because chroma planes come in pairs of one size.
#[derive(Default)]
pub(crate) struct FilterCache(Vec<(Dimension, FilterWeights)>);

/// Length, visible length, target length and spread.
type Dimension = (usize, f64, usize, f64);

impl FilterCache {
    fn weights_for<T>(&mut self, view: &PlaneView<'_, T>, (width, height): (usize, usize)) -> [&FilterWeights; 2] {
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
    /// Allocated weights for each.
    taps: usize,
    firsts: Vec<usize>,
    counts: Vec<usize>,
    weights: Vec<f32>,
}

impl FilterWeights {
    /// `target` filters over the visible part `view` of `length` samples.
    fn new((length, view, target, spread): Dimension) -> Self {
        let scale = view / target as f64;
        let stretch = scale.max(1.0);
        let reach = LOBES * stretch + spread * 0.75;
        let most = (2 * reach.ceil() as usize + 1).min(length);
        let taps = most.next_multiple_of(LANES);
        let mut firsts = Vec::with_capacity(target);
        let mut counts = Vec::with_capacity(target);
        let mut nearest = Vec::with_capacity(target);
        for index in 0..target {
            let middle = (index as f64 + 0.5) * scale;
            let first = ((middle - reach + 0.5).max(0.0) as usize).min(length - 1);
            let end = ((middle + reach + 0.5) as usize).clamp(first + 1, length);
            firsts.push(first);
            counts.push((end - first).min(most));
            nearest.push(((first as f64 + 0.5 - middle) / stretch) as f32);
        }
        let mut weights = vec![0.0; taps * target];
        let step = (1.0 / stretch) as f32;
        let spread = (spread / stretch) as f32;
        Arch::new().dispatch(Weigh { nearest: &nearest, counts: &counts, step, spread, taps, weights: &mut weights });
        Self { taps, firsts, counts, weights }
    }

    #[inline(always)]
    fn at(&self, index: usize) -> (usize, &[f32]) {
        (self.firsts[index], &self.weights[index * self.taps..][..self.counts[index]])
    }

    /// Computes rows of the result, `width` pixels each, from columns with one lane for each row.
    #[inline(always)]
    fn apply<const CHANNELS: usize, L: Sample>(&self, columns: &[[f32; BAND]], out: &mut [L], width: usize) {
        let length = width * CHANNELS;
        for start in (0..length).step_by(FEW) {
            let mut samples = [[0.0; BAND]; FEW];
            for (sample, sums) in (start..length).zip(&mut samples) {
                let (from, weights) = self.at(sample / CHANNELS);
                let neighbours = columns[from * CHANNELS + sample % CHANNELS..].iter().step_by(CHANNELS);
                *sums = add(neighbours, weights);
            }
            L::write(&samples, out.chunks_exact_mut(length), start);
        }
    }
}

/// Computes the weights from the position of the first tap of each filter. Compiled like [`Resize`].
struct Weigh<'a> {
    nearest: &'a [f32],
    counts: &'a [usize],
    /// Distance from a tap to the next.
    step: f32,
    spread: f32,
    taps: usize,
    weights: &'a mut [f32],
}

impl NullaryFnOnce for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { nearest, counts, step, spread, taps, weights } = self;
        for ((weights, &nearest), &count) in weights.chunks_exact_mut(taps).zip(nearest).zip(counts) {
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
    fn plainly(view: &PlaneView<'_, u8>, (width, height): (usize, usize), channel: usize) -> Vec<f64> {
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
                    let exact: Vec<f32> = view.resize(target, &mut FilterCache::default());
                    let rounded: Vec<u8> = view.resize(target, &mut FilterCache::default());
                    assert_eq!(rounded, view.resize_on::<u8>(Arch::Scalar, target, &mut FilterCache::default()));
                    for channel in 0..channels {
                        let expected = plainly(&view, target, channel);
                        let found = exact.iter().zip(&rounded).skip(channel).step_by(channels);
                        assert_eq!(found.len(), expected.len());
                        for ((&exact, &rounded), expected) in found.zip(expected) {
                            assert!((f64::from(exact) - expected).abs() < 1e-3, "{exact} for {expected}");
                            assert!((f64::from(rounded) - expected.clamp(0.0, 255.0)).abs() < 0.501);
                        }
                    }
                }
            }
        }
    }
}
