use std::time::Duration;

use http::{Method, StatusCode};
use tintype_model::State;
use tintype_store::{Fetched, ThumbnailKey};

use crate::error::Problem;
use crate::openapi::{Answer, Header, Operation, PLAIN, binary};
use crate::reply::Reply;
use crate::request::Request;

/// The largest thumbnail that a function's answer can carry: Lambda's bound is 6 MB of JSON, in which bytes are base64.
const MAX_INLINE: u64 = 4 * 1024 * 1024;

/// For a minute, so that an image that is made private is gone everywhere within that.
const CACHE: &str = "public, max-age=60";

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Media",
    summary: "Get a thumbnail of a public image",
    headers: &[Header::IfNoneMatch],
    replies: &[
        Answer { status: 200, description: "Its bytes.", content: Some(("image/*", binary)), headers: &["ETag"] },
        Answer::empty(
            302,
            "Redirect to a URL that is valid for at most a minute, if the thumbnail is too large for a response.",
        )
        .with(&["Location"]),
    ],
    problems: &[(404, "not_found", "No such public image.")],
    ..PLAIN
};

/// A thumbnail of a public image: its bytes.
pub(crate) async fn handle(request: &Request<'_>) -> Result<Reply, Problem> {
    let (image, _) = super::load_published(request, request.param("owner"), request.param("image")).await?;
    let State::Ready(ready) = &image.state else { return Err(Problem::not_found()) };
    let stem = super::stem(request.param("file"), &image);
    let thumbnail = ready.thumbnails.iter().find(|thumbnail| stem == Some(&thumbnail.height.to_string()));
    let thumbnail = thumbnail.ok_or_else(Problem::not_found)?;

    let (blobs, kind) = (&request.app.blobs, image.blob.content_type);
    let key = ThumbnailKey { image: image.id, set: &ready.built_for, height: thumbnail.height, kind };
    if thumbnail.size > MAX_INLINE {
        let method =
            if *request.method() == Method::HEAD { tintype_store::Method::Head } else { tintype_store::Method::Get };
        let lasting = Duration::from_secs(super::REDIRECT_SECONDS);
        let signed = blobs.sign_thumbnail(key, method, request.now, lasting).await?;
        return Ok(Reply::redirect(StatusCode::FOUND, signed.url));
    }
    let known = request.header("if-none-match").map(str::to_owned);
    match blobs.fetch_thumbnail(key, known).await? {
        Fetched::Bytes { bytes, etag } => {
            Ok(Reply::bytes(kind.as_str(), bytes).with_header("etag", etag).with_header("cache-control", CACHE))
        }
        Fetched::NotModified => Ok(Reply::empty(StatusCode::NOT_MODIFIED).with_header("cache-control", CACHE)),
        // Being replaced this moment, or just deleted.
        Fetched::Missing => Err(Problem::not_found()),
    }
}
