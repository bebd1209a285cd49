use http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use tintype_model::{Cursor, JobId};
use tintype_store::{ImageFilter, Key, LinkPage, Profiles};

use super::Me;
use crate::error::Problem;
use crate::fields::{Limit, QueryText};
use crate::image_view::ImageView;
use crate::operation::{AuthRequirement, Operation, ResponseDoc, of, parameters_of};
use crate::request::Request;
use crate::response::{self, Response};
use crate::routes::links::LinkView;

/// A page of an export: images, newest first, then links.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExportPage")]
struct ExportPage<'a> {
    /// Set on the first page.
    account: Option<Me<'a>>,
    /// Those that are ready have a presigned `image_url`, valid until `url_expires_at`; read the page again for a new one.
    /// Without thumbnails.
    images: Vec<ImageView<'a>>,
    links: Vec<LinkView<'a>>,
    /// The cursor of the next page; `null` on the last page.
    next_cursor: Option<&'a str>,
}

input! {
    pub(crate) struct GetExport {
        limit: Limit = Limit::DEFAULT,
        cursor: Option<QueryText> = None,
    }
}

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Accounts",
    summary: "Get a page of the caller's export: all records, with URLs of the originals",
    auth: AuthRequirement::Required,
    query: Some(parameters_of::<GetExport>),
    responses: &[ResponseDoc::json(
        200,
        "A page. The last one with images may hold up to `limit` links too.",
        of::<ExportPage<'static>>,
    )
    .with(&["Link"])],
    problems: &[
        (400, "bad_cursor", "The cursor does not belong to this list."),
        (404, "no_export", "No export has begun, or it has ended."),
    ],
    ..Operation::DEFAULT
};

/// The list that a cursor continues.
#[derive(Clone, Copy)]
enum Part {
    Images(Option<Cursor>),
    Links(Cursor),
}

pub(crate) async fn handle(request: &Request<'_>) -> Result<Response, Problem> {
    let GetExport { limit: Limit(limit), cursor } = request.query()?;
    let user = request.token_subject().await?;
    let id = JobId::export(user);
    let is_first = cursor.is_none();
    let counters = Profiles::usage_keys(user).filter(|_| is_first);
    let (caller, items) = request.authenticate_with(counters.chain([Key::job(id)])).await?;
    if items.job(id)?.is_none_or(|export| export.export_end() <= request.now) {
        let detail = "No export has begun, or it has ended. POST /api/me/export begins one.";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_export", detail));
    }
    let (image_list, link_list) = (format!("export-images#{user}"), format!("export-links#{user}"));
    let part = match request.open_cursor(cursor.clone(), &image_list) {
        Ok(after) => Part::Images(after),
        Err(problem) => Part::Links(request.open_cursor(cursor, &link_list)?.ok_or(problem)?),
    };
    let store = &request.app.store;
    let (images, next_image) = match part {
        Part::Links(_) => (Vec::new(), None),
        Part::Images(after) => {
            let page = store.images.list(user, &ImageFilter::default(), after, limit, request.now).await?;
            (page.images, page.next)
        }
    };
    let links = match (part, next_image) {
        (Part::Images(_), Some(_)) => LinkPage::default(),
        (Part::Images(_), None) => store.links.list(user, None, limit, request.now).await?,
        (Part::Links(after), _) => store.links.list(user, Some(after), limit, request.now).await?,
    };
    let seal = |cursor: Option<Cursor>, list| cursor.map(|cursor| cursor.seal(request.signing(), list));
    let next = seal(next_image, &image_list).or_else(|| seal(links.next, &link_list));
    let mut views = Vec::with_capacity(images.len());
    for image in &images {
        views.push(ImageView::exported(request, image, &caller.profile).await?);
    }
    let account = if is_first { Some(Me::new(&caller, &caller.profile, items.usage(user)?)) } else { None };
    let page = ExportPage {
        account,
        images: views,
        links: links.links.iter().map(|link| LinkView::new(request, link)).collect(),
        next_cursor: next.as_deref(),
    };
    Ok(request.with_next_link(response::ok(&page), next.as_deref()))
}
