//! The domain: what an image, a title, an owner, a plan and a page are, and the rules that hold between
//! them. Nothing here knows AWS, HTTP or a clock: times come in as values.

mod cursor;
mod idempotency;
mod ids;
mod image;
mod job;
mod link;
mod plan;
mod profile;
pub mod schema;
mod session;
mod signing;
mod text;
mod time;

pub use cursor::{BadCursor, Cursor};
pub use idempotency::{FirstRequest, Idempotency};
pub use ids::{BadId, ImageId, ImageKey, UserId};
pub use image::{
    Blob, BuiltFor, ContentType, Image, MAX_IMAGE_BYTES, Ready, Sha256, State, Status, Thumbnail, UnknownContentType,
    Visibility,
};
pub use job::{Job, JobId, JobKind, JobStatus, Place, Work};
pub use link::{Lifetime, Link, LinkId, LinkKey, LinkToken};
pub use plan::{Heights, Plan, PlanName};
pub use profile::{Profile, Usage};
pub use session::{BadRefreshToken, Claims, RefreshToken};
pub use signing::SigningKey;
pub use text::{Description, Email, PersonName, TextError, Title};
pub use time::Timestamp;
