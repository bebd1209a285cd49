use std::fmt;

/// The limits and rights of its users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub name: PlanName,
    /// Heights of thumbnails in pixels, ascending, each once.
    pub thumbnail_heights: Vec<u32>,
    /// True if each thumbnail is stored as WebP too, where that is smaller.
    pub webp_thumbnails: bool,
    /// True if its users and their visitors can get the original.
    pub original_link: bool,
    pub expiring_links: bool,
    /// Bytes.
    pub max_image_bytes: u64,
    pub max_images: u64,
    /// Increases with every change.
    pub version: u64,
}

/// Heights of thumbnails in pixels: at most 8, each once and ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heights(Vec<u32>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanName(String);

impl Heights {
    pub const MIN: u32 = 16;
    pub const MAX: u32 = 4096;
    pub const MAX_COUNT: usize = 8;

    /// Returns `None` if a height is out of bounds, or there are too many.
    pub fn new(mut heights: Vec<u32>) -> Option<Self> {
        heights.sort_unstable();
        heights.dedup();
        let fits = |height: &u32| (Self::MIN..=Self::MAX).contains(height);
        (heights.len() <= Self::MAX_COUNT && heights.iter().all(fits)).then_some(Self(heights))
    }

    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }
}

impl PlanName {
    pub const MAX_CHARS: usize = 64;

    /// Letters, digits, `_` and `-`, because it is part of paths.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        (plain && (1..=Self::MAX_CHARS).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    pub fn from_stored(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for PlanName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_are_at_most_eight_from_16_to_4096() {
        assert_eq!(Heights::new(vec![400, 200, 400]).unwrap().as_slice(), [200, 400]);
        assert!(Heights::new((1..=8).map(|n| n * 16).collect()).is_some());
        assert_eq!(Heights::new((1..=9).map(|n| n * 16).collect()), None);
        assert_eq!(Heights::new(vec![15]), None);
        assert_eq!(Heights::new(vec![4097]), None);
    }

    #[test]
    fn a_plans_name_can_stand_in_a_path() {
        assert!(PlanName::parse("Premium-2_b").is_some());
        for bad in ["", "a/b", "a b", "a#b", "é", &"a".repeat(65)] {
            assert_eq!(PlanName::parse(bad), None, "{bad}");
        }
    }
}
