//! The container of HEIC and AVIF: HEIF (ISO/IEC 23008-12) in the ISO base media file format (ISO/IEC 14496-12). Only what
//! the primary image needs is read, each item when it is decoded. Items may share bytes, so nothing is copied before.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::Rejection;
use crate::decode::{DecodeTarget, MAX_PROFILE};
use crate::exif::Orientation;
use crate::metadata::Metadata;

/// The most `iden` items between the primary item and its image.
const MAX_IDENTITIES: usize = 8;
/// Bytes of all boxes that describe items. A grid of 10,000 tiles takes a tenth.
const MAX_META: usize = 4 << 20;
/// The types of auxiliary images with alpha, for HEVC and for all codecs (ISO/IEC 23008-12, sections B.2.4.2.2 and 6.5.8).
const ALPHA_TYPES: [&[u8]; 2] = [b"urn:mpeg:hevc:2015:auxid:1\0", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"];

/// The content type of items with XMP.
const XMP_TYPE: &[u8] = b"application/rdf+xml";
/// Items with metadata that are read.
const MAX_METADATA_ITEMS: usize = 16;

type FourCc = [u8; 4];

/// Reads a box. All errors are those of a file that ends too early.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Rejection> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Rejection::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A big-endian number of up to eight bytes.
    fn number(&mut self, bytes: usize) -> Result<u64, Rejection> {
        Ok(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    fn u8(&mut self) -> Result<u8, Rejection> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Rejection> {
        Ok(self.number(2)? as u16)
    }

    fn u32(&mut self) -> Result<u32, Rejection> {
        Ok(self.number(4)? as u32)
    }

    fn four(&mut self) -> Result<FourCc, Rejection> {
        let four = self.take(4)?;
        Ok([four[0], four[1], four[2], four[3]])
    }

    /// The version and the flags of a full box.
    fn version(&mut self) -> Result<(u8, u32), Rejection> {
        Ok((self.u8()?, self.number(3)? as u32))
    }

    /// An id with 16 or 32 bits.
    fn id(&mut self, is_long: bool) -> Result<u32, Rejection> {
        if is_long { self.u32() } else { Ok(self.u16()?.into()) }
    }

    /// The next box: its type and contents. The last one may end with the file.
    fn next_box(&mut self) -> Result<Option<(FourCc, &'a [u8])>, Rejection> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (size, kind) = (self.u32()?, self.four()?);
        let body = match size {
            0 => self.0.len(),
            1 => (self.number(8)?.checked_sub(16)).and_then(|size| usize::try_from(size).ok()).ok_or_else(broken)?,
            size => (size as usize).checked_sub(8).ok_or_else(broken)?,
        };
        Ok(Some((kind, self.take(body)?)))
    }
}

fn broken() -> Rejection {
    Rejection::corrupt("a box of the container")
}

#[derive(Default)]
struct Item {
    kind: FourCc,
    is_xmp: bool,
    /// Position and length of each part, in the file or in `idat`.
    parts: Vec<(u64, u64)>,
    /// 0: in the file, 1: in `idat`.
    construction: u8,
    /// Indexes of properties, from 1.
    properties: Vec<usize>,
}

/// A file whose items have been listed.
pub(crate) struct HeifFile<'a> {
    file: &'a [u8],
    primary: u32,
    items: BTreeMap<u32, Item>,
    properties: Vec<(FourCc, &'a [u8])>,
    /// Type, origin and targets.
    references: Vec<(FourCc, u32, Vec<u32>)>,
    idat: &'a [u8],
}

/// An image: one picture, or a grid of them.
#[derive(Debug)]
pub(crate) struct HeifImage {
    /// The items of the pictures, row by row.
    pub(crate) tiles: Vec<u32>,
    /// Columns and rows of the grid, and its size in pixels. `None` for a single picture.
    pub(crate) grid: Option<Grid>,
    /// The part of the pictures that is shown, before the orientation: left, top, width, height.
    pub(crate) crop: Option<Crop>,
    pub(crate) orientation: Orientation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// A clean aperture: numerators and denominators of width, height and the offsets of the centers.
pub(crate) type Crop = [(i64, i64); 4];

/// The color description `nclx` (ITU-T H.273).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nclx {
    pub(crate) primaries: u16,
    pub(crate) transfer: u16,
    pub(crate) matrix: u16,
    pub(crate) full_range: bool,
}

impl<'a> HeifFile<'a> {
    pub(crate) fn read(file: &'a [u8]) -> Result<Self, Rejection> {
        let mut boxes = Fields(file);
        let (mut meta, mut is_sequence) = (None, false);
        // What follows `meta` does not matter, and may be cut off.
        while meta.is_none()
            && let Some((kind, body)) = boxes.next_box()?
        {
            match &kind {
                b"meta" => meta = Some(body),
                b"moov" => is_sequence = true,
                _ => {}
            }
        }
        let Some(meta) = meta else {
            let feature = "a sequence of images without a still picture".to_owned();
            return Err(if is_sequence { Rejection::Unsupported { feature } } else { Rejection::Truncated });
        };
        if meta.len() > MAX_META {
            return Err(Rejection::TooComplex { part: "the list of items".to_owned() });
        }
        let mut heif = Self {
            file,
            primary: 0,
            items: BTreeMap::new(),
            properties: Vec::new(),
            references: Vec::new(),
            idat: &[],
        };
        let mut boxes = Fields(meta);
        boxes.version()?;
        while let Some((kind, body)) = boxes.next_box()? {
            let mut fields = Fields(body);
            match &kind {
                b"pitm" => {
                    let (version, _) = fields.version()?;
                    heif.primary = fields.id(version > 0)?;
                }
                b"iinf" => heif.read_infos(fields)?,
                b"iloc" => heif.read_locations(fields)?,
                b"iprp" => heif.read_properties(fields)?,
                b"iref" => heif.read_references(fields)?,
                b"idat" => heif.idat = body,
                _ => {}
            }
        }
        Ok(heif)
    }

    fn read_infos(&mut self, mut fields: Fields<'a>) -> Result<(), Rejection> {
        let (version, _) = fields.version()?;
        fields.id(version > 0)?;
        while let Some((kind, body)) = fields.next_box()? {
            let mut info = Fields(body);
            let (version, _) = info.version()?;
            if &kind == b"infe" && version >= 2 {
                let id = info.id(version > 2)?;
                info.u16()?;
                let kind = info.four()?;
                // The item's name, then its content type.
                let mut texts = info.0.split(|&byte| byte == 0).skip(1);
                let is_xmp = &kind == b"mime" && texts.next() == Some(XMP_TYPE);
                let item = self.items.entry(id).or_default();
                (item.kind, item.is_xmp) = (kind, is_xmp);
            }
        }
        Ok(())
    }

    fn read_locations(&mut self, mut fields: Fields<'a>) -> Result<(), Rejection> {
        let (version, _) = fields.version()?;
        let sizes = fields.u16()?;
        let [offset, length, base, index] = [12, 8, 4, 0].map(|shift| usize::from(sizes >> shift & 15));
        if version > 2 || [offset, length, base, index].iter().any(|&size| size > 8) {
            return Err(broken());
        }
        for _ in 0..fields.id(version > 1)? {
            let id = fields.id(version > 1)?;
            let construction = if version > 0 { fields.u16()? as u8 & 15 } else { 0 };
            fields.u16()?;
            let base = fields.number(base)?;
            let mut parts = Vec::new();
            for _ in 0..fields.u16()? {
                if version > 0 {
                    fields.number(index)?;
                }
                let start = fields.number(offset)?.checked_add(base).ok_or_else(broken)?;
                parts.push((start, fields.number(length)?));
            }
            let item = self.items.entry(id).or_default();
            (item.parts, item.construction) = (parts, construction);
        }
        Ok(())
    }

    fn read_properties(&mut self, mut fields: Fields<'a>) -> Result<(), Rejection> {
        while let Some((kind, body)) = fields.next_box()? {
            let mut fields = Fields(body);
            if &kind == b"ipco" {
                while let Some(property) = fields.next_box()? {
                    self.properties.push(property);
                }
            } else if &kind == b"ipma" {
                let (version, flags) = fields.version()?;
                for _ in 0..fields.u32()? {
                    let id = fields.id(version > 0)?;
                    let item = self.items.entry(id).or_default();
                    for _ in 0..fields.u8()? {
                        // The first bit says that the property is essential.
                        let index = if flags & 1 == 1 { fields.u16()? & 0x7FFF } else { (fields.u8()? & 0x7F).into() };
                        item.properties.push(index.into());
                    }
                }
            }
        }
        Ok(())
    }

    fn read_references(&mut self, mut fields: Fields<'a>) -> Result<(), Rejection> {
        let (version, _) = fields.version()?;
        while let Some((kind, body)) = fields.next_box()? {
            let mut fields = Fields(body);
            let from = fields.id(version > 0)?;
            let to = (0..fields.u16()?).map(|_| fields.id(version > 0)).collect::<Result<_, _>>()?;
            self.references.push((kind, from, to));
        }
        Ok(())
    }

    fn targets(&self, kind: &FourCc, from: u32) -> &[u32] {
        let found = self.references.iter().find(|(name, origin, _)| name == kind && *origin == from);
        found.map_or(&[], |(.., to)| to)
    }

    /// The properties of an item, in their order.
    fn properties(&self, id: u32) -> impl Iterator<Item = (&FourCc, &'a [u8])> {
        let indexes = self.items.get(&id).map_or(&[][..], |item| &item.properties);
        indexes.iter().filter_map(|index| self.properties.get(index.checked_sub(1)?)).map(|(kind, body)| (kind, *body))
    }

    /// The first property of this type.
    pub(crate) fn property(&self, id: u32, wanted: &FourCc) -> Option<&'a [u8]> {
        self.properties(id).find(|(kind, _)| *kind == wanted).map(|(_, body)| body)
    }

    pub(crate) fn kind(&self, id: u32) -> FourCc {
        self.items.get(&id).map_or([0; 4], |item| item.kind)
    }

    /// The bytes of an item.
    pub(crate) fn data(&self, id: u32) -> Result<Cow<'a, [u8]>, Rejection> {
        let item = self.items.get(&id).ok_or_else(broken)?;
        let whole = match item.construction {
            0 => self.file,
            1 => self.idat,
            _ => return Err(Rejection::Unsupported { feature: "items that are parts of other items".to_owned() }),
        };
        let part = |&(start, length): &(u64, u64)| {
            let rest = whole.get(usize::try_from(start).ok()?..)?;
            if length == 0 { Some(rest) } else { rest.get(..usize::try_from(length).ok()?) }
        };
        if let [only] = &item.parts[..] {
            return part(only).map(Cow::Borrowed).ok_or(Rejection::Truncated);
        }
        let mut data = Vec::new();
        for place in &item.parts {
            data.extend_from_slice(part(place).ok_or(Rejection::Truncated)?);
            if data.len() > whole.len() {
                return Err(broken());
            }
        }
        Ok(Cow::Owned(data))
    }

    /// The size of a picture, as its property `ispe` states it.
    pub(crate) fn size(&self, id: u32) -> Result<(u32, u32), Rejection> {
        let mut fields = Fields(self.property(id, b"ispe").ok_or_else(broken)?);
        fields.version()?;
        Ok((fields.u32()?, fields.u32()?))
    }

    /// The primary image.
    pub(crate) fn primary(&self) -> Result<HeifImage, Rejection> {
        self.image(self.primary)
    }

    /// The alpha of the primary image. The flag is true if colors are multiplied by it.
    pub(crate) fn alpha(&self) -> Result<Option<(HeifImage, bool)>, Rejection> {
        let mut found = self.references.iter().filter(|(kind, _, to)| kind == b"auxl" && to.contains(&self.primary));
        let alpha = found.find(|(_, from, _)| {
            let kind = self.property(*from, b"auxC").and_then(|body| body.get(4..));
            kind.is_some_and(|kind| ALPHA_TYPES.iter().any(|alpha| kind.starts_with(alpha)))
        });
        let Some(&(_, id, _)) = alpha else { return Ok(None) };
        Ok(Some((self.image(id)?, self.targets(b"prem", self.primary).contains(&id))))
    }

    fn image(&self, mut id: u32) -> Result<HeifImage, Rejection> {
        let mut chain = vec![id];
        while &self.kind(id) == b"iden" {
            id = *self.targets(b"dimg", id).first().ok_or_else(broken)?;
            chain.push(id);
            if chain.len() > MAX_IDENTITIES {
                return Err(broken());
            }
        }
        let mut image = HeifImage { tiles: vec![id], grid: None, crop: None, orientation: Orientation::Upright };
        if &self.kind(id) == b"grid" {
            image.grid = Some(self.grid(id)?);
            image.tiles = self.targets(b"dimg", id).to_vec();
        }
        // The source's transformations come first.
        for (kind, body) in chain.iter().rev().flat_map(|&id| self.properties(id)) {
            let first = body.first().copied();
            match (kind, first) {
                (b"irot", Some(angle)) => {
                    let turn = Orientation::RotatedCounterclockwise;
                    (0..angle & 3).for_each(|_| image.orientation = image.orientation.then(turn));
                }
                (b"imir", Some(axis)) => {
                    let mirror =
                        if axis & 1 == 1 { Orientation::MirroredHorizontally } else { Orientation::MirroredVertically };
                    image.orientation = image.orientation.then(mirror);
                }
                (b"clap", _) if image.crop.is_none() && image.orientation == Orientation::Upright => {
                    let mut fields = Fields(body);
                    let mut fraction = || {
                        let (numerator, denominator) = (fields.u32()?.cast_signed(), fields.u32()?);
                        if denominator == 0 {
                            Err(broken())
                        } else {
                            Ok((i64::from(numerator), i64::from(denominator)))
                        }
                    };
                    let (width, height) = (fraction()?, fraction()?);
                    image.crop = Some([width, height, fraction()?, fraction()?]);
                }
                (b"clap", _) => {
                    return Err(Rejection::Unsupported { feature: "a crop after a rotation".to_owned() });
                }
                _ => {}
            }
        }
        Ok(image)
    }

    /// ISO/IEC 23008-12, section 6.6.2.3.
    fn grid(&self, id: u32) -> Result<Grid, Rejection> {
        let data = self.data(id)?;
        let mut fields = Fields(&data);
        fields.u8()?;
        let size = if fields.u8()? & 1 == 1 { 4 } else { 2 };
        let (rows, columns) = (u32::from(fields.u8()?) + 1, u32::from(fields.u8()?) + 1);
        let (width, height) = (fields.number(size)? as u32, fields.number(size)? as u32);
        if self.targets(b"dimg", id).len() != rows as usize * columns as usize {
            return Err(Rejection::corrupt("the number of tiles"));
        }
        Ok(Grid { columns, rows, width, height })
    }

    /// The ICC profile of an image; some programs attach it to the tiles of a grid.
    pub(crate) fn icc_profile(&self, image: &HeifImage) -> Option<&'a [u8]> {
        let mut profiles = self.colours(image).filter(|body| body.starts_with(b"prof") || body.starts_with(b"rICC"));
        profiles.next().map(|body| &body[4..]).filter(|profile| profile.len() <= MAX_PROFILE)
    }

    /// The Exif data and XMP packets of all items, those that describe the primary image first (ISO/IEC 23008-12, annex A).
    pub(crate) fn metadata(&self) -> Metadata {
        let describes = |id: u32| self.targets(b"cdsc", id).contains(&self.primary);
        let mut items: Vec<(u32, &Item)> = self.items.iter().map(|(&id, item)| (id, item)).collect();
        items.retain(|(_, item)| &item.kind == b"Exif" || item.is_xmp);
        items.sort_by_key(|&(id, _)| !describes(id));
        items.truncate(MAX_METADATA_ITEMS);
        let mut metadata = Metadata::default();
        for (id, item) in items {
            let Ok(data) = self.data(id) else { continue };
            if item.is_xmp {
                metadata.add_xmp(&data);
            } else if let Some(exif) = exif_of_item(&data) {
                metadata.add_exif(exif);
            }
        }
        metadata
    }

    pub(crate) fn nclx(&self, image: &HeifImage) -> Option<Nclx> {
        let found = self.colours(image).find(|body| body.starts_with(b"nclx"))?;
        let mut fields = Fields(&found[4..]);
        let mut next = || fields.u16().ok();
        let (primaries, transfer, matrix) = (next()?, next()?, next()?);
        Some(Nclx { primaries, transfer, matrix, full_range: fields.u8().ok()? & 0x80 != 0 })
    }

    fn colours(&self, image: &HeifImage) -> impl Iterator<Item = &'a [u8]> {
        let items = [self.primary].into_iter().chain(image.tiles.first().copied());
        items.flat_map(|id| self.properties(id)).filter(|(kind, _)| *kind == b"colr").map(|(_, body)| body)
    }
}

/// Exif data from its TIFF header on, to which the first four bytes point.
fn exif_of_item(data: &[u8]) -> Option<&[u8]> {
    let start = 4usize.checked_add(u32::from_be_bytes(*data.first_chunk()?) as usize)?;
    data.get(start..)
}

impl HeifImage {
    /// The shown part of the pictures: left, top, width and height. Checks the size. `picture`: the size of each picture.
    pub(crate) fn window(&self, picture: (u32, u32), target: DecodeTarget) -> Result<Window, Rejection> {
        let (width, height) = match self.grid {
            None => picture,
            Some(Grid { columns, rows, width, height }) => {
                target.check_size(width, height)?;
                // Each tile shows something: otherwise a small image could take long.
                let fits = |count: u32, side: u32, whole: u32| {
                    let (count, side, whole) = (u64::from(count), u64::from(side), u64::from(whole));
                    count * side >= whole && (count - 1) * side < whole
                };
                if !fits(columns, picture.0, width) || !fits(rows, picture.1, height) {
                    return Err(Rejection::corrupt("the size of the tiles"));
                }
                (width, height)
            }
        };
        target.check_size(width, height)?;
        let mut window = Window { left: 0, top: 0, width, height };
        if let Some([across, down, right, lower]) = self.crop {
            (window.left, window.width) = cropped(width, across, right)?;
            (window.top, window.height) = cropped(height, down, lower)?;
        }
        Ok(window)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) left: u32,
    pub(crate) top: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// The start and length of a clean aperture in whole pixels (ISO/IEC 14496-12, section 12.1.4.3).
fn cropped(side: u32, extent: (i64, i64), offset: (i64, i64)) -> Result<(u32, u32), Rejection> {
    let length = extent.0 / extent.1;
    let spare = i64::from(side) - length;
    // Half of the rest, plus the offset of the center, rounded down.
    let start = (i128::from(spare) * i128::from(offset.1) + 2 * i128::from(offset.0)) / (2 * i128::from(offset.1));
    if length < 1 || spare < 0 || start < 0 || start > i128::from(spare) {
        return Err(Rejection::corrupt("a crop beyond the picture"));
    }
    Ok((start as u32, length as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clean_apertures_are_around_the_center() {
        assert_eq!(cropped(100, (80, 1), (0, 1)).unwrap(), (10, 80));
        assert_eq!(cropped(100, (160, 2), (-10, 1)).unwrap(), (0, 80));
        assert_eq!(cropped(64, (63, 1), (-1, 2)).unwrap(), (0, 63));
        assert!(cropped(100, (80, 1), (11, 1)).is_err() && cropped(100, (101, 1), (0, 1)).is_err());
        assert!(cropped(100, (0, 1), (0, 1)).is_err());
    }
}
