//! Decodes files for comparison with other decoders. Each input line: eighths for each component, a tab,
//! a path. Output: a line with the width and height of each plane, then the samples of all planes.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, Write};

use jpeg_scaled::{Decoder, Limits};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (scales, path) = line.split_once('\t').ok_or("two fields are needed")?;
        let scales: Vec<u8> = scales.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let mut decoder = Decoder::new(File::open(path)?, Limits::default());
        decoder.read_header()?;
        let planes = decoder.decode(&scales)?.planes;
        let sizes: Vec<String> = planes.iter().map(|plane| format!("{} {}", plane.width, plane.height)).collect();
        writeln!(out, "{}", sizes.join(" "))?;
        for plane in &planes {
            for row in plane.samples.chunks_exact(plane.stride) {
                out.write_all(&row[..plane.width as usize])?;
            }
        }
        out.flush()?;
    }
    Ok(())
}
