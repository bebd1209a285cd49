//! Resizing with a Lanczos window of three lobes, in single precision.
//!
//! Samples are rounded once, by whoever takes the result: eight bits between the two directions, or
//! between one thumbnail and the next, cost up to 1.5 dB. Down comes before across, as rows are
//! added up without moving anything between lanes, and fewer of them are left for the other
//! direction.

use std::f64::consts::PI;

use pulp::{Arch, NullaryFnOnce};

/// How far the window reaches, in samples of the smaller of the two pictures.
const LOBES: f64 = 3.0;
/// Numbers that are computed with at once.
const LANES: usize = 8;
/// Columns that are added up at once.
const WIDE: usize = 4 * LANES;

/// A plane of samples, or several interleaved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a, T> {
    pub(crate) samples: &'a [T],
    pub(crate) channels: usize,
    /// In pixels.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Samples from a row to the next.
    pub(crate) stride: usize,
    /// The part from top left that is resized, in fractions of a pixel.
    pub(crate) across: f64,
    pub(crate) down: f64,
}

impl<T: Copy + Into<f32>> View<'_, T> {
    /// Each channel at another size, not rounded, and not held to any range.
    pub(crate) fn resize(&self, (width, height): (usize, usize)) -> Vec<Vec<f32>> {
        let across = Windows::new(self.width, self.across, width);
        let down = Windows::new(self.height, self.down, height);
        Arch::new().dispatch(Resize { view: self, across, down, width, height })
    }

    /// The weighted sum of rows.
    #[inline(always)]
    fn add_rows(&self, first: usize, weights: &[f32], out: &mut [f32]) {
        let length = self.width * self.channels;
        let samples = &self.samples[first * self.stride..];
        let whole = length / WIDE * WIDE;
        let mut start = 0;
        while start < whole {
            let mut sums = [0.0; WIDE];
            for (row, &weight) in weights.iter().enumerate() {
                let samples = samples[row * self.stride + start..].first_chunk::<WIDE>().expect("within the row");
                for lane in 0..WIDE {
                    sums[lane] = samples[lane].into().mul_add(weight, sums[lane]);
                }
            }
            out[start..start + WIDE].copy_from_slice(&sums);
            start += WIDE;
        }
        for (at, out) in out[..length].iter_mut().enumerate().skip(whole) {
            *out = 0.0;
            for (row, &weight) in weights.iter().enumerate() {
                *out = samples[row * self.stride + at].into().mul_add(weight, *out);
            }
        }
    }
}

/// Compiled once for every processor and once for those with AVX2. A closure would not be: its body
/// ends in a function of its own.
struct Resize<'a, T> {
    view: &'a View<'a, T>,
    across: Windows,
    down: Windows,
    width: usize,
    height: usize,
}

impl<T: Copy + Into<f32>> NullaryFnOnce for Resize<'_, T> {
    type Output = Vec<Vec<f32>>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { view, across, down, width, height } = self;
        let mut planes = vec![vec![0.0; width * height]; view.channels];
        let mut row = vec![0.0; view.width * view.channels];
        let mut channel_row = vec![0.0; view.width + across.taps];
        for y in 0..height {
            let (first, weights) = down.at(y);
            view.add_rows(first, weights, &mut row);
            for (channel, plane) in planes.iter_mut().enumerate() {
                take_channel(&row, channel, view.channels, &mut channel_row[..view.width]);
                across.apply(&channel_row, &mut plane[y * width..][..width]);
            }
        }
        planes
    }
}

#[inline(always)]
fn take_channel(row: &[f32], channel: usize, channels: usize, out: &mut [f32]) {
    match channels {
        1 => out.copy_from_slice(&row[..out.len()]),
        2 => take_every::<2>(row, channel, out),
        3 => take_every::<3>(row, channel, out),
        _ => take_every::<4>(row, channel, out),
    }
}

#[inline(always)]
fn take_every<const CHANNELS: usize>(row: &[f32], channel: usize, out: &mut [f32]) {
    let pixels = &row.as_chunks::<CHANNELS>().0[..out.len()];
    for at in 0..out.len() {
        out[at] = pixels[at][channel % CHANNELS];
    }
}

/// What each sample of the result is made of.
struct Windows {
    /// Weights of each: [`LANES`] or a multiple, the last ones zero.
    taps: usize,
    firsts: Vec<usize>,
    counts: Vec<usize>,
    weights: Vec<f32>,
}

impl Windows {
    /// `target` windows over `view` of `length` samples.
    fn new(length: usize, view: f64, target: usize) -> Self {
        let scale = view / target as f64;
        let stretch = scale.max(1.0);
        let reach = LOBES * stretch;
        let taps = (2 * reach.ceil() as usize + 1).min(length).next_multiple_of(LANES);
        let mut windows = Self {
            taps,
            firsts: Vec::with_capacity(target),
            counts: Vec::with_capacity(target),
            weights: vec![0.0; taps * target],
        };
        let mut exact = vec![0.0; taps];
        for (index, weights) in windows.weights.chunks_exact_mut(taps).enumerate() {
            let middle = (index as f64 + 0.5) * scale;
            let first = ((middle - reach + 0.5).max(0.0) as usize).min(length - 1);
            let end = ((middle + reach + 0.5) as usize).clamp(first + 1, length);
            let count = (end - first).min(taps);
            let exact = &mut exact[..count];
            for (tap, weight) in exact.iter_mut().enumerate() {
                *weight = lanczos(((first + tap) as f64 + 0.5 - middle) / stretch);
            }
            let one = 1.0 / exact.iter().sum::<f64>();
            for (weight, exact) in weights.iter_mut().zip(exact) {
                *weight = (*exact * one) as f32;
            }
            windows.firsts.push(first);
            windows.counts.push(count);
        }
        windows
    }

    #[inline(always)]
    fn at(&self, index: usize) -> (usize, &[f32]) {
        (self.firsts[index], &self.weights[index * self.taps..][..self.counts[index]])
    }

    /// A row of the result. `row` has as many more samples than it needs as there are taps.
    #[inline(always)]
    fn apply(&self, row: &[f32], out: &mut [f32]) {
        let weights = self.weights.as_chunks::<LANES>().0;
        let each = self.taps / LANES;
        for (at, (out, &first)) in out.iter_mut().zip(&self.firsts).enumerate() {
            let samples = row[first..first + self.taps].as_chunks::<LANES>().0;
            let mut sums = [0.0; LANES];
            for (samples, weights) in samples.iter().zip(&weights[at * each..(at + 1) * each]) {
                for lane in 0..LANES {
                    sums[lane] = samples[lane].mul_add(weights[lane], sums[lane]);
                }
            }
            let [a, b, c, d, e, f, g, h] = sums;
            *out = ((a + e) + (c + g)) + ((b + f) + (d + h));
        }
    }
}

fn lanczos(x: f64) -> f64 {
    if x.abs() < 1e-9 {
        return 1.0;
    }
    if x.abs() >= LOBES {
        return 0.0;
    }
    sine_of_pi(x) * sine_of_pi(x / LOBES) * LOBES / (PI * PI * x * x)
}

/// sin(πx) for x from -3 to 3 to some eleven digits, by its series: the same on every machine, which
/// those of C libraries are not.
fn sine_of_pi(x: f64) -> f64 {
    // Moved to -1/2 to 1/2; every whole step turns the sign.
    let steps = (x + 4.5) as i32 - 4;
    let sign = f64::from(1 - 2 * (steps & 1));
    let angle = (x - f64::from(steps)) * PI;
    let square = angle * angle;
    let mut sum = 1.0;
    for divisor in [14.0 * 15.0, 12.0 * 13.0, 10.0 * 11.0, 8.0 * 9.0, 6.0 * 7.0, 4.0 * 5.0, 2.0 * 3.0] {
        sum = 1.0 - sum * square * (1.0 / divisor);
    }
    sign * angle * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sine_is_a_sine() {
        for step in -300..=300 {
            let x = f64::from(step) / 100.0;
            assert!((sine_of_pi(x) - (x * PI).sin()).abs() < 1e-10, "{x}");
        }
    }

    /// The same by its definition, without any lanes.
    fn plainly(view: &View<'_, u8>, (width, height): (usize, usize), channel: usize) -> Vec<f64> {
        let window = |length: usize, view: f64, target: usize, index: usize| -> Vec<f64> {
            let scale = view / target as f64;
            let middle = (index as f64 + 0.5) * scale;
            let weights: Vec<f64> =
                (0..length).map(|at| lanczos((at as f64 + 0.5 - middle) / scale.max(1.0))).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|weight| weight / sum).collect()
        };
        let mut out = Vec::new();
        for y in 0..height {
            let down = window(view.height, view.down, height, y);
            for x in 0..width {
                let across = window(view.width, view.across, width, x);
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
    fn every_size_and_every_number_of_channels_follows_the_definition() {
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
                    let view = View { samples: &samples, channels, width, height, stride, across, down };
                    for (channel, plane) in view.resize(target).iter().enumerate() {
                        let expected = plainly(&view, target, channel);
                        assert_eq!(plane.len(), expected.len());
                        for (value, expected) in plane.iter().zip(expected) {
                            assert!((f64::from(*value) - expected).abs() < 1e-3, "{value} for {expected}");
                        }
                    }
                }
            }
        }
    }
}
