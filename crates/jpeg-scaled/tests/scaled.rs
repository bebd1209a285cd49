//! Compares the decoder with the formula of the scaled transform, on files with known coefficients.

mod support;

use jpeg_scaled::{Decoder, Error, Image, Limits, marker};
use support::{File, Numbers, scan};

fn decode(file: &[u8], scales: &[u8]) -> Result<Image, Error> {
    let mut decoder = Decoder::new(file, Limits::default());
    decoder.read_header()?;
    decoder.decode(scales)
}

/// The zigzag sequence, computed independently of the crate.
fn zigzag() -> Vec<(usize, usize)> {
    let mut order: Vec<(usize, usize)> = (0..64).map(|index| (index / 8, index % 8)).collect();
    order.sort_by_key(|&(row, column)| {
        let diagonal = row + column;
        (diagonal, if diagonal % 2 == 0 { column } else { row })
    });
    order
}

/// A sample by the formula of the `idct` module, not rounded.
fn sample(
    block: &[i32; 64],
    quantisers: &[u16; 64],
    order: &[(usize, usize)],
    scale: usize,
    (x, y): (usize, usize),
) -> f64 {
    let mut sum = 0.0;
    for (index, &(v, u)) in order.iter().enumerate() {
        if u >= scale || v >= scale || block[index] == 0 {
            continue;
        }
        let normal = |index: usize| if index == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let cosine = |place: usize, index: usize| {
            ((2 * place + 1) as f64 * index as f64 * std::f64::consts::PI / (2 * scale) as f64).cos()
        };
        let value = f64::from(block[index]) * f64::from(quantisers[index]);
        sum += 0.25 * normal(u) * normal(v) * value * cosine(x, u) * cosine(y, v);
    }
    (sum + 128.0).clamp(0.0, 255.0)
}

/// Checks that every sample is the rounded result of the formula; halves may round either way.
#[track_caller]
fn check(file: &File, scale: u8) {
    let bytes = file.write();
    let scales = vec![scale; file.sampling.len()];
    let picture = decode(&bytes, &scales)
        .unwrap_or_else(|error| panic!("{}x{} {:?} at {scale}: {error}", file.width, file.height, file.sampling));
    assert_eq!(picture.damaged_intervals, 0);
    let order = zigzag();
    let scale = usize::from(scale);
    for (component, plane) in picture.planes.iter().enumerate() {
        let size = file.size(component, scale);
        assert_eq!((plane.width as usize, plane.height as usize), size);
        let stride = file.stride(component).0;
        for (index, &level) in plane.samples.iter().enumerate() {
            let (x, y) = (index % plane.stride, index / plane.stride);
            if x >= size.0 {
                continue;
            }
            let block = &file.coefficients[component][y / scale * stride + x / scale];
            let exact = sample(block, &file.quantisers, &order, scale, (x % scale, y % scale));
            assert!((exact - f64::from(level)).abs() < 0.505, "component {component}, {x},{y}: {level} for {exact}");
        }
    }
}

const SAMPLINGS: [&[(usize, usize)]; 10] = [
    &[(1, 1)],
    &[(1, 1), (1, 1), (1, 1)],
    &[(2, 2), (1, 1), (1, 1)],
    &[(2, 1), (1, 1), (1, 1)],
    &[(1, 2), (1, 1), (1, 1)],
    &[(4, 1), (1, 1), (1, 1)],
    &[(2, 2), (2, 1), (1, 2)],
    &[(3, 1), (1, 1), (2, 1)],
    &[(1, 1), (2, 2), (1, 1)],
    &[(2, 1), (1, 1), (1, 1), (2, 1)],
];

#[test]
fn samples_match_formula_at_every_size_sampling_and_scale() {
    let mut numbers = Numbers(1);
    for width in 1..=40 {
        let height = 1 + numbers.below(40) as usize;
        let sampling = SAMPLINGS[width % SAMPLINGS.len()];
        let quantiser = [1, 2, 5, 16, 60][numbers.below(5) as usize];
        for scale in 1..=8 {
            let size = if scale % 2 == 0 { (width, height) } else { (height, width) };
            let file = File::noise(&mut numbers, size, sampling, quantiser);
            check(&file, scale);
            check(&file.into_progressive(), scale);
        }
    }
}

#[test]
fn restart_intervals_do_not_change_samples() {
    let mut numbers = Numbers(2);
    for interval in [1, 2, 3, 7, 100] {
        for sampling in SAMPLINGS {
            let mut file = File::noise(&mut numbers, (61, 35), sampling, 4);
            file.restart_interval = interval;
            for scale in [1, 3, 8] {
                check(&file, scale);
            }
            let file = file.into_progressive();
            for scale in [1, 3, 8] {
                check(&file, scale);
            }
        }
    }
}

/// A row of MCUs is decoded in batches: of 8 MCUs, or of 64 blocks of a single component.
#[test]
fn rows_of_several_batches_match_formula() {
    let mut numbers = Numbers(12);
    for sampling in SAMPLINGS {
        for interval in [0, 3, 8, 70] {
            let mut file = File::noise(&mut numbers, (541, 17), sampling, 4);
            file.restart_interval = interval;
            for scale in [1, 2, 5] {
                check(&file, scale);
            }
        }
    }
}

#[test]
fn single_component_scans_are_decoded() {
    let mut numbers = Numbers(3);
    for sampling in SAMPLINGS {
        let mut file = File::noise(&mut numbers, (45, 29), sampling, 3);
        file.scans = (0..sampling.len()).rev().map(|component| scan(&[component], 0, 63, 0, 0)).collect();
        for scale in 1..=8 {
            check(&file, scale);
        }
    }
}

#[test]
fn progressive_scripts_match_formula() {
    let mut numbers = Numbers(4);
    let sampling: &[(usize, usize)] = &[(2, 2), (1, 1), (1, 1)];
    let scripts = [
        // Spectral selection only.
        vec![
            scan(&[0, 1, 2], 0, 0, 0, 0),
            scan(&[0], 1, 2, 0, 0),
            scan(&[0], 3, 9, 0, 0),
            scan(&[0], 10, 63, 0, 0),
            scan(&[1], 1, 63, 0, 0),
            scan(&[2], 1, 63, 0, 0),
        ],
        // Bit by bit, with bands refined separately and together.
        vec![
            scan(&[0], 0, 0, 0, 3),
            scan(&[1], 0, 0, 0, 0),
            scan(&[2], 0, 0, 0, 0),
            scan(&[0], 0, 0, 3, 2),
            scan(&[0], 0, 0, 2, 1),
            scan(&[0], 0, 0, 1, 0),
            scan(&[0], 1, 5, 0, 3),
            scan(&[0], 6, 63, 0, 3),
            scan(&[0], 1, 63, 3, 2),
            scan(&[0], 1, 20, 2, 1),
            scan(&[0], 21, 63, 2, 1),
            scan(&[0], 1, 63, 1, 0),
            scan(&[1], 1, 63, 0, 0),
            scan(&[2], 1, 63, 0, 1),
            scan(&[2], 1, 63, 1, 0),
        ],
    ];
    for script in scripts {
        let mut file = File::noise(&mut numbers, (50, 70), sampling, 2);
        file.progressive = true;
        file.scans = script;
        for scale in 1..=8 {
            check(&file, scale);
        }
    }
}

/// Rows of samples of a plane of `image` that are complete, at a scale.
fn complete(image: &Image, component: usize, file: &File, scale: u8) -> usize {
    if image.complete_rows as usize == file.height {
        return image.planes[component].height as usize;
    }
    let most = file.sampling.iter().map(|&(_, vertical)| vertical).max().unwrap();
    image.complete_rows as usize * file.sampling[component].1 * usize::from(scale) / (8 * most)
}

#[test]
fn truncated_file_has_its_complete_rows_or_fails() {
    let mut numbers = Numbers(5);
    let sequential = File::noise(&mut numbers, (40, 60), &[(2, 2), (1, 1), (1, 1)], 3);
    let mut restarts = sequential.clone();
    restarts.restart_interval = 2;
    let mut separate = sequential.clone();
    separate.scans = (0..3).map(|component| scan(&[component], 0, 63, 0, 0)).collect();
    let progressive = sequential.clone().into_progressive();
    for file in [sequential, restarts, separate, progressive] {
        let bytes = file.write();
        for scale in [1, 2, 8] {
            let decode = |bytes: &[u8]| {
                let mut decoder = Decoder::new(bytes, Limits { every_scan: true, ..Limits::default() });
                decoder.read_header()?;
                decoder.decode(&[scale; 3])
            };
            let whole = decode(&bytes).unwrap();
            assert_eq!(whole.complete_rows, 60);
            let mut before = 0;
            for end in 0..bytes.len() {
                // With EOI, a progressive file between two scans is complete.
                let closed = [&bytes[..end], &[0xFF, marker::EOI]].concat();
                for cut in [&bytes[..end], if file.progressive { &bytes[..end] } else { &closed }] {
                    match decode(cut) {
                        Ok(picture) => {
                            assert!(picture.complete_rows >= before, "cut at {end}");
                            before = picture.complete_rows;
                            for (component, (is, was)) in picture.planes.iter().zip(&whole.planes).enumerate() {
                                let rows = complete(&picture, component, &file, scale);
                                let good = was.stride * rows;
                                assert_eq!(is.samples[..good], was.samples[..good], "cut at {end}");
                                for row in is.samples[good..].chunks(is.stride) {
                                    assert_eq!(row, &is.samples[good - is.stride..good], "cut at {end}");
                                }
                            }
                        }
                        Err(Error::Truncated | Error::Corrupt(_)) => assert_eq!(before, 0, "cut at {end}"),
                        Err(error) => panic!("cut at {end}: {error}"),
                    }
                }
            }
            // The image does not need EOI; data after it is ignored.
            assert_eq!(decode(&bytes[..bytes.len() - 2]).unwrap(), whole);
            let followed = [&bytes[..], b"\xFF\xD8 and more"].concat();
            assert_eq!(decode(&followed).unwrap(), whole);
        }
    }
}

#[test]
fn file_that_ends_in_a_scan_that_is_not_decoded_needs_every_scan() {
    let mut numbers = Numbers(9);
    let file = File::noise(&mut numbers, (64, 64), &[(1, 1)], 3).into_progressive();
    let bytes = file.write();
    let decode = |limits: Limits| {
        let mut decoder = Decoder::new(&bytes[..bytes.len() - 2], limits);
        decoder.read_header().unwrap();
        decoder.decode(&[1])
    };
    assert!(matches!(decode(Limits::default()), Err(Error::Truncated)));
    assert_eq!(decode(Limits { every_scan: true, ..Limits::default() }).unwrap().complete_rows, 64);
}

#[test]
fn bytes_before_restart_markers_are_skipped() {
    let mut numbers = Numbers(10);
    let mut file = File::noise(&mut numbers, (200, 40), &[(2, 1), (1, 1), (1, 1)], 3);
    file.restart_interval = 3;
    let bytes = file.write();
    let whole = decode(&bytes, &[8; 3]).unwrap();
    for count in [1, 9, 100, 40_000] {
        let mut longer = Vec::new();
        for (at, &byte) in bytes.iter().enumerate() {
            if byte == 0xFF && bytes.get(at + 1).is_some_and(|code| marker::RST.contains(code)) {
                longer.extend((0..count).map(|_| numbers.below(255) as u8));
            }
            longer.push(byte);
        }
        assert_eq!(decode(&longer, &[8; 3]).unwrap(), whole);
    }
}

#[test]
fn dnl_segment_with_the_known_height_is_ignored() {
    let mut numbers = Numbers(11);
    let mut file = File::noise(&mut numbers, (40, 30), &[(1, 1), (1, 1), (1, 1)], 3);
    file.scans = (0..3).map(|component| scan(&[component], 0, 63, 0, 0)).collect();
    let bytes = file.write();
    let dnl = [0xFF, marker::DNL, 0, 4, 0, 30];
    let scans: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&[0xFF, marker::SOS])).collect();
    for at in scans {
        let changed = [&bytes[..at], &dnl, &bytes[at..]].concat();
        assert_eq!(decode(&changed, &[8; 3]).unwrap(), decode(&bytes, &[8; 3]).unwrap());
    }
}

/// Where the restart markers of a file are.
fn restart_markers(bytes: &[u8]) -> Vec<usize> {
    (0..bytes.len() - 1).filter(|&at| bytes[at] == 0xFF && marker::RST.contains(&bytes[at + 1])).collect()
}

#[test]
fn damage_is_confined_to_restart_intervals() {
    let mut numbers = Numbers(6);
    let mut file = File::noise(&mut numbers, (256, 16), &[(1, 1)], 3);
    file.restart_interval = 4;
    let bytes = file.write();
    let whole = decode(&bytes, &[8]).unwrap();
    let markers = restart_markers(&bytes);
    assert_eq!(markers.len(), 15);

    // A missing marker: two intervals become one that is too long.
    let mut lost = bytes.clone();
    lost.drain(markers[5]..markers[5] + 2);
    // An interval without data.
    let mut empty = bytes.clone();
    empty.drain(markers[3] + 2..markers[4]);
    for (damaged, first, last) in [(lost, 5, 6), (empty, 4, 4)] {
        let picture = decode(&damaged, &[8]).unwrap();
        assert!((1..=3).contains(&picture.damaged_intervals));
        for (index, (was, is)) in (whole.planes[0].samples.iter()).zip(&picture.planes[0].samples).enumerate() {
            let block = index / 256 / 8 * 32 + index % 256 / 8;
            if !(first..=last).contains(&(block / 4)) {
                assert_eq!(was, is, "block {block}");
            }
        }
    }
}

#[test]
fn damage_is_confined_to_mcus_of_its_interval() {
    let mut numbers = Numbers(13);
    // 20 MCUs in a row, 5 in an interval.
    let mut file = File::noise(&mut numbers, (320, 32), &[(2, 2), (1, 1), (1, 1)], 3);
    file.restart_interval = 5;
    let bytes = file.write();
    let whole = decode(&bytes, &[8, 4, 4]).unwrap();
    let markers = restart_markers(&bytes);
    for interval in 1..7 {
        // Half of the data of an interval is missing: the MCUs before the cut are complete, those after it are gray.
        let (start, end) = (markers[interval - 1] + 2, markers[interval]);
        let mut damaged = bytes.clone();
        damaged.drain((start + end) / 2..end);
        let picture = decode(&damaged, &[8, 4, 4]).unwrap();
        assert_eq!(picture.damaged_intervals, 1);
        for (component, side) in [(0, 16), (1, 4), (2, 4)] {
            let stride = whole.planes[component].stride;
            let samples = |image: &Image, mcu: usize| -> Vec<u8> {
                let corner = mcu / 20 * side * stride + mcu % 20 * side;
                (0..side)
                    .flat_map(|y| image.planes[component].samples[corner + y * stride..][..side].to_vec())
                    .collect()
            };
            let same = |mcu: usize| samples(&picture, mcu) == samples(&whole, mcu);
            let gray = |mcu: usize| samples(&picture, mcu).iter().all(|&sample| sample == 128);
            let first = 5 * interval;
            assert!((0..first).chain(first + 5..40).all(same), "interval {interval}");
            assert!(same(first) && gray(first + 4), "interval {interval}");
            let good = (first..first + 5).take_while(|&mcu| same(mcu)).count();
            // In the MCU of the cut, bits are missing.
            assert!((first + good + 1..first + 5).all(gray), "interval {interval}");
        }
    }
}

#[test]
fn limits_apply() {
    let mut numbers = Numbers(7);
    let file = File::noise(&mut numbers, (64, 64), &[(1, 1), (1, 1), (1, 1)], 3);
    let with = |bytes: &[u8], limits: Limits| {
        let mut decoder = Decoder::new(bytes, limits);
        decoder.read_header().unwrap();
        decoder.decode(&[8; 3])
    };
    let sequential = file.write();
    let memory = Limits { max_memory: 3 * 64 * 64, ..Limits::default() };
    assert!(with(&sequential, memory).is_ok());
    let memory = Limits { max_memory: 3 * 64 * 64 - 1, ..Limits::default() };
    assert!(matches!(with(&sequential, memory), Err(Error::Limit(_))));
    let progressive = file.into_progressive().write();
    let scans = Limits { max_scans: 13, ..Limits::default() };
    assert!(matches!(with(&progressive, scans), Err(Error::Limit("scans"))));
    let deadline = Limits { deadline: Some(std::time::Instant::now()), ..Limits::default() };
    assert!(matches!(with(&sequential, deadline), Err(Error::Deadline)));
}

#[test]
fn unsupported_features_are_named() {
    let mut numbers = Numbers(8);
    let bytes = File::noise(&mut numbers, (8, 8), &[(1, 1)], 3).write();
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, marker::SOF1]).unwrap();
    for (code, name) in [
        (marker::SOF3, "lossless"),
        (marker::SOF5, "hierarchical"),
        (marker::SOF9, "arithmetic"),
        (marker::SOF10, "arithmetic"),
    ] {
        let mut changed = bytes.clone();
        changed[frame + 1] = code;
        let error = decode(&changed, &[8]).unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)) && error.to_string().contains(name));
    }
    let mut deep = bytes.clone();
    deep[frame + 4] = 12;
    assert!(decode(&deep, &[8]).unwrap_err().to_string().contains("12-bit"));
}
