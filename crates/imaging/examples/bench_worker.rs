//! Runs the engine for benchmarks. Each input line: path, format, output directory (or `-`), and `encode`,
//! `webp` (each thumbnail is followed by its WebP variant, which is empty if it is not smaller), `pixels` (the thumbnails
//! before encoding, as PNG, for measuring quality) or `entropy` (decodes the codes of a sequential JPEG or a PNG and does
//! nothing with them, for measuring what is left). Each output line: the sizes of the
//! results in bytes.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};

use jpeg_scaled::{Decoder, Limits};
use tintype_imaging::{ContentType, DEFAULT_MAX_PIXELS, ThumbnailRequest, process, render};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let [path, format, directory, mode] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err("four fields are needed".into());
        };
        let request = ThumbnailRequest {
            declared: ContentType::parse(&format!("image/{format}"))?,
            heights: &[400, 200],
            max_pixels: DEFAULT_MAX_PIXELS,
            every_scan: false,
            webp: mode == "webp",
            deadline: None,
        };
        let source = File::open(path)?;
        if mode == "entropy" {
            let size = if format == "png" { inflate(source)? } else { decode_codes(source)? };
            writeln!(out, "{size}")?;
            out.flush()?;
            continue;
        }
        let results: Vec<Vec<u8>> = if mode == "pixels" {
            let pictures = render(source, &request)?;
            pictures.iter().map(as_png).collect::<Result<_, _>>()?
        } else {
            let thumbnails = process(source, &request)?.thumbnails;
            let files = thumbnails.into_iter().flat_map(|thumbnail| [Some(thumbnail.bytes), thumbnail.webp]);
            if mode == "webp" { files.map(Option::unwrap_or_default).collect() } else { files.flatten().collect() }
        };
        if directory != "-" {
            for (index, bytes) in results.iter().enumerate() {
                fs::write(format!("{directory}/{index}"), bytes)?;
            }
        }
        let sizes: Vec<String> = results.iter().map(|bytes| bytes.len().to_string()).collect();
        writeln!(out, "{}", sizes.join(" "))?;
        out.flush()?;
    }
    Ok(())
}

fn as_png(picture: &tintype_imaging::Rgba) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header()?.write_image_data(&picture.pixels)?;
    Ok(bytes)
}

/// Decodes one coefficient of each block and skips the codes of the others. Returns how many blocks there are.
fn decode_codes(source: File) -> Result<usize, Box<dyn Error>> {
    let mut decoder = Decoder::new(source, Limits::default());
    let header = decoder.read_header()?;
    let image = decoder.decode(&vec![1; header.components.len()])?;
    Ok(image.planes.iter().map(|plane| plane.samples.len()).sum())
}

/// Decompresses the pixels of a PNG with the decompressor that the engine uses. Returns their bytes.
fn inflate(source: File) -> Result<usize, Box<dyn Error>> {
    const WINDOW: usize = 32 << 10;
    let mut source = BufReader::with_capacity(WINDOW, source);
    source.seek_relative(8)?;
    let mut decompressor = fdeflate::Decompressor::new();
    // As `png` does.
    decompressor.ignore_adler32();
    let (mut total, mut filled, mut out) = (0, 0, vec![0; 4 * WINDOW]);
    while !decompressor.is_done() {
        let mut head = [0; 8];
        source.read_exact(&mut head)?;
        let mut left = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        while left > 0 && &head[4..] == b"IDAT" && !decompressor.is_done() {
            let input = source.fill_buf()?;
            let input = &input[..left.min(input.len())];
            let result = decompressor.read(input, &mut out, filled, false);
            let (read, written) = result.map_err(|error| format!("{error:?}"))?;
            source.consume(read);
            left -= read;
            filled += written;
            total += written;
            if filled > 3 * WINDOW {
                out.copy_within(filled - WINDOW..filled, 0);
                filled = WINDOW;
            }
        }
        source.seek_relative(left as i64 + 4)?;
    }
    Ok(total)
}
