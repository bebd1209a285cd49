//! Shared by the functions behind API Gateway's HTTP API. Function URLs and Application Load Balancers can call them too.

mod accept;
pub mod response;
mod serve;
mod urls;

pub use accept::{accepts, prefers_html, prefers_webp};
pub use serve::{Answer, run};
pub use urls::{DOCS, FILES, PAGES, base_url, matches, params, thumbnail_url};
