//! Serves the web page: SAM's `Handler:` names `page`, which gives the page and its files and asks no other service, or
//! `image_page`, which adds a public image's Open Graph tags.

mod image_page;
mod security;
mod site;

use std::env;
use std::sync::Arc;

use http::StatusCode;
use lambda_http::{Error, Request, RequestExt};
use tintype_gateway::response::{self, Response, unless_matched};
use tintype_gateway::{Answer, DOCS, FILES, PAGES, matches, prefers_html};
use tintype_store::Store;

use crate::security::SecurityHeaders;
use crate::site::Site;

struct PageFunction {
    site: Site,
    /// For `image_page` alone.
    store: Option<Store>,
    /// The origin of this deployment, if it is not the host that a request is sent to.
    public_url: Option<String>,
    security: SecurityHeaders,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tintype_telemetry::init_log();
    let handler: &'static str = match env::var("_HANDLER")?.as_str() {
        "page" => "page",
        "image_page" => "image_page",
        other => return Err(format!("no handler is named {other:?}").into()),
    };
    let public_url = env::var("PUBLIC_URL").ok().filter(|url| !url.is_empty());
    let public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
    let store = match handler {
        "image_page" => {
            let shards = env::var("FEED_SHARDS").map_or(Ok(4), |text| text.parse())?;
            Some(Store::new(&tintype_store::aws_config()?, env::var("TABLE")?, shards))
        }
        _ => None,
    };
    let security = SecurityHeaders::from_env(public_url.as_deref())?;
    let app = Arc::new(PageFunction { site: Site::open()?, store, public_url, security });
    tintype_gateway::run(handler, move |request| {
        let app = Arc::clone(&app);
        async move { answer(&app, &request).await }
    })
    .await
}

async fn answer(app: &PageFunction, request: &Request) -> Answer {
    let (response, cause) = match &app.store {
        Some(store) => image_page::handle(app, store, request).await,
        None => (page(app, request), None),
    };
    let response = app.security.add_to(response, request.raw_http_path() == DOCS);
    (unless_matched(response, request.method(), header(request, "if-none-match")), cause)
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

/// Returns the page, or one of its files.
fn page(app: &PageFunction, request: &Request) -> Response {
    let encodings = header(request, "accept-encoding").unwrap_or_default();
    let path = request.raw_http_path();
    if PAGES.iter().any(|page| matches(page, path)) {
        return app.site.page(encodings);
    }
    if FILES.iter().any(|file| matches(file, path)) {
        let path = if path == DOCS { "/docs.html" } else { path };
        return app.site.file(path, encodings).unwrap_or_else(not_found);
    }
    let bare = path.trim_end_matches('/');
    if bare.len() < path.len() && PAGES.iter().chain(FILES).any(|template| matches(template, bare)) {
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        return response::redirect(StatusCode::PERMANENT_REDIRECT, format!("{bare}{query}"));
    }
    let is_page = !["/api", "/media", "/assets"].into_iter().any(|folder| is_below(path, folder));
    if is_page && header(request, "accept").is_some_and(prefers_html) {
        return app.site.missing_page(encodings);
    }
    not_found()
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn not_found() -> Response {
    response::problem(StatusCode::NOT_FOUND, "not_found", "Not found.")
}
