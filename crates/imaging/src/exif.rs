//! The orientation from Exif metadata, and the directories of TIFF files.

use plane_kernels::resize::Layout;

/// The orientation of a stored image, with the values of Exif tag 0x0112.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Orientation {
    #[default]
    Upright = 1,
    MirroredHorizontally = 2,
    Rotated180 = 3,
    MirroredVertically = 4,
    /// Mirrored along the diagonal from top left.
    Transposed = 5,
    RotatedClockwise = 6,
    /// Mirrored along the other diagonal.
    Transversed = 7,
    RotatedCounterclockwise = 8,
}

impl Orientation {
    /// The orientation of a value of the tag.
    pub(crate) fn from_tag(value: u16) -> Option<Self> {
        Some(match value {
            1 => Self::Upright,
            2 => Self::MirroredHorizontally,
            3 => Self::Rotated180,
            4 => Self::MirroredVertically,
            5 => Self::Transposed,
            6 => Self::RotatedClockwise,
            7 => Self::Transversed,
            8 => Self::RotatedCounterclockwise,
            _ => return None,
        })
    }

    /// This orientation, followed by another one.
    pub(crate) fn then(self, next: Self) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (next.matrix(), self.matrix());
        let product = [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h];
        let all = (1..=8).filter_map(Self::from_tag);
        all.into_iter().find(|orientation| orientation.matrix() == product).unwrap_or_default()
    }

    /// Where the axes to the right and downwards go, by rows.
    fn matrix(self) -> [i8; 4] {
        match self {
            Self::Upright => [1, 0, 0, 1],
            Self::MirroredHorizontally => [-1, 0, 0, 1],
            Self::Rotated180 => [-1, 0, 0, -1],
            Self::MirroredVertically => [1, 0, 0, -1],
            Self::Transposed => [0, 1, 1, 0],
            Self::RotatedClockwise => [0, -1, 1, 0],
            Self::Transversed => [0, -1, -1, 0],
            Self::RotatedCounterclockwise => [0, 1, -1, 0],
        }
    }

    /// Returns true if width and height are swapped.
    pub(crate) fn swaps_sides(self) -> bool {
        self as u8 >= Self::Transposed as u8
    }

    /// Swaps width and height if the orientation does.
    pub(crate) fn oriented_size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.swaps_sides() { (height, width) } else { (width, height) }
    }

    /// Where a picture that was stored with this size, in pixels, has its pixels once it is upright.
    pub(crate) fn layout(self, (width, height): (usize, usize)) -> Layout {
        let [a, b, c, d] = self.matrix().map(isize::from);
        let row = if self.swaps_sides() { height } else { width };
        // An axis that is mirrored begins at its other end.
        let begin = |across: isize, down: isize| match (across, down) {
            (-1, _) => width - 1,
            (_, -1) => height - 1,
            _ => 0,
        };
        Layout { first: begin(a, b) + begin(c, d) * row, across: a + c * row as isize, down: b + d * row as isize }
    }

    /// Reads the orientation from Exif data (a TIFF file, optionally after `Exif\0\0`). Invalid metadata
    /// means upright.
    pub(crate) fn from_exif(exif: &[u8]) -> Self {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        TiffTags::new(tiff).and_then(|tags| tags.find(0x0112)).and_then(Self::from_tag).unwrap_or_default()
    }
}

/// A directory of a TIFF file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TiffTags<'a> {
    tiff: &'a [u8],
    is_little: bool,
    directory: usize,
}

/// The bytes of a value of each type, from 1 (TIFF 6.0, section 2; 13 is IFD, of Technical Note 1).
const VALUE_SIZES: [usize; 13] = [1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4];

/// A tag with its value, as it is in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) tag: u16,
    pub(crate) kind: u16,
    pub(crate) count: u32,
    pub(crate) value: &'a [u8],
}

impl<'a> TiffTags<'a> {
    /// The first directory. Returns `None` if there is none.
    pub(crate) fn new(tiff: &'a [u8]) -> Option<Self> {
        let is_little = match tiff.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        let tags = Self { tiff, is_little, directory: 0 };
        Some(Self { directory: tags.long(4)? as usize, ..tags })
    }

    pub(crate) fn is_little(&self) -> bool {
        self.is_little
    }

    /// The entries whose values are in the file.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'a>> {
        let count = usize::from(self.short(self.directory).unwrap_or_default());
        (0..count).filter_map(|index| {
            let entry = self.directory + 2 + index * 12;
            let (tag, kind, count) = (self.short(entry)?, self.short(entry + 2)?, self.long(entry + 4)?);
            let unit = *VALUE_SIZES.get(usize::from(kind).checked_sub(1)?)?;
            let length = unit.checked_mul(count as usize)?;
            let start = if length <= 4 { entry + 8 } else { self.long(entry + 8)? as usize };
            Some(Entry { tag, kind, count, value: self.tiff.get(start..start.checked_add(length)?)? })
        })
    }

    /// The directory that a tag points to.
    pub(crate) fn directory(&self, tag: u16) -> Option<Self> {
        let directory = self.long(self.entry(tag)? + 8)? as usize;
        Some(Self { directory, ..*self })
    }

    /// The directory after this one.
    pub(crate) fn next(&self) -> Option<Self> {
        let count = usize::from(self.short(self.directory)?);
        let directory = self.long(self.directory + 2 + count * 12)? as usize;
        (directory > 0).then_some(Self { directory, ..*self })
    }

    fn short(&self, at: usize) -> Option<u16> {
        let bytes = self.tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(&self, at: usize) -> Option<u32> {
        let bytes = self.tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// The position of a tag's entry.
    fn entry(&self, tag: u16) -> Option<usize> {
        let count = usize::from(self.short(self.directory)?);
        (0..count).map(|index| self.directory + 2 + index * 12).find(|&entry| self.short(entry) == Some(tag))
    }

    /// The value of a tag: a SHORT, or a BYTE or LONG as some programs write.
    pub(crate) fn find(&self, tag: u16) -> Option<u16> {
        let entry = self.entry(tag)?;
        match self.short(entry + 2)? {
            1 => self.tiff.get(entry + 8).copied().map(u16::from),
            3 => self.short(entry + 8),
            4 => self.long(entry + 8)?.try_into().ok(),
            _ => None,
        }
    }

    /// The position and the bytes of a tag's entry with another value, a SHORT.
    pub(crate) fn with_value(&self, tag: u16, value: u16) -> Option<(usize, [u8; 12])> {
        let entry = self.entry(tag)?;
        let short = |value: u16| if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let long = |value: u32| if self.is_little { value.to_le_bytes() } else { value.to_be_bytes() };
        let bytes = [&short(tag)[..], &short(3), &long(1), &short(value), &[0; 2]].concat();
        Some((entry, bytes.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orientation_is_read_from_byte_short_and_long() {
        let value = |little: bool, kind: u8, value: &[u8]| {
            let number = |number: u16| if little { number.to_le_bytes() } else { number.to_be_bytes() };
            let long = |number: u32| if little { number.to_le_bytes() } else { number.to_be_bytes() };
            let start = if little { &b"II"[..] } else { b"MM" };
            let mut exif = [start, &number(42), &long(8), &number(1), &number(0x112), &number(kind.into())].concat();
            exif.extend([&long(1)[..], value].concat());
            Orientation::from_exif(&exif)
        };
        for little in [true, false] {
            let (short, long) = if little { ([6, 0, 0, 0], [6, 0, 0, 0]) } else { ([0, 6, 0, 0], [0, 0, 0, 6]) };
            assert_eq!(value(little, 1, &[6, 0, 0, 0]), Orientation::RotatedClockwise);
            assert_eq!(value(little, 3, &short), Orientation::RotatedClockwise);
            assert_eq!(value(little, 4, &long), Orientation::RotatedClockwise);
            // RATIONAL, and a LONG that no SHORT can hold.
            assert_eq!(value(little, 5, &long), Orientation::Upright);
            assert_eq!(value(little, 4, &[6, 0, 0, 1]), Orientation::Upright);
        }
    }

    #[test]
    fn orientations_combine() {
        let all: Vec<Orientation> = (1..=8).filter_map(Orientation::from_tag).collect();
        for &one in &all {
            let turned = (0..4).fold(one, |turned, _| turned.then(Orientation::RotatedClockwise));
            assert_eq!(turned, one);
            assert_eq!(one.then(Orientation::RotatedClockwise).then(Orientation::RotatedCounterclockwise), one);
            assert_eq!(Orientation::Upright.then(one), one);
        }
        let mirror = Orientation::MirroredHorizontally;
        assert_eq!(Orientation::RotatedClockwise.then(mirror), Orientation::Transposed);
        assert_eq!(mirror.then(Orientation::RotatedClockwise), Orientation::Transversed);
    }

    #[test]
    fn damaged_metadata_means_upright() {
        let good = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        assert_eq!(Orientation::from_exif(good), Orientation::RotatedClockwise);
        for end in 0..good.len() - 2 {
            assert_eq!(Orientation::from_exif(&good[..end]), Orientation::Upright);
        }
        assert_eq!(Orientation::from_exif(b"MM\0*\xFF\xFF\xFF\xFE"), Orientation::Upright);
    }
}
