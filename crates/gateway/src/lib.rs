//! Shared by the functions behind API Gateway's HTTP API. Function URLs and Application Load Balancers can call them too.

mod encoding;
mod log;
pub mod response;
mod serve;
mod urls;

pub use encoding::accepts;
pub use log::log_request;
pub use serve::run;
pub use urls::{DOCS, FILES, PAGES, base_url, matches, params, thumbnail_url};
