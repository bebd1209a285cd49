//! Decoded images between decoder and encoder: resizing, orientation, alpha.

use plane_kernels::resize::{FilterCache, Layout, PlaneView, rounded};
use pulp::{Arch, NullaryFnOnce};

use crate::exif::Orientation;
use crate::metadata::Metadata;

/// The color model of the samples. Alpha is always premultiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// Full-range BT.601, as in JFIF.
    YCbCr,
    /// YCbCr of video; only before the resize.
    Coded(Matrix),
    /// Three planes.
    PlanarRgb,
    /// Four planes of ink; 255 is full coverage.
    Cmyk,
    /// CMYK with the first three planes as YCbCr.
    Ycck,
}

/// A matrix and a range of YCbCr: the limited range is 16 to 235 and 16 to 240 (ITU-R BT.601, BT.709 and BT.2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matrix {
    Bt601,
    Bt601Limited,
    Bt709,
    Bt709Limited,
    Bt2020,
    Bt2020Limited,
}

impl Matrix {
    /// Converts a pixel, rounding once.
    #[inline]
    pub(crate) fn to_rgb(self, [y, cb, cr]: [f32; 3]) -> [u8; 3] {
        let is_limited = matches!(self, Self::Bt601Limited | Self::Bt709Limited | Self::Bt2020Limited);
        let (zero, luma, chroma) = if is_limited { (16.0, 255.0 / 219.0, 255.0 / 224.0) } else { (0.0, 1.0, 1.0) };
        // What Cr adds to red, Cb and Cr take from green, and Cb adds to blue.
        let [red, green_cb, green_cr, blue] = match self {
            Self::Bt601 | Self::Bt601Limited => [1.402, 0.344_136, 0.714_136, 1.772],
            Self::Bt709 | Self::Bt709Limited => [1.5748, 0.187_324, 0.468_124, 1.8556],
            Self::Bt2020 | Self::Bt2020Limited => [1.4746, 0.164_553, 0.571_353, 1.8814],
        };
        let y = (y - zero) * luma;
        let (cb, cr) = ((cb - 128.0) * chroma, (cr - 128.0) * chroma);
        let rgb: [f32; 3] = [y + red * cr, y - green_cb * cb - green_cr * cr, y + blue * cb];
        rgb.map(|level| rounded(level) as u8)
    }
}

/// Interleaved 8-bit samples.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

/// A decoded plane, or all planes interleaved.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Samples from a row to the next.
    pub(crate) stride: usize,
    /// The size of the image in fractional pixels: the last box or block may be partly outside of it.
    pub(crate) view_width: f64,
    pub(crate) view_height: f64,
    /// See [`PlaneView::spread`].
    pub(crate) spread: (f64, f64),
    pub(crate) samples: Samples,
}

/// The result of a decoder: the image at a reduced size, before orientation, in its own color space.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The size of the image in the file.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) orientation: Orientation,
    pub(crate) icc_profile: Option<Vec<u8>>,
    pub(crate) model: Model,
    /// One if interleaved, otherwise one for each component.
    pub(crate) planes: Vec<Plane>,
    /// The file lacks some of the last rows, which repeat the last one that is there.
    pub(crate) truncated: bool,
    pub(crate) metadata: Metadata,
}

/// An image whose planes all have the same size.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) model: Model,
    pub(crate) planes: Vec<Samples>,
}

impl Plane {
    fn view(&self) -> PlaneView<'_> {
        PlaneView {
            samples: &self.samples.data,
            channels: self.samples.channels,
            width: self.width as usize,
            height: self.height as usize,
            stride: self.stride,
            across: self.view_width,
            down: self.view_height,
            spread: self.spread,
        }
    }
}

impl Decoded {
    /// Resizes the image, and turns it upright.
    pub(crate) fn resize(&self, (width, height): (u32, u32)) -> Picture {
        let stored = self.orientation.oriented_size((width, height));
        let target = (stored.0 as usize, stored.1 as usize);
        let layout = self.orientation.layout(target);
        let mut filters = FilterCache::default();
        if let Model::Coded(matrix) = self.model {
            let [y, cb, cr] =
                [0, 1, 2].map(|plane: usize| self.planes[plane].view().resize_unrounded(target, layout, &mut filters));
            let pixels = y.iter().zip(&cb).zip(&cr);
            let data = pixels.flat_map(|((&y, &cb), &cr)| matrix.to_rgb([y, cb, cr])).collect();
            return Picture { width, height, model: Model::Rgb, planes: vec![Samples { channels: 3, data }] };
        }
        let resize = |plane: &Plane| Samples {
            channels: plane.samples.channels,
            data: plane.view().resize(target, layout, &mut filters),
        };
        Picture { width, height, model: self.model, planes: self.planes.iter().map(resize).collect() }
    }
}

impl Picture {
    /// Resizes the image.
    pub(crate) fn resize(&self, (width, height): (u32, u32)) -> Self {
        let target = (width as usize, height as usize);
        let mut filters = FilterCache::default();
        let resize = |samples: &Samples| {
            let view = PlaneView {
                samples: &samples.data,
                channels: samples.channels,
                width: self.width as usize,
                height: self.height as usize,
                stride: self.width as usize * samples.channels,
                across: f64::from(self.width),
                down: f64::from(self.height),
                spread: (0.0, 0.0),
            };
            Samples { channels: samples.channels, data: view.resize(target, Layout::upright(target.0), &mut filters) }
        };
        Self { width, height, model: self.model, planes: self.planes.iter().map(resize).collect() }
    }

    pub(crate) fn is_opaque(&self) -> bool {
        let channels = match self.model {
            Model::GreyAlpha => 2,
            Model::Rgba => 4,
            _ => return true,
        };
        self.planes[0].data.iter().skip(channels - 1).step_by(channels).all(|&alpha| alpha == 255)
    }

    /// Straight (not premultiplied) RGBA.
    pub(crate) fn to_rgba(&self) -> Vec<u8> {
        let straight = self.clone().unpremultiply();
        let pixels = straight.width as usize * straight.height as usize;
        let mut out = Vec::with_capacity(pixels * 4);
        match straight.model {
            Model::YCbCr | Model::Coded(_) | Model::PlanarRgb | Model::Cmyk | Model::Ycck => {
                unreachable!("converted to RGB by the color step")
            }
            Model::Grey => {
                for &grey in &straight.planes[0].data {
                    out.extend_from_slice(&[grey, grey, grey, 255]);
                }
            }
            Model::GreyAlpha => {
                for &[grey, alpha] in straight.planes[0].data.as_chunks::<2>().0 {
                    out.extend_from_slice(&[grey, grey, grey, alpha]);
                }
            }
            Model::Rgb => {
                for &[r, g, b] in straight.planes[0].data.as_chunks::<3>().0 {
                    out.extend_from_slice(&[r, g, b, 255]);
                }
            }
            Model::Rgba => out = straight.planes.into_iter().next().expect("one plane").data,
        }
        out
    }

    /// Divides colors by alpha; no effect without alpha. The result must not be unpremultiplied again.
    pub(crate) fn unpremultiply(mut self) -> Self {
        let channels = match self.model {
            Model::GreyAlpha => 2,
            Model::Rgba => 4,
            _ => return self,
        };
        for pixel in self.planes[0].data.chunks_exact_mut(channels) {
            let (alpha, colours) = pixel.split_last_mut().expect("at least two channels");
            let alpha = u32::from(*alpha);
            if alpha == 255 {
                continue;
            }
            for colour in colours {
                *colour = match alpha {
                    0 => 0,
                    _ => ((u32::from(*colour) * 255 + alpha / 2) / alpha).min(255) as u8,
                };
            }
        }
        self
    }
}

/// Multiplies colors by alpha, the last sample of each pixel.
pub(crate) fn premultiply(row: &mut [u8], channels: usize) {
    Arch::new().dispatch(Premultiply { row, channels });
}

/// Compiled for every processor and for AVX2.
struct Premultiply<'a> {
    row: &'a mut [u8],
    channels: usize,
}

impl NullaryFnOnce for Premultiply<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        match self.channels {
            2 => multiply::<2>(self.row),
            _ => multiply::<4>(self.row),
        }
    }
}

#[inline(always)]
fn multiply<const CHANNELS: usize>(row: &mut [u8]) {
    for pixel in row.as_chunks_mut::<CHANNELS>().0 {
        let mut factors = [u16::from(pixel[CHANNELS - 1]); CHANNELS];
        factors[CHANNELS - 1] = 255;
        for channel in 0..CHANNELS {
            let product = u16::from(pixel[channel]) * factors[channel] + 127;
            // Division by 255, exact for all products of two samples.
            pixel[channel] = ((product + 1 + (product >> 8)) >> 8) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orientations_move_each_pixel_where_exif_says() {
        use Orientation::*;
        let (width, height) = (5, 3);
        let all = [
            Upright,
            MirroredHorizontally,
            Rotated180,
            MirroredVertically,
            Transposed,
            RotatedClockwise,
            Transversed,
            RotatedCounterclockwise,
        ];
        for channels in 1..=4 {
            let data: Vec<u8> = (0..(width * height * channels) as u8).collect();
            let picture = PlaneView {
                samples: &data,
                channels,
                width,
                height,
                stride: width * channels,
                across: width as f64,
                down: height as f64,
                spread: (0.0, 0.0),
            };
            for orientation in all {
                let (out_width, out_height) = if orientation.swaps_sides() { (height, width) } else { (width, height) };
                let mut wanted = Vec::new();
                for (y, x) in (0..out_height).flat_map(|y| (0..out_width).map(move |x| (y, x))) {
                    let (from_x, from_y) = match orientation {
                        Upright => (x, y),
                        MirroredHorizontally => (width - 1 - x, y),
                        Rotated180 => (width - 1 - x, height - 1 - y),
                        MirroredVertically => (x, height - 1 - y),
                        Transposed => (y, x),
                        RotatedClockwise => (y, height - 1 - x),
                        Transversed => (width - 1 - y, height - 1 - x),
                        RotatedCounterclockwise => (width - 1 - y, x),
                    };
                    wanted.extend_from_slice(&data[(from_y * width + from_x) * channels..][..channels]);
                }
                // At its own size, so that only the layout matters.
                let layout = orientation.layout((width, height));
                let found = picture.resize((width, height), layout, &mut FilterCache::default());
                assert_eq!(found, wanted, "{orientation:?}, {channels} channels");
            }
        }
    }

    #[test]
    fn premultiplication_is_exact() {
        for alpha in 0..=255_u8 {
            let mut row: Vec<u8> = (0..=255).flat_map(|level| [level, alpha]).collect();
            premultiply(&mut row, 2);
            for (level, pixel) in (0_u32..).zip(row.as_chunks::<2>().0) {
                assert_eq!(*pixel, [((level * u32::from(alpha) + 127) / 255) as u8, alpha]);
            }
        }
    }
}
