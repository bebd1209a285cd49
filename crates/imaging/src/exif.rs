//! The orientation from Exif metadata; nothing else is read.

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
    fn from_tag(value: u16) -> Option<Self> {
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

    /// Returns true if width and height are swapped.
    pub(crate) fn swaps_sides(self) -> bool {
        self as u8 >= Self::Transposed as u8
    }

    /// Swaps width and height if the orientation does.
    pub(crate) fn oriented_size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if self.swaps_sides() { (height, width) } else { (width, height) }
    }

    /// Reads the orientation from Exif data (a TIFF file, optionally after `Exif\0\0`). Invalid metadata
    /// means upright.
    pub(crate) fn from_exif(exif: &[u8]) -> Self {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        find_tag(tiff, 0x0112).and_then(Self::from_tag).unwrap_or_default()
    }
}

/// The value of a SHORT tag in the first directory of a TIFF file.
fn find_tag(tiff: &[u8], wanted: u16) -> Option<u16> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let u16_at = |at: usize| -> Option<u16> {
        let bytes = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let u32_at = |at: usize| -> Option<u32> {
        let bytes = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    let count = usize::from(u16_at(directory)?);
    (0..count)
        .map(|index| directory + 2 + index * 12)
        .find(|&entry| u16_at(entry) == Some(wanted))
        .filter(|&entry| u16_at(entry + 2) == Some(3))
        .and_then(|entry| u16_at(entry + 8))
}

#[cfg(test)]
mod tests {
    use super::*;

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
