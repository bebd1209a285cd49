use http::header::HOST;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use tintype_model::{ImageId, Thumbnail};

/// The paths of the web page, with `{parameters}` as in `template.yaml`. The page's router decides what each one shows.
pub const PAGES: &[&str] = &[
    "/",
    "/images",
    "/links",
    "/account",
    "/admin",
    "/login",
    "/signup",
    "/confirm",
    "/reset",
    "/jobs/{id}",
    "/i/{id}",
];

/// The documentation of the API, a page of its own.
pub const DOCS: &str = "/api/docs";

/// The paths of the other files that the function `page` serves.
pub const FILES: &[&str] = &["/assets/{file}", "/licenses.txt", "/robots.txt", DOCS];

/// Returns the parameters of `path` if it has the form of `template`, each of whose `{parameters}` is a whole segment.
pub fn params<'t>(template: &'t str, path: &str) -> Option<Vec<(&'t str, String)>> {
    let (mut parts, mut given) = (template.split('/'), path.split('/'));
    let mut params = Vec::new();
    loop {
        match (parts.next(), given.next()) {
            (None, None) => return Some(params),
            (Some(part), Some(value)) => match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
                Some(name) if !value.is_empty() => params.push((name, value.to_owned())),
                None if part == value => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

/// Returns true if `path` has the form of `template`.
pub fn matches(template: &str, path: &str) -> bool {
    params(template, path).is_some()
}

/// Returns what the URLs of this deployment begin with, without a slash at the end: `public_url`, or the host that the
/// request was sent to.
pub fn base_url(public_url: Option<&str>, request: &Request) -> String {
    let host = || request.headers().get(HOST)?.to_str().ok();
    let domain = || match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => context.domain_name.as_deref(),
        _ => None,
    };
    public_url.map_or_else(|| format!("https://{}", host().or_else(domain).unwrap_or_default()), str::to_owned)
}

/// Returns the URL of a public image's thumbnail.
pub fn thumbnail_url(base: &str, image: ImageId, thumbnail: &Thumbnail) -> String {
    format!("{base}/media/thumbnail/{}/{}/{}", image.owner, image.key, thumbnail.file_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_its_parameters_to_its_own_template_alone() {
        let template = "/api/images/{id}/upload";
        assert_eq!(params(template, "/api/images/abc/upload"), Some(vec![("id", "abc".to_owned())]));
        for other in ["/api/images//upload", "/api/images/abc", "/api/images/abc/upload/", "/api/images/abc/upload/x"] {
            assert!(!matches(template, other), "{other}");
        }
        assert!(matches("/", "/"));
        for other in ["", "//", "/images"] {
            assert!(!matches("/", other), "{other}");
        }
    }
}
