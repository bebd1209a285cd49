use std::fmt;

use crate::Image;

/// What its users may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub name: PlanName,
    /// Heights of thumbnails in pixels, ascending, each once.
    pub thumbnail_heights: Vec<u32>,
    /// Whether its users and their visitors get the original.
    pub original_link: bool,
    pub expiring_links: bool,
    /// Bytes.
    pub max_image_bytes: u64,
    pub max_images: u64,
    /// Raised by every change.
    pub version: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanName(String);

impl PlanName {
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

impl Plan {
    pub fn allows_original_of(&self, image: &Image) -> bool {
        self.original_link && image.is_ready()
    }
}
