use std::fmt;

use crate::{ContentType, Description, ImageId, Photo, Plan, Timestamp, Title};

/// The largest upload of any plan, in bytes.
pub const MAX_IMAGE_BYTES: u64 = 50 * 1024 * 1024;

/// An image as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub id: ImageId,
    pub title: Title,
    pub description: Description,
    pub visibility: Visibility,
    /// Others than the owner see the [`Photo`], without its place, if they see the image. The original is as it was
    /// uploaded; see [`Image::has_place`].
    pub photo_public: bool,
    pub blob: Blob,
    pub state: ImageState,
    /// The owner's deletion epoch at its creation.
    pub deletion_epoch: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Increases with every change.
    pub version: u64,
}

/// The declared upload; the presigned URL accepts nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    pub content_type: ContentType,
    /// Bytes.
    pub size: u64,
    pub sha256: Option<Sha256>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ImageState {
    /// Waits for its upload; expires at `expires_at`.
    Pending {
        expires_at: Timestamp,
    },
    /// Uploaded; its thumbnails are being built. Expires at `expires_at` if that does not succeed.
    Processing {
        expires_at: Timestamp,
    },
    Ready(Ready),
    /// The upload is not a valid image of the declared type. Has no title claim and no blob.
    Rejected {
        /// `None` if it was rejected before codes were recorded.
        code: Option<RejectCode>,
        reason: String,
    },
}

/// The properties of a decoded image.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// Pixels, after orientation.
    pub width: u32,
    pub height: u32,
    /// A [thumbhash](https://evanw.github.io/thumbhash/).
    pub placeholder: Vec<u8>,
    /// Ascending by height.
    pub thumbnails: Vec<Thumbnail>,
    /// Each thumbnail was encoded as WebP too. It has a variant where that was smaller.
    pub webp_thumbnails: bool,
    pub built_for: ThumbnailSetId,
    pub warnings: Vec<Warning>,
    pub photo: Option<Box<Photo>>,
}

/// A defect of an image that is shown all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// The last rows are missing, at most 5 %.
    Truncated,
}

/// Why an image was rejected, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectCode {
    NotAnImage,
    TypeMismatch,
    Truncated,
    Corrupt,
    TooManyPixels,
    SideTooLong,
    Unsupported,
    TooComplex,
    TookTooLong,
    /// The upload arrived after its deadline, and another image had its title.
    TitleLost,
}

/// Identifies a set of thumbnails by the plan that it was built for. It is part of their keys: sets for different plans
/// share no blob, and two builds for the same plan share all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ThumbnailSetId(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thumbnail {
    pub height: u32,
    pub width: u32,
    /// Bytes.
    pub size: u64,
    pub content_type: ContentType,
    /// Bytes of its WebP variant, if it has one.
    pub webp_size: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Pending,
    Processing,
    Ready,
    Rejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    Public,
    Private,
}

/// SHA-256 of an original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256(pub [u8; 32]);

impl Image {
    pub fn status(&self) -> Status {
        match self.state {
            ImageState::Pending { .. } => Status::Pending,
            ImageState::Processing { .. } => Status::Processing,
            ImageState::Ready(_) => Status::Ready,
            ImageState::Rejected { .. } => Status::Rejected,
        }
    }

    pub fn is_ready(&self) -> bool {
        matches!(self.state, ImageState::Ready(_))
    }

    /// Returns true if its thumbnails belong to this set.
    pub fn has_set(&self, set: &ThumbnailSetId) -> bool {
        matches!(&self.state, ImageState::Ready(ready) if ready.built_for == *set)
    }

    /// Returns true if everyone can see the image.
    pub fn is_published(&self) -> bool {
        self.is_ready() && self.visibility == Visibility::Public
    }

    /// The time when the image expires unless it becomes ready.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.state {
            ImageState::Pending { expires_at } | ImageState::Processing { expires_at } => Some(expires_at),
            ImageState::Ready(_) | ImageState::Rejected { .. } => None,
        }
    }

    /// An abandoned upload counts as deleted when it expires, even if its item still exists.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at().is_some_and(|at| at.secs() <= now.secs())
    }

    /// Returns true if others can get the original: the owner's plan includes originals, and the file does not say where
    /// it was taken.
    pub fn has_public_original(&self, plan: &Plan) -> bool {
        plan.original_link && self.is_ready() && !self.has_place()
    }

    /// Returns true if its [`Photo`] has a place. Only its owner gets such an original.
    pub fn has_place(&self) -> bool {
        let ImageState::Ready(ready) = &self.state else { return false };
        ready.photo.as_ref().is_some_and(|photo| photo.place.is_some())
    }

    /// Returns true if it holds a claim on its title.
    pub fn holds_claim(&self) -> bool {
        !matches!(self.state, ImageState::Rejected { .. })
    }
}

impl ThumbnailSetId {
    /// `plan`: the plan of the owner; without a plan, images have no thumbnails. `revision`:
    /// [`Profile::plan_revision`](crate::Profile). Every change and every assignment of a plan results in another
    /// value, so a set that is being deleted is never built again.
    pub fn plan(plan: Option<&Plan>, revision: u64) -> Self {
        let stamp = plan.map_or_else(String::new, |plan| format!("{}#{}", plan.name, plan.version));
        let stamp = format!("{stamp}#{revision}");
        let hash = <sha2::Sha256 as sha2::Digest>::digest(stamp);
        Self(hash[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Thumbnail {
    /// The last part of its URL and of its key.
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.height, self.content_type.extension())
    }

    /// The same thumbnail as WebP, if it has that variant.
    pub fn webp_variant(&self) -> Option<Self> {
        let size = self.webp_size?;
        Some(Self { size, content_type: ContentType::WebP, webp_size: None, ..*self })
    }
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Processing, Self::Ready, Self::Rejected];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Rejected => "rejected",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl RejectCode {
    pub const ALL: [Self; 10] = [
        Self::NotAnImage,
        Self::TypeMismatch,
        Self::Truncated,
        Self::Corrupt,
        Self::TooManyPixels,
        Self::SideTooLong,
        Self::Unsupported,
        Self::TooComplex,
        Self::TookTooLong,
        Self::TitleLost,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAnImage => "not_an_image",
            Self::TypeMismatch => "type_mismatch",
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
            Self::TooManyPixels => "too_many_pixels",
            Self::SideTooLong => "side_too_long",
            Self::Unsupported => "unsupported",
            Self::TooComplex => "too_complex",
            Self::TookTooLong => "took_too_long",
            Self::TitleLost => "title_lost",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

impl Warning {
    pub const ALL: [Self; 1] = [Self::Truncated];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|warning| warning.as_str() == text)
    }
}

impl Visibility {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Public, Self::Private].into_iter().find(|visibility| visibility.as_str() == text)
    }
}

impl Sha256 {
    /// 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

macro_rules! serialize_as_str {
    ($($name:ty),+) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+};
}
serialize_as_str!(Status, Visibility, RejectCode, Warning);

impl Ready {
    /// Returns true if its thumbnails are those of a plan. `None`: without a plan, images have no thumbnails.
    pub fn has_thumbnails_of(&self, plan: Option<&Plan>) -> bool {
        let heights = plan.map_or(&[][..], |plan| &plan.thumbnail_heights);
        let has_webp = match plan {
            Some(plan) if plan.webp_thumbnails => {
                self.webp_thumbnails || self.thumbnails.iter().all(|it| it.content_type == ContentType::WebP)
            }
            _ => self.thumbnails.iter().all(|thumbnail| thumbnail.webp_size.is_none()),
        };
        has_webp && self.has_heights(heights)
    }

    fn has_heights(&self, heights: &[u32]) -> bool {
        let image = (self.width, self.height);
        let mut wanted: Vec<u32> = heights.iter().map(|&height| thumbnail_size(image, height).1).collect();
        wanted.sort_unstable();
        wanted.dedup();
        self.thumbnails.iter().map(|thumbnail| thumbnail.height).eq(wanted)
    }
}

/// The largest width of a thumbnail relative to the height that the plan asks for. Panoramas that are wider have lower
/// thumbnails.
pub const MAX_ASPECT_RATIO: u32 = 4;

/// The size of the thumbnail of a `height`: the image's aspect ratio to the nearest pixel, within a box of that height
/// and [`MAX_ASPECT_RATIO`] times that width, and not larger than the image.
pub fn thumbnail_size(image: (u32, u32), height: u32) -> (u32, u32) {
    // `part` of `side` is to `whole` what the other side of the thumbnail is to that of the image.
    let scaled = |side: u32, part: u32, whole: u32| {
        let scaled = u64::from(side) * u64::from(part) * 2 + u64::from(whole);
        ((scaled / (2 * u64::from(whole))) as u32).max(1)
    };
    let most_width = height.saturating_mul(MAX_ASPECT_RATIO);
    if u64::from(image.0) > u64::from(image.1) * u64::from(MAX_ASPECT_RATIO) {
        return if most_width >= image.0 { image } else { (most_width, scaled(image.1, most_width, image.0)) };
    }
    if height >= image.1 { image } else { (scaled(image.0, height, image.1), height) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PlanName;

    #[test]
    fn thumbnails_are_right_when_their_heights_are_the_plans_but_never_more_than_the_images() {
        let ready = |heights: &[u32]| Ready {
            width: 400,
            height: 300,
            placeholder: Vec::new(),
            thumbnails: heights
                .iter()
                .map(|&height| Thumbnail {
                    height,
                    width: 1,
                    size: 1,
                    content_type: ContentType::Jpeg,
                    webp_size: None,
                })
                .collect(),
            webp_thumbnails: false,
            built_for: ThumbnailSetId::plan(None, 0),
            warnings: Vec::new(),
            photo: None,
        };
        assert!(ready(&[200, 300]).has_heights(&[200, 400]));
        assert!(ready(&[200, 300]).has_heights(&[800, 200, 400]));
        assert!(ready(&[]).has_heights(&[]));
        assert!(!ready(&[200]).has_heights(&[200, 400]));
        assert!(!ready(&[200, 300]).has_heights(&[200]));
        assert_ne!(ThumbnailSetId::plan(None, 0), ThumbnailSetId::plan(None, 1));
    }

    #[test]
    fn webp_variants_are_right_when_they_were_tried_as_the_plan_says() {
        let plan = |webp_thumbnails| Plan {
            name: PlanName::from_stored("Basic"),
            thumbnail_heights: vec![200],
            webp_thumbnails,
            original_link: false,
            expiring_links: false,
            max_image_bytes: 1,
            max_images: 1,
            version: 1,
        };
        let ready = |content_type, webp_thumbnails, webp_size| Ready {
            width: 400,
            height: 300,
            placeholder: Vec::new(),
            thumbnails: vec![Thumbnail { height: 200, width: 267, size: 9, content_type, webp_size }],
            webp_thumbnails,
            built_for: ThumbnailSetId::plan(None, 0),
            warnings: Vec::new(),
            photo: None,
        };
        for (ready, with, without) in [
            (ready(ContentType::Jpeg, false, None), false, true),
            (ready(ContentType::Jpeg, true, Some(7)), true, false),
            // WebP was not smaller.
            (ready(ContentType::Jpeg, true, None), true, true),
            (ready(ContentType::WebP, false, None), true, true),
        ] {
            assert_eq!(ready.has_thumbnails_of(Some(&plan(true))), with, "{ready:?}");
            assert_eq!(ready.has_thumbnails_of(Some(&plan(false))), without, "{ready:?}");
            assert!(!ready.has_thumbnails_of(None));
        }
    }

    #[test]
    fn a_hash_is_64_lower_case_digits_and_reads_back() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(Sha256::parse(&text).unwrap().to_string(), text);
        for bad in [&text[1..], &text.to_uppercase(), &text.replace('0', "g"), ""] {
            assert_eq!(Sha256::parse(bad), None);
        }
    }

    #[test]
    fn states_and_codes_read_back() {
        for code in RejectCode::ALL {
            assert_eq!(RejectCode::parse(code.as_str()), Some(code));
        }
        for warning in Warning::ALL {
            assert_eq!(Warning::parse(warning.as_str()), Some(warning));
        }
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
    }
}
