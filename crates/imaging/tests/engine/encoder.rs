//! The encoder of thumbnails beside the crate `jpeg-encoder`.

use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, ImageBuffer, JpegColorType, SamplingFactor};

use plane_kernels::jpeg::encode;

/// Gradients, edges and noise in interleaved YCbCr.
fn picture(width: usize, height: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut samples = Vec::new();
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = (state >> 27) as usize;
            let edge = if (x / 9 + y / 7).is_multiple_of(2) { 60 } else { 0 };
            samples.extend([(3 * x + y + edge + grain) % 256, 90 + x % 64, 100 + y % 50].map(|level| level as u8));
        }
    }
    samples
}

fn plane(samples: &[u8], component: usize) -> Vec<u8> {
    samples.iter().skip(component).step_by(3).copied().collect()
}

/// JFIF's conversion of interleaved samples (ITU-T T.871, section 7).
fn to_rgb(ycbcr: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::new();
    for sample in ycbcr.as_chunks::<3>().0 {
        let [y, cb, cr] = sample.map(f64::from);
        let (cb, cr) = (cb - 128.0, cr - 128.0);
        rgb.extend([y + 1.402 * cr, y - 0.3441 * cb - 0.7141 * cr, y + 1.772 * cb].map(|level| level.round() as u8));
    }
    rgb
}

/// Decodes with an independent decoder to RGB or gray.
fn decoded(file: &[u8]) -> Vec<u8> {
    jpeg_decoder::Decoder::new(file).decode().unwrap()
}

fn error(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a.iter().zip(b).map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2)).sum();
    sum as f64 / a.len() as f64
}

#[test]
fn quality_and_size_match_jpeg_encoder() {
    for (width, height) in [(1, 1), (1, 40), (40, 1), (7, 9), (8, 8), (16, 16), (17, 33), (100, 75), (267, 200)] {
        // With few samples the error varies by chance.
        let more = if width * height < 5000 { 1.5 } else { 1.01 };
        let samples = picture(width, height);
        let planes = [0, 1, 2].map(|component| plane(&samples, component));
        let [y, cb, cr] = planes.each_ref().map(|plane| &plane[..]);
        let rgb = &to_rgb(&samples)[..];
        for quality in [50, 80, 95] {
            let (width, height) = (width as u16, height as u16);
            for (ours, kind, source, wanted) in [
                (encode(&[y, cb, cr], width, height, quality), ColorType::Ycbcr, &samples[..], rgb),
                (encode(&[y], width, height, quality), ColorType::Luma, y, y),
            ] {
                let mut other = Vec::new();
                let mut encoder = Encoder::new(&mut other, quality);
                encoder.set_sampling_factor(SamplingFactor::F_2_2);
                encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
                encoder.encode(source, width, height, kind).unwrap();
                let (our_error, their_error) = (error(&decoded(&ours), wanted), error(&decoded(&other), wanted));
                assert!(
                    our_error <= their_error * more + (more - 1.0) * 2.0,
                    "{width} x {height} at {quality}: {our_error} {their_error}"
                );
                assert!(ours.len() as f64 <= other.len() as f64 * 1.01 + 8.0, "{} {}", ours.len(), other.len());
            }
        }
    }
}

struct Planes<'a> {
    planes: [&'a [u8]; 3],
    width: u16,
    height: u16,
}

impl ImageBuffer for Planes<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let (start, width) = (usize::from(y) * usize::from(self.width), usize::from(self.width));
        for (plane, buffer) in self.planes.iter().zip(buffers) {
            buffer.extend_from_slice(&plane[start..start + width]);
        }
    }
}

/// User time of this process in seconds.
fn user_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Field 14, in ticks of 10 ms. The second field, the name in parentheses, can contain spaces.
    let ticks: f64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(11).unwrap().parse().unwrap();
    ticks / 100.0
}

/// Prints the figures of docs/thumbnails.md. The two encoders take turns, so the load of the machine meets both.
#[test]
#[ignore = "measures"]
fn time_and_size_beside_jpeg_encoder() {
    const ROUNDS: usize = 7;
    for (width, height) in [(267_u16, 200_u16), (533, 400), (1440, 1080)] {
        let samples = picture(usize::from(width), usize::from(height));
        let planes = [0, 1, 2].map(|component| plane(&samples, component));
        let [y, cb, cr] = planes.each_ref().map(|plane| &plane[..]);
        let rgb = &to_rgb(&samples)[..];
        let ours = || encode(&[y, cb, cr], width, height, 80);
        let theirs = |chroma| {
            let mut out = Vec::new();
            let mut encoder = Encoder::new(&mut out, 80);
            encoder.set_sampling_factor(SamplingFactor::F_2_2);
            encoder.set_chroma_subsampling_method(chroma);
            encoder.encode_image(Planes { planes: [y, cb, cr], width, height }).unwrap();
            out
        };
        let times = 3_000_000 / (usize::from(width) * usize::from(height)) * 20;
        let time = |encode: &dyn Fn() -> Vec<u8>| {
            let start = user_time();
            (0..times).for_each(|_| drop(std::hint::black_box(encode())));
            (user_time() - start) / times as f64 * 1e6
        };
        let psnr = |file: &[u8]| 10.0 * (255.0 * 255.0 / error(&decoded(file), rgb)).log10();
        let skip = || theirs(ChromaSubsamplingMethod::Nearest);
        let average = || theirs(ChromaSubsamplingMethod::Average);
        let encoders: [(&str, &dyn Fn() -> Vec<u8>); 3] =
            [("ours", &ours), ("jpeg-encoder", &skip), ("jpeg-encoder, mean chroma", &average)];
        let mut rounds = encoders.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for ((_, encode), times) in encoders.iter().zip(&mut rounds) {
                times.push(time(encode));
            }
        }
        for ((name, encode), mut times) in encoders.iter().zip(rounds) {
            times.sort_by(f64::total_cmp);
            let file = encode();
            println!(
                "{width} x {height} {name}: {:.0} us ({:.0} to {:.0}), {} bytes, {:.2} dB",
                times[ROUNDS / 2],
                times[0],
                times[ROUNDS - 1],
                file.len(),
                psnr(&file)
            );
        }
    }
}
