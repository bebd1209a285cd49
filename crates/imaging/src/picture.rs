//! Pictures between the decoder and the encoder: small already, resized, turned, recoloured.

use crate::exif::Orientation;
use crate::resize::View;

/// What the samples mean. Alpha is always premultiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    Grey,
    GreyAlpha,
    Rgb,
    Rgba,
    /// Full-range BT.601, as JFIF has it.
    YCbCr,
    /// Three planes.
    PlanarRgb,
    /// Four planes of ink: 255 is full cover.
    Cmyk,
    /// The same, the first three as YCbCr.
    Ycck,
}

/// Interleaved 8-bit samples.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) channels: usize,
    pub(crate) data: Vec<u8>,
}

/// A decoded plane, or all of them interleaved.
#[derive(Debug)]
pub(crate) struct Plane {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Samples from a row to the next.
    pub(crate) stride: usize,
    /// The part that shows the image, in fractions of a pixel: the last box or block may be partly
    /// outside of it.
    pub(crate) view_width: f64,
    pub(crate) view_height: f64,
    pub(crate) samples: Samples,
}

/// What a decoder gives: the image at a reduced size, as it is stored, in its own colours.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// The size of the image in the file.
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) orientation: Orientation,
    pub(crate) icc_profile: Option<Vec<u8>>,
    pub(crate) model: Model,
    /// One for interleaved samples, one a component otherwise.
    pub(crate) planes: Vec<Plane>,
}

/// A picture whose planes all have its size.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) model: Model,
    pub(crate) planes: Vec<Samples>,
}

/// A picture at a thumbnail's size that is not rounded to whole levels yet: channel by channel.
#[derive(Debug)]
pub(crate) struct Raster {
    pub(crate) width: u32,
    pub(crate) height: u32,
    model: Model,
    channels: Vec<Vec<f32>>,
}

impl Decoded {
    /// The picture at `width` x `height`, before it is turned.
    pub(crate) fn resize(&self, (width, height): (u32, u32)) -> Raster {
        let resize = |plane: &Plane| {
            let view = View {
                samples: &plane.samples.data,
                channels: plane.samples.channels,
                width: plane.width as usize,
                height: plane.height as usize,
                stride: plane.stride,
                across: plane.view_width,
                down: plane.view_height,
            };
            view.resize((width as usize, height as usize))
        };
        Raster { width, height, model: self.model, channels: self.planes.iter().flat_map(resize).collect() }
    }
}

impl Raster {
    /// The same picture at another size.
    pub(crate) fn resize(&self, (width, height): (u32, u32)) -> Self {
        let resize = |samples: &Vec<f32>| {
            let view = View {
                samples,
                channels: 1,
                width: self.width as usize,
                height: self.height as usize,
                stride: self.width as usize,
                across: f64::from(self.width),
                down: f64::from(self.height),
            };
            view.resize((width as usize, height as usize))
        };
        Self { width, height, model: self.model, channels: self.channels.iter().flat_map(resize).collect() }
    }

    /// In whole levels.
    pub(crate) fn round(&self) -> Picture {
        let level = |value: f32| (value + 0.5) as u8;
        let planes = match self.model {
            Model::Grey | Model::YCbCr | Model::PlanarRgb | Model::Cmyk | Model::Ycck => self
                .channels
                .iter()
                .map(|channel| Samples { channels: 1, data: channel.iter().copied().map(level).collect() })
                .collect(),
            Model::GreyAlpha | Model::Rgb | Model::Rgba => {
                let channels = self.channels.len();
                let mut data = vec![0; self.width as usize * self.height as usize * channels];
                for (index, channel) in self.channels.iter().enumerate() {
                    for (sample, &value) in data[index..].iter_mut().step_by(channels).zip(channel) {
                        *sample = level(value);
                    }
                }
                vec![Samples { channels, data }]
            }
        };
        Picture { width: self.width, height: self.height, model: self.model, planes }
    }
}

impl Picture {
    /// The picture as it is meant to be looked at.
    pub(crate) fn turn(self, orientation: Orientation) -> Self {
        if orientation == Orientation::Upright {
            return self;
        }
        let (width, height) = (self.width as usize, self.height as usize);
        let planes = self.planes.iter().map(|samples| turn_samples(samples, width, height, orientation)).collect();
        let (width, height) =
            if orientation.swaps_sides() { (self.height, self.width) } else { (self.width, self.height) };
        Self { width, height, model: self.model, planes }
    }

    /// Straight (not premultiplied) RGBA.
    pub(crate) fn to_rgba(&self) -> Vec<u8> {
        let straight = self.clone().unpremultiply();
        let pixels = straight.width as usize * straight.height as usize;
        let mut out = Vec::with_capacity(pixels * 4);
        match straight.model {
            Model::YCbCr | Model::PlanarRgb | Model::Cmyk | Model::Ycck => {
                unreachable!("the colour step has made these RGB")
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

    /// Divides colour by alpha; a no-op without alpha. Alpha must not be premultiplied twice, so
    /// this is only for leaving the pipeline.
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

/// Multiplies colour by alpha in a row of pixels whose last sample is alpha.
pub(crate) fn premultiply(row: &mut [u8], channels: usize) {
    for pixel in row.chunks_exact_mut(channels) {
        let (alpha, colours) = pixel.split_last_mut().expect("at least two channels");
        let alpha = u32::from(*alpha);
        for colour in colours {
            *colour = ((u32::from(*colour) * alpha + 127) / 255) as u8;
        }
    }
}

fn turn_samples(samples: &Samples, width: usize, height: usize, orientation: Orientation) -> Samples {
    let channels = samples.channels;
    let (out_width, out_height) = if orientation.swaps_sides() { (height, width) } else { (width, height) };
    let mut data = Vec::with_capacity(samples.data.len());
    for y in 0..out_height {
        for x in 0..out_width {
            let (from_x, from_y) = match orientation {
                Orientation::Upright => (x, y),
                Orientation::MirroredHorizontally => (width - 1 - x, y),
                Orientation::Rotated180 => (width - 1 - x, height - 1 - y),
                Orientation::MirroredVertically => (x, height - 1 - y),
                Orientation::Transposed => (y, x),
                Orientation::RotatedClockwise => (y, height - 1 - x),
                Orientation::Transversed => (width - 1 - y, height - 1 - x),
                Orientation::RotatedCounterclockwise => (width - 1 - y, x),
            };
            let at = (from_y * width + from_x) * channels;
            data.extend_from_slice(&samples.data[at..at + channels]);
        }
    }
    Samples { channels, data }
}
