//! Marker codes, the second byte of each marker (ITU-T T.81, table B.1).

use std::ops::RangeInclusive;

pub const TEM: u8 = 0x01;
/// Baseline DCT.
pub const SOF0: u8 = 0xC0;
/// Extended sequential DCT.
pub const SOF1: u8 = 0xC1;
/// Progressive DCT.
pub const SOF2: u8 = 0xC2;
/// Lossless.
pub const SOF3: u8 = 0xC3;
pub const DHT: u8 = 0xC4;
/// Differential (hierarchical) frames.
pub const SOF5: u8 = 0xC5;
pub const SOF7: u8 = 0xC7;
/// Arithmetic coding; SOF13 to SOF15 are differential.
pub const SOF9: u8 = 0xC9;
pub const SOF10: u8 = 0xCA;
pub const DAC: u8 = 0xCC;
pub const SOF13: u8 = 0xCD;
pub const SOF15: u8 = 0xCF;
pub const RST0: u8 = 0xD0;
pub const RST7: u8 = 0xD7;
pub const SOI: u8 = 0xD8;
pub const EOI: u8 = 0xD9;
pub const SOS: u8 = 0xDA;
pub const DQT: u8 = 0xDB;
pub const DNL: u8 = 0xDC;
pub const DRI: u8 = 0xDD;
pub const DHP: u8 = 0xDE;
pub const EXP: u8 = 0xDF;
/// JFIF.
pub const APP0: u8 = 0xE0;
/// Exif.
pub const APP1: u8 = 0xE1;
/// ICC profiles.
pub const APP2: u8 = 0xE2;
/// Adobe.
pub const APP14: u8 = 0xEE;
pub const APP15: u8 = 0xEF;

/// Restart markers, which repeat in this order.
pub const RST: RangeInclusive<u8> = RST0..=RST7;
