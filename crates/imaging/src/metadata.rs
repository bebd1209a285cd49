//! The Exif data and XMP packets that decoders find, within limits.

use std::io::Read;

use jpeg_scaled::{EXIF_SIGNATURE, XMP_SIGNATURE};

use crate::exif::{Entry, TiffTags};
use crate::source::Source;

/// Bytes of Exif data, or of an XMP packet, that are kept; of more, the beginning. Programs rarely write more than 60 kB.
pub(crate) const MAX_PART: usize = 1 << 20;

/// Bytes that are kept of all parts.
const MAX_METADATA: usize = 2 * MAX_PART;

/// Parts of each kind that are kept. Usual files have one.
const MAX_PARTS: usize = 8;

/// More bytes than a segment of a JPEG has.
const SEGMENT: usize = 64 << 10;

/// Directories of a TIFF file that are read.
const MAX_DIRECTORIES: usize = 64;

/// Entries of a directory, and bytes of a value, that are copied from a TIFF file.
const MAX_ENTRIES: usize = 200;
const MAX_VALUE: usize = 1000;

/// Bytes that are read at a time after the image.
const TRAILING_WINDOW: usize = 256 << 10;

const MAKE: u16 = 271;
const MODEL: u16 = 272;
const XMP: u16 = 700;
const EXIF_DIRECTORY: u16 = 34_665;
const GPS_DIRECTORY: u16 = 34_853;
/// The type of an unsigned number of 32 bits.
const LONG: u16 = 4;

/// The metadata of a file, as it is in the file, which may be anything.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    /// TIFF files without pixels; that of the image itself first.
    pub(crate) exif: Vec<Vec<u8>>,
    pub(crate) xmp: Vec<Vec<u8>>,
}

impl Metadata {
    pub(crate) fn add_exif(&mut self, exif: &[u8]) {
        // Some programs write the identifier of JPEG's segment in other formats too.
        let exif = exif.strip_prefix(EXIF_SIGNATURE).unwrap_or(exif);
        if self.exif.len() < MAX_PARTS {
            self.exif.push(self.kept(exif).to_vec());
        }
    }

    pub(crate) fn add_xmp(&mut self, xmp: &[u8]) {
        if self.xmp.len() < MAX_PARTS {
            self.xmp.push(self.kept(xmp).to_vec());
        }
    }

    /// The beginning of a part, as far as it is kept.
    fn kept<'a>(&self, part: &'a [u8]) -> &'a [u8] {
        let bytes: usize = self.exif.iter().chain(&self.xmp).map(Vec::len).sum();
        &part[..part.len().min(MAX_PART).min(MAX_METADATA.saturating_sub(bytes))]
    }

    /// Adds what a TIFF file has in its directories, without its pixels.
    pub(crate) fn add_tiff(&mut self, file: &[u8]) {
        let mut directory = TiffTags::new(file);
        for _ in 0..MAX_DIRECTORIES {
            let Some(tags) = directory else { return };
            if let Some(xmp) = tags.entries().find(|entry| entry.tag == XMP) {
                self.add_xmp(xmp.value);
            }
            if let Some(exif) = copy_exif(&tags) {
                self.add_exif(&exif);
            }
            directory = tags.next();
        }
    }

    /// Reads the rest of the file for Exif data and XMP packets of images after the first one, which multi-picture files
    /// (CIPA DC-007) have, and of anything else with JPEG's segments.
    pub(crate) fn add_trailing(&mut self, source: &mut Source<'_>) -> std::io::Result<()> {
        let mut window = Vec::new();
        loop {
            let is_end = source.by_ref().take(TRAILING_WINDOW as u64).read_to_end(&mut window)? < TRAILING_WINDOW;
            // What begins in the last bytes is found in the next window.
            let end = if is_end { window.len() } else { window.len() - SEGMENT };
            self.add_segments(&window, end);
            if is_end {
                return Ok(());
            }
            window.drain(..end);
        }
    }

    /// Adds the contents of segments that begin before `end`.
    fn add_segments(&mut self, bytes: &[u8], end: usize) {
        let contents = |at: usize, signature: &[u8]| {
            let rest = &bytes[at + signature.len()..];
            &rest[..rest.len().min(SEGMENT)]
        };
        for at in memchr::memmem::find_iter(bytes, EXIF_SIGNATURE).take_while(|&at| at < end) {
            let exif = contents(at, EXIF_SIGNATURE);
            let is_tiff = exif.starts_with(b"II*\0") || exif.starts_with(b"MM\0*");
            // The beginning of the file may be read again.
            if is_tiff && !self.exif.iter().any(|known| exif.starts_with(known)) {
                self.add_exif(exif);
            }
        }
        for at in memchr::memmem::find_iter(bytes, XMP_SIGNATURE).take_while(|&at| at < end) {
            let xmp = contents(at, XMP_SIGNATURE);
            if !self.xmp.iter().any(|known| xmp.starts_with(known)) {
                self.add_xmp(xmp);
            }
        }
    }
}

/// Copies the camera, the Exif directory and the GPS directory to a TIFF file of their own. `None` if there is nothing.
fn copy_exif(tags: &TiffTags<'_>) -> Option<Vec<u8>> {
    let mut copy = TiffCopy::new(tags.is_little());
    let mut main: Vec<Entry<'_>> = tags.entries().filter(|entry| matches!(entry.tag, MAKE | MODEL)).collect();
    let mut offsets = Vec::new();
    for tag in [EXIF_DIRECTORY, GPS_DIRECTORY] {
        let entries: Vec<Entry<'_>> = tags.directory(tag).map_or_else(Vec::new, |part| part.entries().collect());
        if !entries.is_empty() {
            let offset = copy.add_directory(&entries);
            offsets.push((tag, copy.long(offset)));
        }
    }
    main.extend(offsets.iter().map(|(tag, offset)| Entry { tag: *tag, kind: LONG, count: 1, value: offset }));
    (!main.is_empty()).then(|| copy.finish(&main))
}

/// A TIFF file that is being written.
struct TiffCopy {
    bytes: Vec<u8>,
    is_little: bool,
}

impl TiffCopy {
    fn new(is_little: bool) -> Self {
        let mut copy = Self { bytes: if is_little { b"II".to_vec() } else { b"MM".to_vec() }, is_little };
        copy.bytes.extend(copy.short(42));
        copy.bytes.extend([0; 4]);
        copy
    }

    fn short(&self, number: u16) -> [u8; 2] {
        if self.is_little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    fn long(&self, number: u32) -> [u8; 4] {
        if self.is_little { number.to_le_bytes() } else { number.to_be_bytes() }
    }

    /// Adds a directory with the small values of some entries, and returns its position.
    fn add_directory(&mut self, entries: &[Entry<'_>]) -> u32 {
        let entries = entries.iter().filter(|entry| entry.value.len() <= MAX_VALUE).take(MAX_ENTRIES);
        let start = self.bytes.len();
        let count = entries.clone().count();
        let end = start + 2 + 12 * count + 4;
        let mut values: Vec<u8> = Vec::new();
        self.bytes.extend(self.short(count as u16));
        for entry in entries {
            let mut inline = [0; 4];
            if let Some(inline) = inline.get_mut(..entry.value.len()) {
                inline.copy_from_slice(entry.value);
            } else {
                inline = self.long((end + values.len()) as u32);
                values.extend(entry.value);
            }
            let head = [self.short(entry.tag), self.short(entry.kind)].concat();
            self.bytes.extend([&head, &self.long(entry.count)[..], &inline].concat());
        }
        self.bytes.extend([0; 4]);
        self.bytes.extend(values);
        start as u32
    }

    /// Adds the first directory.
    fn finish(mut self, entries: &[Entry<'_>]) -> Vec<u8> {
        let start = self.add_directory(entries);
        let start = self.long(start);
        self.bytes[4..8].copy_from_slice(&start);
        self.bytes
    }
}
