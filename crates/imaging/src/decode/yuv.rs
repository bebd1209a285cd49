//! Reduces YCbCr pictures that decoders of other projects return whole, in tiles or in one piece.

use crate::Rejection;
use crate::decode::DecodeTarget;
use crate::decode::heif::{Nclx, Window};
use crate::exif::Orientation;
use crate::metadata::Metadata;
use crate::picture::{Decoded, Matrix, Model, Plane, premultiply};
use crate::reduce::{Factor, Reducer};
use crate::{CHROMA_OVERSAMPLE, OVERSAMPLE};

/// The most pixels of an image with alpha, which is assembled at full size: 16 megapixels.
const MAX_ALPHA_PIXELS: u64 = 16_000_000;

/// A decoded picture.
pub(crate) struct YuvPicture<'a> {
    /// Y, Cb and Cr, or Y alone.
    pub(crate) planes: Vec<YuvPlane<'a>>,
}

pub(crate) struct YuvPlane<'a> {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) row: WriteRow<'a>,
}

/// Writes the samples of a row from a column on, with eight bits each.
pub(crate) type WriteRow<'a> = Box<dyn Fn(u32, u32, &mut [u8]) + 'a>;

/// How samples become colors (ITU-T H.273).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Matrix(Matrix),
    /// The planes are green, blue and red.
    Identity,
}

impl Coding {
    /// `full_range` and `matrix` of `nclx`, or of the stream itself.
    pub(crate) fn new(matrix: u16, full_range: bool) -> Result<Self, Rejection> {
        Ok(Self::Matrix(match (matrix, full_range) {
            (0, _) => return Ok(Self::Identity),
            (1, false) => Matrix::Bt709Limited,
            (1, true) => Matrix::Bt709,
            (9, false) => Matrix::Bt2020Limited,
            (9, true) => Matrix::Bt2020,
            // Unspecified means BT.601, as in libheif.
            (2 | 4 | 5 | 6, false) => Matrix::Bt601Limited,
            (2 | 4 | 5 | 6, true) => Matrix::Bt601,
            _ => return Err(Rejection::Unsupported { feature: format!("the color matrix {matrix}") }),
        }))
    }

    fn model(self) -> Model {
        match self {
            Self::Identity => Model::PlanarRgb,
            Self::Matrix(Matrix::Bt601) => Model::YCbCr,
            Self::Matrix(matrix) => Model::Coded(matrix),
        }
    }
}

/// Collects the pictures of an image.
pub(crate) struct YuvSink {
    window: Window,
    orientation: Orientation,
    target: DecodeTarget,
    coding: Coding,
    /// Pixels for each sample of Cb and Cr; unknown until the first picture.
    shares: Vec<(u32, u32)>,
    reducers: Vec<Reducer>,
    line: Vec<u8>,
}

impl YuvSink {
    pub(crate) fn new(window: Window, orientation: Orientation, target: DecodeTarget, coding: Coding) -> Self {
        Self { window, orientation, target, coding, shares: Vec::new(), reducers: Vec::new(), line: Vec::new() }
    }

    /// Adds a picture at a position of the image before the crop. All pictures have the same planes.
    pub(crate) fn put(&mut self, picture: &YuvPicture<'_>, x: u32, y: u32) -> Result<(), Rejection> {
        if self.shares.is_empty() {
            self.begin(picture);
        }
        if picture.planes.len() != self.shares.len() || self.shares != shares(picture) {
            return Err(Rejection::corrupt("tiles with different planes"));
        }
        let Window { left, top, width, height } = self.window;
        for ((plane, reducer), &(across, down)) in picture.planes.iter().zip(&mut self.reducers).zip(&self.shares) {
            let (left, top) = (left / across, top / down);
            let (right, bottom) = (left + width.div_ceil(across), top + height.div_ceil(down));
            let (x, y) = (x / across, y / down);
            let (from, to) = (left.max(x), right.min(x + plane.width));
            if from >= to {
                continue;
            }
            self.line.resize((to - from) as usize, 0);
            for row in top.max(y)..bottom.min(y + plane.height) {
                (plane.row)(row - y, from - x, &mut self.line);
                reducer.scatter(row - top, from - left, 1, &self.line);
            }
        }
        Ok(())
    }

    fn begin(&mut self, picture: &YuvPicture<'_>) {
        let Window { width, height, .. } = self.window;
        let target = self.target.stored_target((width, height), self.orientation);
        self.shares = shares(picture);
        let is_ycbcr = self.coding != Coding::Identity;
        for (index, &(across, down)) in self.shares.iter().enumerate() {
            let size = (width.div_ceil(across), height.div_ceil(down));
            let oversample = if index > 0 && is_ycbcr { CHROMA_OVERSAMPLE } else { OVERSAMPLE };
            let mut reducer = Reducer::new(1, size.0, size.1, Factor::leaving(oversample, size, target));
            reducer.expect_scattered();
            self.reducers.push(reducer);
        }
    }

    pub(crate) fn finish(self, icc_profile: Option<Vec<u8>>) -> Decoded {
        let Window { width, height, .. } = self.window;
        let plane = |(reducer, &(across, down)): (Reducer, &(u32, u32))| {
            let Factor { x, y } = reducer.factor();
            let mut plane = reducer.finish();
            let view = |side: u32, share: u32, factor: u32| f64::from(side) / f64::from(share * factor);
            (plane.view_width, plane.view_height) = (view(width, across, x), view(height, down, y));
            // Decoders interpolate planes that are halved in a direction.
            let spread = |share: u32, factor: u32| if share == 2 { 1.0 / f64::from(factor) } else { 0.0 };
            plane.spread = (spread(across, x), spread(down, y));
            plane
        };
        let mut planes: Vec<Plane> = self.reducers.into_iter().zip(&self.shares).map(plane).collect();
        let model = if planes.len() == 1 { Model::Grey } else { self.coding.model() };
        if let (Coding::Identity, [_, _, _]) = (self.coding, &planes[..]) {
            planes.rotate_right(1);
        }
        let orientation = self.orientation;
        Decoded {
            width,
            height,
            orientation,
            icc_profile,
            model,
            planes,
            truncated: false,
            metadata: Metadata::default(),
        }
    }
}

fn shares(picture: &YuvPicture<'_>) -> Vec<(u32, u32)> {
    let first = &picture.planes[0];
    let share =
        |plane: &YuvPlane<'_>| (first.width.div_ceil(plane.width.max(1)), first.height.div_ceil(plane.height.max(1)));
    // Sides of one sample are not halved.
    picture.planes.iter().map(|plane| (share(plane).0.clamp(1, 2), share(plane).1.clamp(1, 2))).collect()
}

/// Assembles an image with alpha at full size.
pub(crate) struct AlphaCanvas {
    window: Window,
    /// Straight RGBA, or premultiplied if the file says so.
    pixels: Vec<u8>,
    is_premultiplied: bool,
    lines: [Vec<u8>; 3],
}

impl AlphaCanvas {
    pub(crate) fn new(window: Window, is_premultiplied: bool) -> Result<Self, Rejection> {
        let Window { width, height, .. } = window;
        if u64::from(width) * u64::from(height) > MAX_ALPHA_PIXELS {
            let part = format!("{width} x {height} pixels with alpha, of which at most {MAX_ALPHA_PIXELS} are decoded");
            return Err(Rejection::TooComplex { part });
        }
        let pixels = vec![255; width as usize * height as usize * 4];
        Ok(Self { window, pixels, is_premultiplied, lines: [const { Vec::new() }; 3] })
    }

    /// Calls `write` with each row of the picture: its pixels, and its number and first column in the picture.
    fn rows(&mut self, size: (u32, u32), (x, y): (u32, u32), mut write: impl FnMut(&mut [u8], u32, u32)) {
        let Window { left, top, width, height } = self.window;
        let (from, to) = (left.max(x), (left + width).min(x + size.0));
        if from >= to {
            return;
        }
        for row in top.max(y)..(top + height).min(y + size.1) {
            let start = ((row - top) as usize * width as usize + (from - left) as usize) * 4;
            write(&mut self.pixels[start..start + (to - from) as usize * 4], row - y, from - x);
        }
    }

    pub(crate) fn put_colours(&mut self, picture: &YuvPicture<'_>, coding: Coding, x: u32, y: u32) {
        let shares = shares(picture);
        let mut lines = std::mem::take(&mut self.lines);
        let first = &picture.planes[0];
        self.rows((first.width, first.height), (x, y), |pixels, row, column| {
            let count = pixels.len() / 4;
            for ((plane, line), &(across, down)) in picture.planes.iter().zip(&mut lines).zip(&shares) {
                let start = column / across;
                line.resize((column as usize + count).div_ceil(across as usize) - start as usize, 0);
                (plane.row)((row / down).min(plane.height - 1), start, line);
            }
            for (at, pixel) in pixels.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let sample = |plane: usize| {
                    let across = shares[plane].0 as usize;
                    let at = (column as usize + at) / across - column as usize / across;
                    lines[plane][at]
                };
                let colour = if shares.len() < 3 {
                    [sample(0); 3]
                } else {
                    let [a, b, c] = [sample(0), sample(1), sample(2)];
                    match coding {
                        Coding::Identity => [c, a, b],
                        Coding::Matrix(matrix) => matrix.to_rgb([a, b, c].map(f32::from)),
                    }
                };
                pixel[..3].copy_from_slice(&colour);
            }
        });
        self.lines = lines;
    }

    pub(crate) fn put_alpha(&mut self, picture: &YuvPicture<'_>, x: u32, y: u32) {
        let mut line = Vec::new();
        let first = &picture.planes[0];
        self.rows((first.width, first.height), (x, y), |pixels, row, column| {
            line.resize(pixels.len() / 4, 0);
            (first.row)(row, column, &mut line);
            for (pixel, &alpha) in pixels.as_chunks_mut::<4>().0.iter_mut().zip(&line) {
                pixel[3] = alpha;
            }
        });
    }

    pub(crate) fn finish(mut self, orientation: Orientation, target: DecodeTarget, icc: Option<Vec<u8>>) -> Decoded {
        let Window { width, height, .. } = self.window;
        let factor = Factor::leaving(OVERSAMPLE, (width, height), target.stored_target((width, height), orientation));
        let mut reducer = Reducer::new(4, width, height, factor);
        for row in self.pixels.chunks_exact_mut(width as usize * 4) {
            if !self.is_premultiplied {
                premultiply(row, 4);
            }
            reducer.push(row);
        }
        let planes = vec![reducer.finish()];
        Decoded {
            width,
            height,
            orientation,
            icc_profile: icc,
            model: Model::Rgba,
            planes,
            truncated: false,
            metadata: Metadata::default(),
        }
    }
}

/// The profile of an image with these color primaries and no profile of its own; `None` if they are those of sRGB. Its
/// curve is that of sRGB: HDR is not tone-mapped.
pub(crate) fn profile_of(nclx: Option<Nclx>) -> Option<Vec<u8>> {
    let profile = match nclx?.primaries {
        9 => moxcms::ColorProfile::new_bt2020(),
        11 | 12 => moxcms::ColorProfile::new_display_p3(),
        _ => return None,
    };
    profile.encode().ok()
}

/// How samples become eight bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    Full,
    /// Keeps its meaning: 64 of ten bits becomes 16.
    Limited,
    /// The limited range of a picture without colors, which becomes the full range.
    Expanded,
}

impl Range {
    pub(crate) fn new(full_range: bool, planes: usize) -> Self {
        match (full_range, planes) {
            (true, _) => Self::Full,
            (false, 1) => Self::Expanded,
            (false, _) => Self::Limited,
        }
    }
}

/// The levels of all samples of up to 16 bits.
pub(crate) fn levels(bits: u32, range: Range) -> Vec<u8> {
    let most = (1_u32 << bits) - 1;
    let level = |sample: u32| match range {
        Range::Full => (sample * 255 + most / 2) / most,
        Range::Limited => ((sample << 8) / (most + 1)).min(255),
        Range::Expanded => {
            let (black, white) = ((16 << bits) / 256, (235 << bits) / 256);
            (sample.clamp(black, white) - black) * 255 / (white - black)
        }
    };
    (0..=most).map(|sample| level(sample) as u8).collect()
}
