//! Marker segments: everything in a file that is not entropy-coded.

use std::io::Read;

use crate::error::{Error, Result};
use crate::huffman::Code;
use crate::input::Input;
use crate::{Colour, Component, Limits};

/// Segments before the first scan; cameras write some dozens, profiles at most 255.
const MAX_SEGMENTS: u32 = 1000;

/// What the segments read so far have said.
pub(crate) struct Tables {
    /// Quantisers in the order of the file.
    pub(crate) quantisers: [Option<[u16; 64]>; 4],
    pub(crate) dc: [Option<Code>; 4],
    pub(crate) ac: [Option<Code>; 4],
    /// Counts the definitions, to tell whether what was built of them still holds.
    pub(crate) definitions: u32,
    pub(crate) restart_interval: u32,
    pub(crate) frame: Option<Frame>,
    pub(crate) exif: Option<Vec<u8>>,
    profile: Vec<(u8, Vec<u8>)>,
    profile_bytes: usize,
    profile_parts: u8,
    pub(crate) adobe: Option<u8>,
    jfif: bool,
    segments: u32,
}

pub(crate) struct Frame {
    pub(crate) progressive: bool,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) components: Vec<Component>,
}

/// The header of a scan.
pub(crate) struct Scan {
    /// Index of the component, of its DC and its AC table.
    pub(crate) parts: Vec<(usize, usize, usize)>,
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) high: u32,
    pub(crate) low: u32,
}

/// What ended a run of segments.
pub(crate) enum Next {
    Scan(Scan),
    EndOfImage,
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self {
            quantisers: [None; 4],
            dc: [None, None, None, None],
            ac: [None, None, None, None],
            definitions: 0,
            restart_interval: 0,
            frame: None,
            exif: None,
            profile: Vec::new(),
            profile_bytes: 0,
            profile_parts: 0,
            adobe: None,
            jfif: false,
            segments: 0,
        }
    }

    /// Reads segments up to and with the next scan header or the end of the image. `marker` is one
    /// that was read already.
    pub(crate) fn read<R: Read>(
        &mut self,
        input: &mut Input<R>,
        mut marker: Option<u8>,
        limits: &Limits,
    ) -> Result<Next> {
        loop {
            let code = match marker.take() {
                Some(code) => code,
                None => input.marker()?,
            };
            self.segments += 1;
            if self.segments > MAX_SEGMENTS {
                return Err(Error::Limit("segments"));
            }
            match code {
                0xC0..=0xC2 => self.frame(input, code)?,
                0xC3 => return Err(Error::Unsupported("lossless JPEG")),
                0xC5..=0xC7 | 0xDE | 0xDF => return Err(Error::Unsupported("hierarchical JPEG")),
                0xC9..=0xCC => return Err(Error::Unsupported("arithmetic coding")),
                0xCD..=0xCF => return Err(Error::Unsupported("hierarchical arithmetic coding")),
                0xC4 => self.huffman(input)?,
                0xDB => self.quantisers(input)?,
                0xDD => {
                    segment(input, 2)?;
                    self.restart_interval = u32::from(input.u16()?);
                }
                0xDA => return Ok(Next::Scan(self.scan(input)?)),
                0xD9 => return Ok(Next::EndOfImage),
                0xDC => return Err(Error::Unsupported("a height given after the picture (DNL)")),
                0xE0..=0xEF => self.application(input, code, limits)?,
                // Markers alone: restarts out of place, start of image, temporary.
                0xD0..=0xD8 | 0x01 => {}
                _ => {
                    let length = segment(input, 0)?;
                    input.bytes(length, |_| {})?;
                }
            }
        }
    }

    fn frame<R: Read>(&mut self, input: &mut Input<R>, code: u8) -> Result<()> {
        if self.frame.is_some() {
            return Err(Error::Corrupt("a second frame"));
        }
        let length = segment(input, 6)?;
        let precision = input.byte()?;
        let height = u32::from(input.u16()?);
        let width = u32::from(input.u16()?);
        let count = usize::from(input.byte()?);
        match precision {
            8 => {}
            12 => return Err(Error::Unsupported("12-bit JPEG")),
            _ => return Err(Error::Corrupt("a precision that no JPEG has")),
        }
        if height == 0 {
            return Err(Error::Unsupported("a height given after the picture (DNL)"));
        }
        if width == 0 || length != 6 + 3 * count {
            return Err(Error::Corrupt("a frame header that makes no sense"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(Error::Unsupported("a number of colour components other than 1, 3 and 4"));
        }
        let mut components = Vec::with_capacity(count);
        for _ in 0..count {
            let id = input.byte()?;
            let sampling = input.byte()?;
            let (horizontal, vertical) = (sampling >> 4, sampling & 15);
            let table = input.byte()?;
            if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || table > 3 {
                return Err(Error::Corrupt("a component that makes no sense"));
            }
            if components.iter().any(|other: &Component| other.id == id) {
                return Err(Error::Corrupt("two components of one name"));
            }
            components.push(Component { id, horizontal, vertical, table });
        }
        // A single component is never interleaved, so its sampling says nothing.
        if let [only] = &mut components[..] {
            only.horizontal = 1;
            only.vertical = 1;
        }
        self.frame = Some(Frame { progressive: code == 0xC2, width, height, components });
        Ok(())
    }

    fn huffman<R: Read>(&mut self, input: &mut Input<R>) -> Result<()> {
        let mut left = segment(input, 0)?;
        while left > 0 {
            let kind = input.byte()?;
            let mut counts = [0; 16];
            let mut filled = 0;
            input.bytes(16, |part| {
                counts[filled..filled + part.len()].copy_from_slice(part);
                filled += part.len();
            })?;
            let total: usize = counts.iter().map(|&count| usize::from(count)).sum();
            if total > 256 || left < 17 + total || kind & 0xEC != 0 {
                return Err(Error::Corrupt("a Huffman table that makes no sense"));
            }
            left -= 17 + total;
            let mut symbols = Vec::with_capacity(total);
            input.bytes(total, |part| symbols.extend_from_slice(part))?;
            let table = if kind & 0x10 == 0 { &mut self.dc } else { &mut self.ac };
            table[usize::from(kind & 3)] = Some(Code { counts, symbols });
            self.definitions += 1;
        }
        Ok(())
    }

    fn quantisers<R: Read>(&mut self, input: &mut Input<R>) -> Result<()> {
        let mut left = segment(input, 0)?;
        while left > 0 {
            let kind = input.byte()?;
            let wide = kind >> 4 == 1;
            let size = if wide { 129 } else { 65 };
            if left < size || kind & 0xEC != 0 {
                return Err(Error::Corrupt("a quantisation table that makes no sense"));
            }
            left -= size;
            let mut table = [0; 64];
            for entry in &mut table {
                *entry = if wide { input.u16()? } else { u16::from(input.byte()?) };
            }
            self.quantisers[usize::from(kind & 3)] = Some(table);
            self.definitions += 1;
        }
        Ok(())
    }

    fn application<R: Read>(&mut self, input: &mut Input<R>, code: u8, limits: &Limits) -> Result<()> {
        let length = segment(input, 0)?;
        let wanted = matches!(code, 0xE0..=0xE2 | 0xEE);
        let mut payload = Vec::new();
        input.bytes(length, |part| {
            if wanted {
                payload.extend_from_slice(part);
            }
        })?;
        match code {
            0xE0 => self.jfif |= payload.starts_with(b"JFIF\0"),
            0xE1 if self.exif.is_none() => {
                if let Some(exif) = payload.strip_prefix(b"Exif\0\0") {
                    self.exif = Some(exif.to_vec());
                }
            }
            0xE2 => {
                if let Some([number, parts, rest @ ..]) = payload.strip_prefix(b"ICC_PROFILE\0") {
                    self.profile_bytes += rest.len();
                    if self.profile_bytes > limits.max_profile_bytes {
                        return Err(Error::Limit("bytes of colour profile"));
                    }
                    self.profile_parts = *parts;
                    self.profile.push((*number, rest.to_vec()));
                }
            }
            0xEE if payload.starts_with(b"Adobe") => self.adobe = payload.get(11).copied(),
            _ => {}
        }
        Ok(())
    }

    fn scan<R: Read>(&self, input: &mut Input<R>) -> Result<Scan> {
        let frame = self.frame.as_ref().ok_or(Error::Corrupt("a scan before the frame"))?;
        let length = segment(input, 4)?;
        let count = usize::from(input.byte()?);
        if !(1..=4).contains(&count) || length != 4 + 2 * count {
            return Err(Error::Corrupt("a scan header that makes no sense"));
        }
        let mut parts: Vec<(usize, usize, usize)> = Vec::with_capacity(count);
        for _ in 0..count {
            let id = input.byte()?;
            let tables = input.byte()?;
            let index = frame
                .components
                .iter()
                .position(|component| component.id == id)
                .ok_or(Error::Corrupt("a scan of a component that the frame does not have"))?;
            if parts.iter().any(|&(other, ..)| other == index) {
                return Err(Error::Corrupt("a scan that names a component twice"));
            }
            parts.push((index, usize::from(tables >> 4 & 3), usize::from(tables & 3)));
        }
        let (start, end) = (u32::from(input.byte()?), u32::from(input.byte()?));
        let approximation = input.byte()?;
        let scan = Scan { parts, start, end, high: u32::from(approximation >> 4), low: u32::from(approximation & 15) };
        // At most ten blocks make an MCU (ITU-T T.81, B.2.3); more would be an unusual stride only,
        // but no encoder writes them.
        let blocks: u32 = scan
            .parts
            .iter()
            .map(|&(index, ..)| {
                let component = &frame.components[index];
                u32::from(component.horizontal) * u32::from(component.vertical)
            })
            .sum();
        if count > 1 && blocks > 16 {
            return Err(Error::Corrupt("a scan with too many blocks in an MCU"));
        }
        if frame.progressive {
            let dc = scan.start == 0;
            if scan.end > 63
                || scan.start > scan.end
                || dc && scan.end != 0
                || !dc && scan.parts.len() != 1
                || scan.low > 13
                || scan.high != 0 && scan.high != scan.low + 1
            {
                return Err(Error::Corrupt("a progressive scan that makes no sense"));
            }
        }
        Ok(scan)
    }

    /// What the samples mean (ITU-T T.872, section 6; and what encoders do without its markers).
    pub(crate) fn colour(&self) -> Colour {
        let components = self.frame.as_ref().map_or(&[][..], |frame| &frame.components);
        match (components.len(), self.adobe) {
            (1, _) => Colour::Grey,
            (3, Some(0)) => Colour::Rgb,
            (3, Some(_)) => Colour::YCbCr,
            (3, None) => {
                let named_rgb = components.iter().map(|component| component.id).eq(*b"RGB");
                if named_rgb && !self.jfif { Colour::Rgb } else { Colour::YCbCr }
            }
            (_, Some(2)) => Colour::Ycck,
            _ => Colour::Cmyk,
        }
    }

    /// The colour profile, if every part of it came.
    pub(crate) fn take_profile(&mut self) -> Option<Vec<u8>> {
        let mut parts = std::mem::take(&mut self.profile);
        parts.sort_by_key(|&(number, _)| number);
        let complete = parts.iter().map(|&(number, _)| number).eq(1..=self.profile_parts);
        (complete && !parts.is_empty()).then(|| parts.into_iter().flat_map(|(_, part)| part).collect())
    }
}

/// The length of a segment's payload, at least `least`.
fn segment<R: Read>(input: &mut Input<R>, least: usize) -> Result<usize> {
    usize::from(input.u16()?)
        .checked_sub(2)
        .filter(|&length| length >= least)
        .ok_or(Error::Corrupt("a segment that is too short"))
}
