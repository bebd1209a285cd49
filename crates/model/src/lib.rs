//! The domain: images, titles, owners, plans, links and jobs, and their rules. Nothing here depends on AWS or HTTP, or
//! reads a clock: times are parameters.

mod content_type;
mod cursor;
pub mod encoding;
mod idempotency;
mod ids;
mod image;
mod job;
mod link;
mod photo;
mod plan;
mod profile;
mod schema;
mod session;
mod signing;
mod text;
mod time;

pub use content_type::{ContentType, SNIFFED_BYTES, UnknownContentType, other_format};
pub use cursor::{BadCursor, Cursor};
pub use idempotency::{Idempotency, IdempotencyRecord};
pub use ids::{BadId, ImageId, ImageKey, UserId};
pub use image::{
    Blob, Image, ImageState, MAX_ASPECT_RATIO, MAX_IMAGE_BYTES, Ready, RejectCode, Sha256, Status, Thumbnail,
    ThumbnailSetId, Visibility, Warning, thumbnail_size,
};
pub use job::{Job, JobCursor, JobId, JobKind, JobStatus, Work};
pub use link::{Lifetime, Link, LinkId, LinkKey, LinkToken};
pub use photo::{Photo, Place};
pub use plan::{Heights, Plan, PlanName};
pub use profile::{Profile, Usage};
pub use session::{BadRefreshToken, Claims, RefreshToken};
pub use signing::SigningKeys;
pub use text::{Description, Email, PersonName, TextError, Title};
pub use time::Timestamp;
