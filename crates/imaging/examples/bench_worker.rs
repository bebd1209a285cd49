//! Runs the engine for benchmarks. Each input line: path, format, output directory (or `-`), and `encode`
//! or `pixels` (the thumbnails before encoding, as PNG, for measuring quality). Each output line: the
//! sizes of the results in bytes.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, Write};

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
            deadline: None,
        };
        let source = File::open(path)?;
        let results: Vec<Vec<u8>> = if mode == "pixels" {
            let pictures = render(source, &request)?;
            pictures.iter().map(as_png).collect::<Result<_, _>>()?
        } else {
            let thumbnails = process(source, &request)?.thumbnails;
            thumbnails.into_iter().map(|thumbnail| thumbnail.bytes).collect()
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
