//! Converts thumbnails to sRGB, or to gray with the same tone curve.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformExecutor, TransformOptions};

use crate::picture::{Model, Picture, Samples};

/// Converts an image to sRGB. Ignores a profile that is invalid or does not fit the color model, as most
/// viewers do.
pub(crate) fn to_srgb(picture: Picture, icc_profile: Option<&[u8]>) -> Picture {
    let profile = icc_profile.and_then(|bytes| ColorProfile::new_from_slice(bytes).ok());
    let picture = match picture.model {
        Model::Cmyk => return cmyk_to_srgb(picture, profile.as_ref()),
        Model::Ycck => return cmyk_to_srgb(ycck_to_cmyk(picture), profile.as_ref()),
        Model::PlanarRgb => {
            let data = interleave(&picture.planes);
            Picture { model: Model::Rgb, planes: vec![Samples { channels: 3, data }], ..picture }
        }
        _ => picture,
    };
    let Some(profile) = profile else {
        return picture;
    };
    match (picture.model, profile.color_space) {
        (Model::YCbCr | Model::Rgb | Model::Rgba, DataColorSpace::Rgb) => rgb_to_srgb(picture, &profile),
        (Model::Grey | Model::GreyAlpha, DataColorSpace::Gray) => grey_to_srgb(picture, &profile),
        _ => picture,
    }
}

fn rgb_to_srgb(picture: Picture, profile: &ColorProfile) -> Picture {
    let Some(transform) = transform(profile, Layout::Rgb, Layout::Rgb) else {
        return picture;
    };
    if is_identity(&*transform) {
        return picture;
    }
    let picture = ycbcr_to_rgb(picture);
    if picture.model == Model::Rgb {
        return mapped(picture, |data| run(&*transform, data, 3));
    }
    let picture = picture.unpremultiply();
    mapped(picture, |data| {
        let colours: Vec<u8> = data.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        let colours = run(&*transform, &colours, 3);
        let mut out: Vec<u8> = colours
            .as_chunks::<3>()
            .0
            .iter()
            .zip(data.as_chunks::<4>().0)
            .flat_map(|(&[r, g, b], &[_, _, _, alpha])| [r, g, b, alpha])
            .collect();
        crate::picture::premultiply(&mut out, 4);
        out
    })
}

fn grey_to_srgb(picture: Picture, profile: &ColorProfile) -> Picture {
    let Some(transform) = transform(profile, Layout::Gray, Layout::Rgb) else {
        return picture;
    };
    // A lookup table of the 256 values.
    let ramp: Vec<u8> = (0..=255).collect();
    let mut table = vec![0; 256 * 3];
    if transform.transform(&ramp, &mut table).is_err() {
        return picture;
    }
    let channels = picture.planes[0].channels;
    let picture = picture.unpremultiply();
    mapped(picture, |data| {
        let mut out = data.to_vec();
        for pixel in out.chunks_exact_mut(channels) {
            pixel[0] = table[usize::from(pixel[0]) * 3 + 1];
        }
        if channels == 2 {
            crate::picture::premultiply(&mut out, 2);
        }
        out
    })
}

fn ycck_to_cmyk(mut picture: Picture) -> Picture {
    let black = picture.planes.pop().expect("four planes");
    picture.model = Model::YCbCr;
    let inks = ycbcr_to_rgb(picture);
    let data = inks.planes[0]
        .data
        .as_chunks::<3>()
        .0
        .iter()
        .zip(&black.data)
        .flat_map(|(&[c, m, y], &k)| [c, m, y, k])
        .collect();
    Picture { model: Model::Cmyk, planes: vec![Samples { channels: 4, data }], ..inks }
}

fn cmyk_to_srgb(picture: Picture, profile: Option<&ColorProfile>) -> Picture {
    let inks = interleave(&picture.planes);
    let transform = profile
        .filter(|profile| profile.color_space == DataColorSpace::Cmyk)
        .and_then(|profile| transform(profile, Layout::Rgba, Layout::Rgb));
    let mut data = vec![0; inks.len() / 4 * 3];
    let converted = transform.is_some_and(|t| t.transform(&inks, &mut data).is_ok());
    if !converted {
        data.clear();
        for &[c, m, y, k] in inks.as_chunks::<4>().0 {
            let light = |ink: u8| ((u32::from(255 - ink) * u32::from(255 - k) + 127) / 255) as u8;
            data.extend_from_slice(&[light(c), light(m), light(y)]);
        }
    }
    Picture { model: Model::Rgb, planes: vec![Samples { channels: 3, data }], ..picture }
}

/// JFIF's conversion (ITU-T T.871, section 7), in 16-bit fixed point; other models are unchanged.
pub(crate) fn ycbcr_to_rgb(picture: Picture) -> Picture {
    if picture.model != Model::YCbCr {
        return picture;
    }
    let [y, cb, cr] = [0, 1, 2].map(|plane| &picture.planes[plane].data);
    let mut data = Vec::with_capacity(y.len() * 3);
    for ((&y, &cb), &cr) in y.iter().zip(cb).zip(cr) {
        data.extend_from_slice(&ycbcr_pixel_to_rgb([y, cb, cr]));
    }
    Picture { model: Model::Rgb, planes: vec![Samples { channels: 3, data }], ..picture }
}

/// See [`ycbcr_to_rgb`].
#[inline]
pub(crate) fn ycbcr_pixel_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let y = (i32::from(y) << 16) + (1 << 15);
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    [y + 91_881 * cr, y - 22_554 * cb - 46_802 * cr, y + 116_130 * cb].map(|level| (level >> 16).clamp(0, 255) as u8)
}

/// The inverse of [`ycbcr_to_rgb`].
pub(crate) fn rgb_to_ycbcr(picture: &Picture) -> Picture {
    let pixels = picture.planes[0].data.as_chunks::<3>().0;
    let plane = |factors: [i32; 3], zero: i32| {
        let level = |rgb: &[u8; 3]| {
            let sum: i32 = rgb.iter().zip(factors).map(|(&level, factor)| i32::from(level) * factor).sum();
            ((sum + (zero << 16) + (1 << 15)) >> 16).min(255) as u8
        };
        Samples { channels: 1, data: pixels.iter().map(level).collect() }
    };
    let planes = vec![
        plane([19_595, 38_470, 7_471], 0),
        plane([-11_058, -21_710, 32_768], 128),
        plane([32_768, -27_439, -5_329], 128),
    ];
    Picture { model: Model::YCbCr, width: picture.width, height: picture.height, planes }
}

type ColourTransform = dyn TransformExecutor<u8> + Send + Sync;

fn transform(profile: &ColorProfile, from: Layout, to: Layout) -> Option<std::sync::Arc<ColourTransform>> {
    profile.create_transform_8bit(from, &ColorProfile::new_srgb(), to, TransformOptions::default()).ok()
}

/// Returns true if no color changes by more than one level: most profiles are sRGB and need no
/// conversion.
fn is_identity(transform: &ColourTransform) -> bool {
    let levels = [0, 16, 64, 128, 200, 255];
    let mut colours = Vec::new();
    for r in levels {
        for g in levels {
            for b in levels {
                colours.extend_from_slice(&[r, g, b]);
            }
        }
    }
    let out = run(transform, &colours, 3);
    out.iter().zip(&colours).all(|(a, b)| a.abs_diff(*b) <= 1)
}

/// Transforms the samples, or returns them unchanged if the transform fails.
fn run(transform: &ColourTransform, data: &[u8], channels: usize) -> Vec<u8> {
    debug_assert_eq!(data.len() % channels, 0);
    let mut out = vec![0; data.len()];
    match transform.transform(data, &mut out) {
        Ok(()) => out,
        Err(_) => data.to_vec(),
    }
}

fn mapped(mut picture: Picture, map: impl FnOnce(&[u8]) -> Vec<u8>) -> Picture {
    picture.planes[0].data = map(&picture.planes[0].data);
    picture
}

fn interleave(planes: &[Samples]) -> Vec<u8> {
    if let [samples] = planes {
        return samples.data.clone();
    }
    let count = planes.len();
    let mut out = vec![0; planes[0].data.len() * count];
    for (channel, plane) in planes.iter().enumerate() {
        for (pixel, &sample) in out.chunks_exact_mut(count).zip(&plane.data) {
            pixel[channel] = sample;
        }
    }
    out
}
