pub(super) mod get_original;
pub(super) mod get_thumbnail;
pub(super) mod visit_link;

use tintype_model::{Image, ImageId, ImageKey, Profile, UserId};
use tintype_store::Key;

use crate::error::Problem;
use crate::request::Request;
use tintype_telemetry::record_image;

/// The lifetime of the presigned URLs that media redirects to.
const REDIRECT_SECONDS: u64 = 60;

/// Loads the published image that a path names, and its owner. Private, unknown and deleted images are all not found.
async fn load_published(request: &Request<'_>, owner: &str, key: &str) -> Result<(Image, Profile), Problem> {
    let (Ok(owner), Ok(key)) = (owner.parse::<UserId>(), key.parse::<ImageKey>()) else {
        return Err(Problem::not_found());
    };
    let id = ImageId { owner, key };
    record_image(id);
    let items = request.app.store.read([Key::image(id), Key::profile(owner)]).await?;
    match (items.image(id)?, items.profile(owner)?) {
        (Some(image), Some(owner)) if image.is_published() => Ok((image, owner)),
        _ => Err(Problem::not_found()),
    }
}

/// Returns the file name without its extension, if that is the extension of the image's type.
fn stem<'a>(file: &'a str, image: &Image) -> Option<&'a str> {
    file.strip_suffix(image.blob.content_type.extension())?.strip_suffix('.')
}
