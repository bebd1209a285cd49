use std::net::IpAddr;

use aws_lambda_events::event::apigw::ApiGatewayV2httpRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use tintype_model::{Cursor, Idempotency, Timestamp, UserId};

use crate::app::App;
use crate::body::Body;
use crate::error::Problem;
use crate::fields::{Fields, QueryText};
use crate::reply::Reply;

/// The largest body of any route but the batch's, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// A part of a list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Page<'a, T> {
    pub(crate) results: &'a [T],
    /// Where the next page begins; null on the last.
    pub(crate) next_cursor: Option<&'a str>,
}

/// How often a change that others overtook is tried again before the client is told to.
pub(crate) const CHANGE_TRIES: u32 = 8;

/// A request on its way through a route.
pub(crate) struct Request<'a> {
    pub(crate) app: &'a App,
    pub(crate) method: Method,
    /// Decoded, as the gateway gives it.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) now: Timestamp,
    /// Of the gateway's authorizer, where the route has one.
    pub(crate) claims: Option<Value>,
    pub(crate) query: String,
    params: Vec<(&'static str, String)>,
    body: Vec<u8>,
    host: String,
    cookies: Vec<String>,
    source_ip: String,
}

impl<'a> Request<'a> {
    /// `params`: the path's, by the route's template.
    pub(crate) fn new(
        app: &'a App,
        event: ApiGatewayV2httpRequest,
        path: String,
        params: Vec<(&'static str, String)>,
        now: Timestamp,
    ) -> Self {
        let context = event.request_context;
        let body = event.body.unwrap_or_default();
        let body = if event.is_base64_encoded {
            // What the gateway encoded decodes; anything else is no JSON either.
            STANDARD.decode(body).unwrap_or_default()
        } else {
            body.into_bytes()
        };
        let header = |name| event.headers.get(name).and_then(|value| value.to_str().ok());
        let host = header("host").or(context.domain_name.as_deref()).unwrap_or_default().to_owned();
        let claims = context.authorizer.and_then(|a| a.jwt).map(|jwt| serde_json::json!(jwt.claims));
        // The gateway takes cookies out of the headers; SAM's local one may leave them there.
        let mut cookies = event.cookies.unwrap_or_default();
        cookies
            .extend(header("cookie").into_iter().flat_map(|line| line.split(';')).map(|part| part.trim().to_owned()));
        Self {
            app,
            cookies,
            source_ip: context.http.source_ip.unwrap_or_default(),
            method: context.http.method,
            path,
            now,
            claims,
            query: event.raw_query_string.unwrap_or_default(),
            params,
            body,
            host,
            headers: event.headers,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find_map(|cookie| cookie.strip_prefix(name)?.strip_prefix('='))
    }

    /// Where the request came from: an IPv4 address, or the /64 that one customer of an IPv6 network has.
    pub(crate) fn caller_network(&self) -> String {
        match self.source_ip.parse() {
            Ok(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::")
            }
            _ => self.source_ip.clone(),
        }
    }

    /// A field of a form's body; empty where the form has none.
    pub(crate) fn form_field(&self, name: &str) -> Result<String, Problem> {
        self.check_size(MAX_BODY)?;
        self.check_type("application/x-www-form-urlencoded", "a form's")?;
        let field = form_urlencoded::parse(&self.body).find(|(known, _)| known == name);
        Ok(field.map(|(_, value)| value.into_owned()).unwrap_or_default())
    }

    fn check_size(&self, max: usize) -> Result<(), Problem> {
        if self.body.len() <= max {
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

    /// A parameter of the path. Its name stands in the route's template, or this panics.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map(|(_, value)| value).expect("a parameter of the route")
    }

    /// Where links to this API begin, without a slash at the end.
    pub(crate) fn base_url(&self) -> String {
        self.app.public_url.clone().unwrap_or_else(|| format!("https://{}", self.host))
    }

    /// Reads a JSON body: an object with the fields of `T` and no others.
    pub(crate) fn body<T: Body>(&self) -> Result<T, Problem> {
        self.body_up_to(MAX_BODY)
    }

    /// Like [`Self::body`], where up to `max` bytes are admitted.
    pub(crate) fn body_up_to<T: Body>(&self, max: usize) -> Result<T, Problem> {
        self.check_size(max)?;
        self.check_type("application/json", "JSON")?;
        let value: Value = serde_json::from_slice(&self.body)
            .map_err(|e| Problem::bad_request("bad_json", format!("The body is not JSON: {e}.")))?;
        read_object(value, "The body must be a JSON object.")
    }

    /// Like [`Self::body`], where a request without a body stands for one without fields.
    pub(crate) fn body_or_none<T: Body>(&self) -> Result<T, Problem> {
        if self.body.is_empty() { read(Map::new(), true) } else { self.body() }
    }

    /// Reads the query; parameters that `T` does not have are passed over.
    pub(crate) fn query<T: Body>(&self) -> Result<T, Problem> {
        let pairs = form_urlencoded::parse(self.query.as_bytes());
        read(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect(), false)
    }

    /// The place that a page begins after, as an earlier page of `list` gave it.
    pub(crate) fn open_cursor(&self, cursor: Option<QueryText>, list: &str) -> Result<Option<Cursor>, Problem> {
        let open = |text: QueryText| Cursor::open(&text.0, &self.app.signing, list);
        cursor.map(open).transpose().map_err(|_| Problem::bad_request("bad_cursor", "The cursor is not of this list."))
    }

    /// A page of `list`, with where the next one begins.
    pub(crate) fn reply_page(&self, results: &[impl Serialize], next: Option<Cursor>, list: &str) -> Reply {
        self.reply_sealed_page(results, next.map(|cursor| cursor.seal(&self.app.signing, list)))
    }

    /// A page with the cursor of the next one as clients get it.
    pub(crate) fn reply_sealed_page(&self, results: &[impl Serialize], next: Option<String>) -> Reply {
        let reply = Reply::ok(&Page { results, next_cursor: next.as_deref() });
        let Some(cursor) = next else { return reply };
        let kept = form_urlencoded::parse(self.query.as_bytes()).filter(|(name, _)| name != "cursor");
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).append_pair("cursor", &cursor).finish();
        reply.with_header("link", format!("<{}{}?{query}>; rel=\"next\"", self.base_url(), self.path))
    }

    /// The key under which the client may repeat this request of `operation`, if it gave one.
    pub(crate) fn idempotency(&self, operation: &str, user: UserId) -> Result<Option<Idempotency>, Problem> {
        let Some(key) = self.headers.get("idempotency-key") else { return Ok(None) };
        match key.to_str() {
            Ok(key) if (1..=255).contains(&key.len()) => {
                Ok(Some(Idempotency::new(&self.app.signing, user, operation, key, &self.body)))
            }
            _ => {
                Err(Problem::bad_request("bad_idempotency_key", "Idempotency-Key must have 1 to 255 ASCII characters."))
            }
        }
    }

    /// Whether the client's copy, of which `If-Match` speaks, is of `version`, the first part of an [`ETag`](crate::reply::etag).
    pub(crate) fn check_if_match(&self, version: u64) -> Result<(), Problem> {
        let Some(tags) = self.header("if-match") else { return Ok(()) };
        let current = version.to_string();
        let matches = tags.split(',').map(str::trim).any(|tag| {
            let version = tag.strip_prefix('"').and_then(|tag| tag.split(['.', '"']).next());
            tag == "*" || version == Some(&current)
        });
        if matches { Ok(()) } else { Err(Problem::precondition_failed()) }
    }
}

/// Reads an object with the fields of `T` and no others.
pub(crate) fn read_object<T: Body>(value: Value, or_else: &str) -> Result<T, Problem> {
    match value {
        Value::Object(fields) => read(fields, true),
        _ => Err(Problem::unprocessable("invalid", or_else)),
    }
}

fn read<T: Body>(given: Map<String, Value>, known_only: bool) -> Result<T, Problem> {
    let mut fields = Fields::new(given);
    let body = T::read(&mut fields);
    let errors = fields.errors(known_only);
    match body {
        Some(body) if errors.is_empty() => Ok(body),
        _ => Err(Problem::invalid(errors)),
    }
}
