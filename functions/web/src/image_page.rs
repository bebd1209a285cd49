use std::fmt::Write;

use lambda_http::{Request, RequestExt};
use tintype_gateway::{Answer, base_url, thumbnail_url};
use tintype_model::{Image, ImageId, ImageState};
use tintype_store::{Key, Store, StoreError};
use tintype_telemetry::record_image;

use crate::{PageFunction, header, site};

/// Returns the page, with Open Graph tags if the image is public. The page is the same, byte by byte, for an image that
/// is private, that does not exist and that cannot be read now: who may see it finds out by the API.
pub(crate) async fn handle(app: &PageFunction, store: &Store, request: &Request) -> Answer {
    let generic = || app.site.page(header(request, "accept-encoding").unwrap_or_default());
    let id = request.raw_http_path().rsplit('/').next().unwrap_or_default();
    let Ok(id) = id.parse::<ImageId>() else { return (generic(), None) };
    record_image(id);
    match find(store, id).await {
        Ok(Some(image)) => (site::html(with_tags(app, request, &image)), None),
        Ok(None) => (generic(), None),
        Err(error) => (generic(), Some(error.to_string())),
    }
}

async fn find(store: &Store, id: ImageId) -> Result<Option<Image>, StoreError> {
    let items = store.read([Key::image(id), Key::profile(id.owner)]).await?;
    let owner = items.profile(id.owner)?;
    Ok(items.image(id)?.filter(|image| owner.is_some() && image.is_published()))
}

fn with_tags(app: &PageFunction, request: &Request, image: &Image) -> String {
    let base = base_url(app.public_url.as_deref(), request);
    let tags = tags(&base, image);
    // A description of Explore is none of this image.
    let lines = app.site.index().split_inclusive('\n').filter(|line| !line.contains("<meta name=\"description\""));
    let index: String = lines.collect();
    let title = format!("<title>{} · Tintype</title>", escape(image.title.as_str()));
    match (index.find("<title>"), index.find("</title>")) {
        (Some(start), Some(end)) => format!("{}{title}{tags}{}", &index[..start], &index[end + "</title>".len()..]),
        _ => index.replacen("</head>", &format!("{title}{tags}</head>"), 1),
    }
}

/// <https://ogp.me> and <https://developer.x.com/en/docs/x-for-websites/cards>.
fn tags(base: &str, image: &Image) -> String {
    let mut tags = String::new();
    let mut add = |kind: &str, name: &str, content: &str| {
        let _ = write!(tags, "\n    <meta {kind}=\"{name}\" content=\"{}\" />", escape(content));
    };
    let (title, description) = (image.title.as_str(), image.description.as_str());
    add("property", "og:site_name", "Tintype");
    add("property", "og:type", "website");
    add("property", "og:title", title);
    add("property", "og:url", &format!("{base}/i/{}", image.id));
    add("name", "twitter:card", "summary_large_image");
    add("name", "twitter:title", title);
    if !description.is_empty() {
        add("name", "description", description);
        add("property", "og:description", description);
        add("name", "twitter:description", description);
    }
    let ImageState::Ready(ready) = &image.state else { return tags };
    if let Some(largest) = ready.thumbnails.iter().max_by_key(|thumbnail| thumbnail.height) {
        let url = thumbnail_url(base, image.id, largest);
        add("property", "og:image", &url);
        add("property", "og:image:type", largest.content_type.as_str());
        add("property", "og:image:width", &largest.width.to_string());
        add("property", "og:image:height", &largest.height.to_string());
        add("property", "og:image:alt", title);
        add("name", "twitter:image", &url);
        add("name", "twitter:image:alt", title);
    }
    tags
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}
