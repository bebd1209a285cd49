use std::env;

use tintype_gateway::response::{Response, WithHeader};

/// The viewer's style sheet has its icons as `data:` images. Calls are tried with this service alone.
const DOCS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Headers that limit what the page can do and who can embed it.
pub(crate) struct SecurityHeaders {
    /// The page's Content-Security-Policy.
    policy: String,
    https: bool,
}

impl SecurityHeaders {
    /// Reads the buckets' addresses, which the page sends uploads to and shows images from.
    pub(crate) fn from_env(public_url: Option<&str>) -> Result<Self, env::VarError> {
        let originals = bucket_url("ORIGINALS")?;
        let thumbnails = bucket_url("THUMBNAILS")?;
        // The URLs of public images begin with it, which may be another host than the page was opened at.
        let own = public_url.map(|url| format!(" {url}")).unwrap_or_default();
        let policy = [
            "default-src 'none'".to_owned(),
            "script-src 'self'".to_owned(),
            "style-src 'self'".to_owned(),
            "worker-src 'self'".to_owned(),
            "manifest-src 'self'".to_owned(),
            format!("img-src 'self'{own} {originals} {thumbnails}"),
            format!("connect-src 'self' {originals}"),
            "form-action 'self'".to_owned(),
            "base-uri 'none'".to_owned(),
            "frame-ancestors 'none'".to_owned(),
        ];
        // Without an address of its own the deployment has API Gateway's, which takes https alone.
        let https = public_url.is_none_or(|url| url.starts_with("https:"));
        Ok(Self { policy: policy.join("; "), https })
    }

    /// `docs`: for the documentation of the API.
    pub(crate) fn add_to(&self, response: Response, docs: bool) -> Response {
        let response = response
            .with_header("content-security-policy", if docs { DOCS_POLICY } else { &*self.policy })
            .with_header("referrer-policy", "same-origin")
            .with_header("cross-origin-opener-policy", "same-origin");
        match self.https {
            true => response.with_header("strict-transport-security", "max-age=63072000"),
            false => response,
        }
    }
}

/// Returns where presigned URLs of a bucket lead: a host of its own, or a path at the endpoint that the AWS SDK was told.
fn bucket_url(name: &str) -> Result<String, env::VarError> {
    if let Some(endpoint) = env::var("AWS_ENDPOINT_URL").ok().filter(|url| !url.is_empty()) {
        let bucket = env::var(format!("{name}_BUCKET"))?;
        return Ok(format!("{}/{bucket}/", endpoint.trim_end_matches('/')));
    }
    Ok(format!("https://{}", env::var(format!("{name}_DOMAIN"))?))
}
