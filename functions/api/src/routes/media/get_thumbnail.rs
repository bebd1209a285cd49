use std::time::Duration;

use http::{Method, StatusCode};
use tintype_gateway::prefers_webp;
use tintype_model::{ImageId, ImageState, Thumbnail, ThumbnailSetId};
use tintype_store::{Fetched, ThumbnailKey};

use crate::error::Problem;
use crate::operation::{Operation, RequestHeader, ResponseDoc, binary};
use crate::request::Request;
use crate::response::{self, Response, WithHeader};

/// The largest thumbnail that fits a response: Lambda's limit is 6 MB of JSON, in which bytes are base64.
const MAX_INLINE: u64 = 4 * 1024 * 1024;

/// A minute: caches serve an image that became private no longer than that. CloudFront would serve it longer while the API fails
/// ("Manage how long content stays in the cache").
const CACHE: &str = "public, max-age=60, must-revalidate, stale-if-error=0";

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Media",
    summary: "Get a thumbnail of a public image",
    headers: &[RequestHeader::IfNoneMatch],
    responses: &[
        ResponseDoc {
            status: 200,
            description: "Its bytes. WebP if `Accept` names `image/webp`, with a weight no lower than that of the \
                thumbnail's type, the owner's plan has WebP thumbnails, and WebP is smaller.",
            content: Some(("image/*", binary)),
            headers: &["ETag", "Vary"],
        },
        ResponseDoc::empty(
            302,
            "Redirect to a URL that is valid for at most a minute, if the thumbnail is too large for a response.",
        )
        .with(&["Location", "Vary"]),
    ],
    problems: &[(404, "not_found", "No such public image.")],
    ..Operation::DEFAULT
};

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let (image, _) = super::load_published(request, request.param("owner"), request.param("image")).await?;
    let ImageState::Ready(ready) = &image.state else { return Err(Problem::not_found()) };
    let file = request.param("file");
    let thumbnail = ready.thumbnails.iter().find(|thumbnail| thumbnail.file_name() == file);
    let thumbnail = thumbnail.ok_or_else(Problem::not_found)?;
    let prefers_webp = request.header("accept").is_some_and(|it| prefers_webp(it, thumbnail.content_type.as_str()));
    let variant = thumbnail.webp_variant().filter(|_| prefers_webp);
    let response = respond(request, image.id, &ready.built_for, variant.as_ref().unwrap_or(thumbnail)).await?;
    Ok(response.with_header("vary", "Accept"))
}

async fn respond(
    request: &Request<'_>,
    image: ImageId,
    set: &ThumbnailSetId,
    thumbnail: &Thumbnail,
) -> Result<Response, Problem> {
    let blobs = &request.app.blobs;
    let key = ThumbnailKey { image, set, thumbnail };
    if thumbnail.size > MAX_INLINE {
        let method = if *request.http.method() == Method::HEAD {
            tintype_store::ReadKind::Head
        } else {
            tintype_store::ReadKind::Get
        };
        let lasting = Duration::from_secs(super::REDIRECT_SECONDS);
        let signed = blobs.sign_thumbnail(key, method, request.now, lasting).await?;
        return Ok(response::redirect(StatusCode::FOUND, signed.url));
    }
    let known = request.header("if-none-match").map(str::to_owned);
    match blobs.fetch_thumbnail(key, known).await? {
        Fetched::Bytes { bytes, etag } => Ok(response::content(StatusCode::OK, thumbnail.content_type.as_str(), bytes)
            .with_header("etag", etag)
            .with_header("cache-control", CACHE)),
        // A 304 has the ETag of the 200 (RFC 9110, 15.4.5): it tells a cache which of two variants it has.
        Fetched::NotModified { etag } => {
            let response = response::empty(StatusCode::NOT_MODIFIED).with_header("cache-control", CACHE);
            Ok(match etag {
                Some(etag) => response.with_header("etag", etag),
                None => response,
            })
        }
        // Just replaced or deleted.
        Fetched::Missing => Err(Problem::not_found()),
    }
}
