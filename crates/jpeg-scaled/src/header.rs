//! Marker segments (ITU-T T.81, section B.2).

use crate::error::{Error, Result};
use crate::huffman::HuffmanSpec;
use crate::input::Input;
use crate::{Colour, Component, EXIF_SIGNATURE, Limits, XMP_SIGNATURE, marker};

/// The most segments of a file; cameras write some dozens, ICC profiles at most 255.
const MAX_SEGMENTS: u32 = 1000;

const EXTENDED_XMP_SIGNATURE: &[u8] = b"http://ns.adobe.com/xmp/extension/\0";

/// The contents of the segments read so far.
pub(crate) struct DecoderTables {
    /// Quantization tables in zigzag order (section B.2.4.1).
    pub(crate) quantization: [Option<[u16; 64]>; 4],
    pub(crate) dc: [Option<HuffmanSpec>; 4],
    pub(crate) ac: [Option<HuffmanSpec>; 4],
    /// Number of tables defined so far.
    pub(crate) definitions: u32,
    pub(crate) restart_interval: u32,
    pub(crate) frame: Option<Frame>,
    pub(crate) exif: Vec<Vec<u8>>,
    pub(crate) xmp: Vec<Vec<u8>>,
    /// GUID, position and bytes of each part of an extended XMP packet.
    extended_xmp: Vec<([u8; 32], u32, Vec<u8>)>,
    metadata_bytes: usize,
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

/// A scan header (section B.2.3).
pub(crate) struct Scan {
    pub(crate) components: Vec<ScanComponent>,
    /// Spectral selection (`Ss`, `Se`) and successive approximation (`Ah`, `Al`).
    pub(crate) ss: u32,
    pub(crate) se: u32,
    pub(crate) ah: u32,
    pub(crate) al: u32,
}

/// A component of a scan and its Huffman tables, by index.
#[derive(Clone, Copy)]
pub(crate) struct ScanComponent {
    pub(crate) component: usize,
    pub(crate) dc_table: usize,
    pub(crate) ac_table: usize,
}

/// The marker after a run of segments.
pub(crate) enum NextSegment {
    Scan(Scan),
    EndOfImage,
}

impl DecoderTables {
    pub(crate) fn new() -> Self {
        Self {
            quantization: [None; 4],
            dc: [None, None, None, None],
            ac: [None, None, None, None],
            definitions: 0,
            restart_interval: 0,
            frame: None,
            exif: Vec::new(),
            xmp: Vec::new(),
            extended_xmp: Vec::new(),
            metadata_bytes: 0,
            profile: Vec::new(),
            profile_bytes: 0,
            profile_parts: 0,
            adobe: None,
            jfif: false,
            segments: 0,
        }
    }

    /// Reads segments up to and including the next scan header or EOI. `pending` is a marker that was
    /// read already. A DNL segment is ignored: the frame has its height already.
    pub(crate) fn read(
        &mut self,
        input: &mut Input<'_>,
        mut pending: Option<u8>,
        limits: &Limits,
    ) -> Result<NextSegment> {
        loop {
            let code = match pending.take() {
                Some(code) => code,
                None => input.marker()?,
            };
            self.segments += 1;
            if self.segments > MAX_SEGMENTS {
                return Err(Error::Limit("segments"));
            }
            match code {
                marker::SOF0..=marker::SOF2 => self.read_frame_header(input, code)?,
                marker::SOF3 => return Err(Error::Unsupported("lossless JPEG")),
                marker::SOF5..=marker::SOF7 | marker::DHP | marker::EXP => {
                    return Err(Error::Unsupported("hierarchical JPEG"));
                }
                marker::SOF9..=marker::DAC => return Err(Error::Unsupported("arithmetic coding")),
                marker::SOF13..=marker::SOF15 => return Err(Error::Unsupported("hierarchical arithmetic coding")),
                marker::DHT => self.read_dht(input)?,
                marker::DQT => self.read_dqt(input)?,
                marker::DRI => {
                    segment_length(input, 2)?;
                    self.restart_interval = u32::from(input.u16()?);
                }
                marker::SOS => return Ok(NextSegment::Scan(self.read_scan_header(input)?)),
                marker::EOI => return Ok(NextSegment::EndOfImage),
                marker::APP0..=marker::APP15 => self.read_app(input, code, limits)?,
                // Markers without a segment.
                marker::RST0..=marker::RST7 | marker::SOI | marker::TEM => {}
                _ => {
                    let length = segment_length(input, 0)?;
                    input.bytes(length, |_| {})?;
                }
            }
        }
    }

    fn read_frame_header(&mut self, input: &mut Input<'_>, code: u8) -> Result<()> {
        if self.frame.is_some() {
            return Err(Error::Corrupt("a second frame"));
        }
        let length = segment_length(input, 6)?;
        let precision = input.byte()?;
        let height = u32::from(input.u16()?);
        let width = u32::from(input.u16()?);
        let count = usize::from(input.byte()?);
        match precision {
            8 => {}
            12 => return Err(Error::Unsupported("12-bit JPEG")),
            _ => return Err(Error::Corrupt("invalid sample precision")),
        }
        if height == 0 {
            return Err(Error::Unsupported("a height defined after the first scan (DNL)"));
        }
        if width == 0 || length != 6 + 3 * count {
            return Err(Error::Corrupt("invalid frame header"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(Error::Unsupported("a number of color components other than 1, 3 and 4"));
        }
        let mut components = Vec::with_capacity(count);
        for _ in 0..count {
            let id = input.byte()?;
            let sampling = input.byte()?;
            let (horizontal, vertical) = (sampling >> 4, sampling & 15);
            let table = input.byte()?;
            if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) || table > 3 {
                return Err(Error::Corrupt("invalid component"));
            }
            if components.iter().any(|other: &Component| other.id == id) {
                return Err(Error::Corrupt("two components with the same id"));
            }
            components.push(Component { id, horizontal, vertical, table });
        }
        // A single component is not interleaved, so its sampling factors have no effect (section A.2.2).
        if let [only] = &mut components[..] {
            only.horizontal = 1;
            only.vertical = 1;
        }
        self.frame = Some(Frame { progressive: code == marker::SOF2, width, height, components });
        Ok(())
    }

    fn read_dht(&mut self, input: &mut Input<'_>) -> Result<()> {
        let mut left = segment_length(input, 0)?;
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
                return Err(Error::Corrupt("invalid Huffman table"));
            }
            left -= 17 + total;
            let mut symbols = Vec::with_capacity(total);
            input.bytes(total, |part| symbols.extend_from_slice(part))?;
            let table = if kind & 0x10 == 0 { &mut self.dc } else { &mut self.ac };
            table[usize::from(kind & 3)] = Some(HuffmanSpec { bits: counts, huffval: symbols });
            self.definitions += 1;
        }
        Ok(())
    }

    fn read_dqt(&mut self, input: &mut Input<'_>) -> Result<()> {
        let mut left = segment_length(input, 0)?;
        while left > 0 {
            let kind = input.byte()?;
            let wide = kind >> 4 == 1;
            let size = if wide { 129 } else { 65 };
            if left < size || kind & 0xEC != 0 {
                return Err(Error::Corrupt("invalid quantization table"));
            }
            left -= size;
            let mut table = [0; 64];
            for entry in &mut table {
                *entry = if wide { input.u16()? } else { u16::from(input.byte()?) };
            }
            self.quantization[usize::from(kind & 3)] = Some(table);
            self.definitions += 1;
        }
        Ok(())
    }

    fn read_app(&mut self, input: &mut Input<'_>, code: u8, limits: &Limits) -> Result<()> {
        let length = segment_length(input, 0)?;
        let wanted = matches!(code, marker::APP0..=marker::APP2 | marker::APP14);
        let mut payload = Vec::new();
        input.bytes(length, |part| {
            if wanted {
                payload.extend_from_slice(part);
            }
        })?;
        match code {
            marker::APP0 => self.jfif |= payload.starts_with(b"JFIF\0"),
            marker::APP1 => self.add_metadata(payload, limits),
            marker::APP2 => {
                if let Some([number, parts, rest @ ..]) = payload.strip_prefix(b"ICC_PROFILE\0") {
                    self.profile_bytes += rest.len();
                    if self.profile_bytes > limits.max_profile_bytes {
                        return Err(Error::Limit("bytes of color profile"));
                    }
                    self.profile_parts = *parts;
                    self.profile.push((*number, rest.to_vec()));
                }
            }
            marker::APP14 if payload.starts_with(b"Adobe") => self.adobe = payload.get(11).copied(),
            _ => {}
        }
        Ok(())
    }

    /// Keeps the contents of an APP1 segment: Exif data (CIPA DC-008, section 4.7.2), XMP or a part of an extended XMP packet
    /// (Adobe's XMP specification, part 3, section 1.1.3).
    fn add_metadata(&mut self, payload: Vec<u8>, limits: &Limits) {
        if self.metadata_bytes + payload.len() > limits.max_metadata_bytes {
            return;
        }
        let kept = self.metadata_bytes + payload.len();
        if let Some(exif) = payload.strip_prefix(EXIF_SIGNATURE) {
            self.exif.push(exif.to_vec());
        } else if let Some(xmp) = payload.strip_prefix(XMP_SIGNATURE) {
            self.xmp.push(xmp.to_vec());
        } else if let Some(part) = payload.strip_prefix(EXTENDED_XMP_SIGNATURE)
            && let Some((&guid, rest)) = part.split_first_chunk::<32>()
            && let Some((&[_, _, _, _, offset @ ..], xmp)) = rest.split_first_chunk::<8>()
        {
            self.extended_xmp.push((guid, u32::from_be_bytes(offset), xmp.to_vec()));
        } else {
            return;
        }
        self.metadata_bytes = kept;
    }

    /// The XMP packets: those of whole segments, then the extended ones.
    pub(crate) fn take_xmp(&mut self) -> Vec<Vec<u8>> {
        let mut packets = std::mem::take(&mut self.xmp);
        let mut parts = std::mem::take(&mut self.extended_xmp);
        parts.sort_by_key(|&(guid, offset, _)| (guid, offset));
        packets.extend(parts.chunk_by(|(one, ..), (other, ..)| one == other).map(|parts| {
            let parts: Vec<&[u8]> = parts.iter().map(|(.., part)| &part[..]).collect();
            parts.concat()
        }));
        packets
    }

    fn read_scan_header(&self, input: &mut Input<'_>) -> Result<Scan> {
        let frame = self.frame.as_ref().ok_or(Error::Corrupt("a scan before the frame"))?;
        let length = segment_length(input, 4)?;
        let count = usize::from(input.byte()?);
        if !(1..=4).contains(&count) || length != 4 + 2 * count {
            return Err(Error::Corrupt("invalid scan header"));
        }
        let mut components: Vec<ScanComponent> = Vec::with_capacity(count);
        for _ in 0..count {
            let id = input.byte()?;
            let table_ids = input.byte()?;
            let component = frame
                .components
                .iter()
                .position(|component| component.id == id)
                .ok_or(Error::Corrupt("a scan of a component that the frame does not have"))?;
            if components.iter().any(|other| other.component == component) {
                return Err(Error::Corrupt("a scan with a repeated component"));
            }
            components.push(ScanComponent {
                component,
                dc_table: usize::from(table_ids >> 4 & 3),
                ac_table: usize::from(table_ids & 3),
            });
        }
        let (ss, se) = (u32::from(input.byte()?), u32::from(input.byte()?));
        let approximation = input.byte()?;
        let scan = Scan { components, ss, se, ah: u32::from(approximation >> 4), al: u32::from(approximation & 15) };
        // The standard allows 10 blocks in an MCU (section B.2.3); some encoders write more.
        let blocks: u32 = scan
            .components
            .iter()
            .map(|part| {
                let component = &frame.components[part.component];
                u32::from(component.horizontal) * u32::from(component.vertical)
            })
            .sum();
        if count > 1 && blocks > 16 {
            return Err(Error::Corrupt("a scan with too many blocks in an MCU"));
        }
        if frame.progressive {
            let dc = scan.ss == 0;
            if scan.se > 63
                || scan.ss > scan.se
                || dc && scan.se != 0
                || !dc && scan.components.len() != 1
                || scan.al > 13
                || scan.ah != 0 && scan.ah != scan.al + 1
            {
                return Err(Error::Corrupt("invalid progressive scan"));
            }
        }
        Ok(scan)
    }

    /// The color space (ITU-T T.872, section 6, and the practice of encoders that write no APP segments).
    pub(crate) fn colour(&self) -> Colour {
        let components = self.frame.as_ref().map_or(&[][..], |frame| &frame.components);
        match (components.len(), self.adobe) {
            (1, _) => Colour::Grey,
            // JFIF has no other color space.
            (3, _) if self.jfif => Colour::YCbCr,
            (3, Some(0)) => Colour::Rgb,
            (3, Some(_)) => Colour::YCbCr,
            (3, None) if components.iter().map(|component| component.id).eq(*b"RGB") => Colour::Rgb,
            (3, None) => Colour::YCbCr,
            (_, None | Some(0)) => Colour::Cmyk,
            (_, Some(_)) => Colour::Ycck,
        }
    }

    /// The color profile, if all its segments were read.
    pub(crate) fn take_profile(&mut self) -> Option<Vec<u8>> {
        let mut parts = std::mem::take(&mut self.profile);
        parts.sort_by_key(|&(number, _)| number);
        let complete = parts.iter().map(|&(number, _)| number).eq(1..=self.profile_parts);
        (complete && !parts.is_empty()).then(|| parts.into_iter().flat_map(|(_, part)| part).collect())
    }
}

/// Reads the length of a segment without the length field itself (section B.1.1.4); at least `least`.
fn segment_length(input: &mut Input<'_>, least: usize) -> Result<usize> {
    usize::from(input.u16()?)
        .checked_sub(2)
        .filter(|&length| length >= least)
        .ok_or(Error::Corrupt("a segment that is too short"))
}
