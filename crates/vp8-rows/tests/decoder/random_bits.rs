//! Random bits are a valid frame. They reach every mode, probability, segment and filter, and values
//! that no encoder writes.

use vp8_rows::{Decoder, Error};

use crate::support::{Random, compare, ours};

/// The uncompressed data chunk (RFC 6386, section 9.1).
fn start(width: u32, height: u32, first: usize, version: u32) -> Vec<u8> {
    let tag = (first as u32) << 5 | 1 << 4 | version << 1;
    let mut bytes = tag.to_le_bytes()[..3].to_vec();
    bytes.extend_from_slice(&[0x9D, 0x01, 0x2A]);
    bytes.extend_from_slice(&(width as u16).to_le_bytes());
    bytes.extend_from_slice(&(height as u16).to_le_bytes());
    bytes
}

/// A partition of random bits, or with long runs.
fn bits(random: &mut Random, length: usize) -> Vec<u8> {
    let kind = random.below(4);
    let mut run = 0;
    (0..length)
        .map(|_| match kind {
            0 | 1 => random.byte(),
            2 => random.byte() & random.byte() & random.byte(),
            _ => {
                if random.below(20) == 0 {
                    run = random.byte();
                }
                run
            }
        })
        .collect()
}

fn picture(random: &mut Random, width: u32, height: u32) -> Vec<u8> {
    let macroblocks = (width.div_ceil(16) * height.div_ceil(16)) as usize;
    let first = bits(random, 150 + macroblocks * 14);
    let mut chunk = start(width, height, first.len(), random.below(4));
    chunk.extend_from_slice(&first);
    // Sizes for eight partitions; if there are fewer, the rest is data.
    let each = macroblocks * (20 + random.below(400) as usize) + 50;
    for _ in 0..7 {
        chunk.extend_from_slice(&(each as u32).to_le_bytes()[..3]);
    }
    chunk.extend(bits(random, each * 8));
    chunk
}

#[test]
fn random_bits_match_libwebp() {
    let mut random = Random(11);
    let mut decoded = 0;
    for index in 0..600 {
        let (width, height) = (1 + random.below(80), 1 + random.below(80));
        let chunk = picture(&mut random, width, height);
        decoded += usize::from(compare(&chunk, &format!("picture {index}, {width} x {height}")));
    }
    assert!(decoded > 300, "{decoded} of 600");
}

#[test]
fn invalid_headers_return_specific_errors() {
    let sound = start(8, 8, 0, 0);
    let error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut chunk = sound.clone();
        change(&mut chunk);
        chunk.extend_from_slice(&[0; 200]);
        Decoder::new(&chunk).err()
    };
    assert_eq!(error(&|_| ()), Some(Error::Truncated));
    assert_eq!(error(&|chunk| chunk[0] |= 1), Some(Error::Corrupt("not a key frame")));
    assert_eq!(error(&|chunk| chunk[3] = 0), Some(Error::Corrupt("missing start code")));
    assert_eq!(error(&|chunk| chunk[0] |= 4 << 1), Some(Error::Corrupt("unknown version")));
    assert_eq!(error(&|chunk| chunk[0] &= !(1 << 4)), Some(Error::Unsupported("a frame that is not shown")));
    assert_eq!(error(&|chunk| chunk[6] = 0), Some(Error::Corrupt("the width or height is 0")));
    assert_eq!(error(&|chunk| chunk[8] = 0), Some(Error::Corrupt("the width or height is 0")));
    assert!(matches!(ours(&sound[..9]), Err(Error::Truncated)));
}

#[test]
fn empty_partition_is_truncated_even_if_all_macroblocks_are_skipped() {
    let mut random = Random(13);
    let mut decoded = 0;
    for index in 0..400 {
        let mut chunk = picture(&mut random, 17, 9);
        // Partition sizes follow the first partition.
        let first = usize::from(chunk[1]) << 3 | usize::from(chunk[0] >> 5);
        let end = chunk.len();
        chunk[10 + first..end].fill(if index % 2 == 0 { 0 } else { 1 });
        decoded += usize::from(compare(&chunk, &format!("picture {index}")));
    }
    assert!(decoded > 100, "{decoded}");
}

#[test]
fn scaling_hint_is_ignored() {
    let mut random = Random(12);
    let mut chunk = picture(&mut random, 20, 20);
    let plain = ours(&chunk).expect("a picture");
    chunk[7] |= 0x40;
    chunk[9] |= 0xC0;
    assert_eq!(ours(&chunk).expect("a picture"), plain);
}
