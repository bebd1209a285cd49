use std::net::IpAddr;

use http::StatusCode;
use lambda_http::RequestExt;
use lambda_http::request::RequestContext;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tintype_model::{Cursor, Idempotency, ImageId, SigningKeys, Timestamp, UserId};

use crate::app::App;
use crate::error::Problem;
use crate::fields::{FieldReader, QueryText};
use crate::input::Input;
use crate::response::{self, Response, WithHeader};
use tintype_telemetry::record_image;

/// The largest body in bytes of all routes except the batch.
const MAX_BODY: usize = 64 * 1024;

/// The header that only the CDN knows the value of, as `template.yaml` names it.
const CDN_HEADER: &str = "x-tintype-cdn";

/// A page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(crate) struct Page<'a, T> {
    pub(crate) results: &'a [T],
    /// The cursor of the next page; `null` on the last page.
    pub(crate) next_cursor: Option<&'a str>,
}

/// The attempts of a change that conflicts with others before the client gets 503.
pub(crate) const CHANGE_TRIES: u32 = 8;

/// A request to a route.
pub(crate) struct Request<'a> {
    pub(crate) app: &'a App,
    pub(crate) now: Timestamp,
    pub(crate) http: lambda_http::Request,
    params: Vec<(&'static str, String)>,
    signing: Option<SigningKeys>,
}

impl<'a> Request<'a> {
    pub(crate) fn new(app: &'a App, template: &'static str, http: lambda_http::Request, now: Timestamp) -> Self {
        let params = tintype_gateway::params(template, http.raw_http_path()).unwrap_or_default();
        Self { app, now, http, params, signing: None }
    }

    /// The decoded path, from the gateway.
    pub(crate) fn path(&self) -> &str {
        self.http.raw_http_path()
    }

    pub(crate) fn query_string(&self) -> &str {
        self.http.uri().query().unwrap_or_default()
    }

    /// The claims from the authorizer of the gateway, if the route has one.
    pub(crate) fn authorized_claims(&self) -> Option<Value> {
        let jwt = self.http.request_context_ref()?.authorizer()?.jwt.as_ref()?;
        Some(serde_json::json!(jwt.claims))
    }

    /// Reads the keys of routes that sign.
    pub(crate) async fn read_signing_keys(&mut self) -> Result<(), Problem> {
        if let Some(ring) = &self.app.signing {
            self.signing = Some(ring.at(self.now).await?);
        }
        Ok(())
    }

    /// The keys that sign and verify. Panics where `template.yaml` gives the route none.
    pub(crate) fn signing(&self) -> &SigningKeys {
        self.signing.as_ref().expect("the route has SIGNING_KEYS in its environment")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.http.headers().get(name)?.to_str().ok()
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.http.headers().contains_key(name)
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.header("cookie")?.split(';');
        cookies.map(str::trim).find_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='))
    }

    /// The address of the client: an IPv4 address, or the /64 network that one IPv6 customer has. A client may send the
    /// header with which the CDN names the viewer's, so it counts only in requests that came through the CDN.
    pub(crate) async fn caller_network(&self) -> Result<String, Problem> {
        if let (Some(cdn), Some(given)) = (&self.app.cdn, self.header(CDN_HEADER))
            && cdn.is(given).await?
            && let Some(viewer) = self.header("cloudfront-viewer-address").and_then(without_port)
        {
            return Ok(network(viewer));
        }
        let forwarded = || self.header("x-forwarded-for")?.rsplit(',').next().map(str::trim);
        let address = match self.http.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref(),
            // The load balancer adds the client's address as the last.
            _ => forwarded(),
        };
        Ok(network(address.unwrap_or_default()))
    }

    /// A field of a form; empty if the form does not have it.
    pub(crate) fn form_field(&self, name: &str) -> Result<String, Problem> {
        self.check_size(MAX_BODY)?;
        self.check_type("application/x-www-form-urlencoded", "a form's")?;
        let field = form_urlencoded::parse(self.http.body()).find(|(known, _)| known == name);
        Ok(field.map(|(_, value)| value.into_owned()).unwrap_or_default())
    }

    fn check_size(&self, max: usize) -> Result<(), Problem> {
        if self.http.body().len() <= max {
            return Ok(());
        }
        let detail = format!("The body is larger than {max} bytes.");
        Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail))
    }

    fn check_type(&self, wanted: &str, what: &str) -> Result<(), Problem> {
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case(wanted) {
            return Ok(());
        }
        let detail = format!("The body must be {what}, with Content-Type: {wanted}.");
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
    }

    /// A path parameter. Panics if the template of the route does not have it.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map(|(_, value)| value).expect("a parameter of the route")
    }

    /// The image that the path names, if its id is valid.
    pub(crate) fn image_id(&self) -> Option<ImageId> {
        let id = self.param("id").parse().ok()?;
        record_image(id);
        Some(id)
    }

    /// The origin of URLs of this API, without a slash at the end.
    pub(crate) fn base_url(&self) -> String {
        tintype_gateway::base_url(self.app.public_url.as_deref(), &self.http)
    }

    /// Parses a JSON body: an object with the fields of `T` and no others.
    pub(crate) fn body<T: Input>(&self) -> Result<T, Problem> {
        self.body_up_to(MAX_BODY)
    }

    /// Like [`Self::body`], for bodies of up to `max` bytes.
    pub(crate) fn body_up_to<T: Input>(&self, max: usize) -> Result<T, Problem> {
        self.check_size(max)?;
        self.check_type("application/json", "JSON")?;
        let value: Value = serde_json::from_slice(self.http.body())
            .map_err(|e| Problem::bad_request("bad_json", format!("The body is not JSON: {e}.")))?;
        read_object(value, "The body must be a JSON object.")
    }

    /// Like [`Self::body`]; a request without a body has no fields.
    pub(crate) fn body_or_none<T: Input>(&self) -> Result<T, Problem> {
        if self.http.body().is_empty() { read(Map::new(), true) } else { self.body() }
    }

    /// Parses the query; ignores parameters that `T` does not have.
    pub(crate) fn query<T: Input>(&self) -> Result<T, Problem> {
        let pairs = form_urlencoded::parse(self.query_string().as_bytes());
        read(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect(), false)
    }

    /// The cursor of the request, from an earlier page of `list`.
    pub(crate) fn open_cursor(&self, cursor: Option<QueryText>, list: &str) -> Result<Option<Cursor>, Problem> {
        let open = |text: QueryText| Cursor::open(&text.0, self.signing(), list);
        cursor
            .map(open)
            .transpose()
            .map_err(|_| Problem::bad_request("bad_cursor", "The cursor does not belong to this list."))
    }

    /// A page of `list` with the cursor of the next one.
    pub(crate) fn page_response(&self, results: &[impl Serialize], next: Option<Cursor>, list: &str) -> Response {
        self.sealed_page_response(results, next.map(|cursor| cursor.seal(self.signing(), list)))
    }

    /// A page with the encoded cursor of the next one.
    pub(crate) fn sealed_page_response(&self, results: &[impl Serialize], next: Option<String>) -> Response {
        let response = response::ok(&Page { results, next_cursor: next.as_deref() });
        self.with_next_link(response, next.as_deref())
    }

    /// Adds the `Link` to the next page, if there is one.
    pub(crate) fn with_next_link(&self, response: Response, next: Option<&str>) -> Response {
        let Some(cursor) = next else { return response };
        let kept = form_urlencoded::parse(self.query_string().as_bytes()).filter(|(name, _)| name != "cursor");
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("cursor", cursor).finish();
        response.with_header("link", format!("<{}{}?{query}>; rel=\"next\"", self.base_url(), self.path()))
    }

    /// The idempotency key of this request to `operation`, if it has one.
    pub(crate) fn idempotency(&self, operation: &str, user: UserId) -> Result<Option<Idempotency>, Problem> {
        if !self.has_header("idempotency-key") {
            return Ok(None);
        }
        match self.header("idempotency-key") {
            Some(key) if (1..=255).contains(&key.len()) => {
                Ok(Some(Idempotency::new(user, operation, key, self.http.body())))
            }
            _ => {
                Err(Problem::bad_request("bad_idempotency_key", "Idempotency-Key must have 1 to 255 ASCII characters."))
            }
        }
    }

    /// Returns true if `If-Match` allows a change of `version`, the first part of an [`ETag`](crate::response::etag).
    pub(crate) fn check_if_match(&self, version: u64) -> Result<(), Problem> {
        let Some(tags) = self.header("if-match") else { return Ok(()) };
        let current = version.to_string();
        let matches = tags.split(',').map(str::trim).any(|tag| {
            // A compressed response has a weak ETag of the same version.
            let version = tag.trim_start_matches("W/").strip_prefix('"').and_then(|tag| tag.split(['.', '"']).next());
            tag == "*" || version == Some(&current)
        });
        if matches { Ok(()) } else { Err(Problem::precondition_failed()) }
    }
}

/// The address of `198.51.100.10:46532` or `2001:db8::1:46532`: CloudFront writes no brackets.
fn without_port(address: &str) -> Option<&str> {
    let (address, _) = address.rsplit_once(':')?;
    Some(address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address))
}

fn network(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::")
        }
        _ => address.to_owned(),
    }
}

/// Parses an object with the fields of `T` and no others.
pub(crate) fn read_object<T: Input>(value: Value, or_else: &str) -> Result<T, Problem> {
    match value {
        Value::Object(fields) => read(fields, true),
        _ => Err(Problem::unprocessable("invalid", or_else)),
    }
}

fn read<T: Input>(given: Map<String, Value>, reject_unknown: bool) -> Result<T, Problem> {
    let mut fields = FieldReader::new(given);
    let body = T::read(&mut fields);
    let errors = fields.errors(reject_unknown);
    match body {
        Some(body) if errors.is_empty() => Ok(body),
        _ => Err(Problem::invalid(errors)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_counts_by_its_ipv4_address_or_its_ipv6_network() {
        for (header, expected) in [
            ("198.51.100.10:46532", "198.51.100.10"),
            ("2001:db8:1:2:3:4:5:6:46532", "2001:db8:1:2::"),
            ("2001:db8::6:46532", "2001:db8:0:0::"),
            ("[2001:db8::6]:46532", "2001:db8:0:0::"),
        ] {
            assert_eq!(without_port(header).map(network).as_deref(), Some(expected), "{header}");
        }
        assert_eq!(without_port("198.51.100.10"), None);
    }
}
