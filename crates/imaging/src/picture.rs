//! Pictures between the decoder and the encoder: small already, resized, turned, recoloured.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::exif::Orientation;

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

impl Plane {
    fn resize(&self, width: u32, height: u32, resizer: &mut Resizer) -> Samples {
        let channels = self.samples.channels;
        let whole = f64::from(self.width) == self.view_width
            && f64::from(self.height) == self.view_height
            && (self.width, self.height) == (width, height);
        if whole {
            return self.samples.clone();
        }
        let kind = match channels {
            1 => PixelType::U8,
            2 => PixelType::U8x2,
            3 => PixelType::U8x3,
            _ => PixelType::U8x4,
        };
        let source = ImageRef::new(self.width, self.height, &self.samples.data, kind)
            .expect("a plane holds width * height pixels");
        let mut target = Image::new(width, height, kind);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
            .use_alpha(false)
            .crop(0.0, 0.0, self.view_width, self.view_height);
        resizer
            .resize(&source, &mut target, &options)
            .expect("both images have one pixel type and the view is within the plane");
        Samples { channels, data: target.into_vec() }
    }
}

impl Decoded {
    /// The picture at `width` x `height`, before it is turned.
    pub(crate) fn resize(&self, width: u32, height: u32) -> Picture {
        let mut resizer = Resizer::new();
        Picture {
            width,
            height,
            model: self.model,
            planes: self.planes.iter().map(|plane| plane.resize(width, height, &mut resizer)).collect(),
        }
    }
}

impl Picture {
    /// The same picture at another size.
    pub(crate) fn resize(&self, width: u32, height: u32) -> Self {
        let mut resizer = Resizer::new();
        let planes = self
            .planes
            .iter()
            .map(|samples| {
                // Borrowing the samples as a plane would need a second type; they are small.
                let plane = Plane {
                    width: self.width,
                    height: self.height,
                    view_width: f64::from(self.width),
                    view_height: f64::from(self.height),
                    samples: samples.clone(),
                };
                plane.resize(width, height, &mut resizer)
            })
            .collect();
        Self { width, height, model: self.model, planes }
    }

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
