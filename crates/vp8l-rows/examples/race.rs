//! Compares the CPU time of this decoder and of libwebp in interleaved rounds. Arguments: rounds, then
//! files whose first chunk is `VP8L`. Prints for each file the medians in milliseconds and their ratio.

use std::error::Error;
use std::fs;

use vp8l_rows::{Decoder, Limits};

/// CPU time of this thread in nanoseconds.
fn spent() -> Result<u64, Box<dyn Error>> {
    let times = fs::read_to_string("/proc/self/schedstat")?;
    Ok(times.split_whitespace().next().ok_or("no time")?.parse()?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().ok_or("how many rounds?")?.parse()?;
    for path in arguments {
        let file = fs::read(&path)?;
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            let before = spent()?;
            let mut decoder = Decoder::new(&file[20..], Limits::default())?;
            let mut sum = 0_u64;
            let mut rows = Vec::new();
            while let Some(row) = decoder.next_row()? {
                sum += u64::from(row[0]);
                if round == 0 {
                    rows.extend_from_slice(row);
                }
            }
            std::hint::black_box(sum);
            let between = spent()?;
            let config = webpx::DecoderConfig::new().limits(webpx::Limits::none());
            let theirs = webpx::Decoder::new(&file)?.config(config).decode_rgba_raw()?.0;
            let after = spent()?;
            if round == 0 {
                assert!(theirs == rows, "{path} differs");
            } else {
                times[0].push(between - before);
                times[1].push(after - between);
            }
        }
        let [ours, theirs] = times.map(|mut times| {
            times.sort_unstable();
            times.get(times.len() / 2).map_or(0.0, |&time| time as f64 / 1e6)
        });
        println!("{ours:8.1} {theirs:8.1} {:5.2} {path}", ours / theirs);
    }
    Ok(())
}
