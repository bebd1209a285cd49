//! Builds the OpenAPI 3.1 document from the route table: each route describes its requests and responses beside its
//! handler.

use http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::map::Entry;
use serde_json::{Map, Value, json};

use crate::error::Document;
use crate::routes::{ROUTES, Route};

/// The requests and responses of a route.
pub(crate) struct Operation {
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) login: Login,
    pub(crate) query: Option<SchemaOf>,
    pub(crate) body: Option<SchemaOf>,
    /// True if a request without a body is treated as one with an empty object.
    pub(crate) body_optional: bool,
    /// The fields of a form that POST takes in place of JSON.
    pub(crate) form: Option<SchemaOf>,
    /// Request headers that it uses.
    pub(crate) headers: &'static [Header],
    /// A cookie that it uses: name, description.
    pub(crate) cookie: Option<(&'static str, &'static str)>,
    pub(crate) replies: &'static [Answer],
    /// In addition to those of its login, body and query: status, code, description.
    pub(crate) problems: &'static [(u16, &'static str, &'static str)],
}

pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A successful response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) description: &'static str,
    /// Schemas by media type; empty without a body.
    pub(crate) content: Option<(&'static str, SchemaOf)>,
    /// In addition to `X-Request-Id`.
    pub(crate) headers: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// The gateway refuses requests without a token.
    Required,
    Optional,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
}

/// The defaults of an operation.
pub(crate) const PLAIN: Operation = Operation {
    tag: "",
    summary: "",
    login: Login::None,
    query: None,
    body: None,
    body_optional: false,
    form: None,
    headers: &[],
    cookie: None,
    replies: &[],
    problems: &[],
};

pub(crate) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The bytes of a file.
pub(crate) fn binary(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "binary"})
}

pub(crate) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string"})
}

impl Answer {
    pub(crate) const fn json(status: u16, description: &'static str, schema: SchemaOf) -> Self {
        Self { status, description, content: Some(("application/json", schema)), headers: &[] }
    }

    pub(crate) const fn empty(status: u16, description: &'static str) -> Self {
        Self { status, description, content: None, headers: &[] }
    }

    pub(crate) const fn with(mut self, headers: &'static [&'static str]) -> Self {
        self.headers = headers;
        self
    }
}

const TITLE: &str = "Tintype";

const DESCRIPTION: &str = "An image repository. Errors are RFC 9457 problem documents with a stable `code`. API Gateway \
    answers a few requests itself, with `{\"message\": \"...\"}` in place of a problem document and with \
    `apigw-requestid` in place of `X-Request-Id`: 401 where its authorizer refuses the access token, 429 over the rate \
    limit, 500 and 503 where a function does not answer. All other answers have CORS headers where the request has an \
    `Origin`; those that API Gateway gives itself may lack them, and then a page of another origin sees a network error in \
    place of the 401. HEAD works wherever GET does. An optional field of a body that is `null` is one that was left out, \
    unless the operation says otherwise. Answers over 4 kB are compressed for clients that accept gzip.";

/// The error responses of API Gateway itself.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "the gateway writes it")]
struct GatewayError {
    message: String,
}

/// The schemas of error answers.
struct ErrorBodies {
    problem: Value,
    /// A problem, or an error of the gateway: generated clients read both.
    or_gateway: Value,
}

impl ErrorBodies {
    fn new(generator: &mut SchemaGenerator) -> Self {
        let problem = generator.subschema_for::<Document<'static>>().to_value();
        let gateway = generator.subschema_for::<GatewayError>();
        Self { or_gateway: json!({"oneOf": [problem, gateway]}), problem }
    }
}

/// The document, which is the same for every call.
pub(crate) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let bodies = ErrorBodies::new(&mut generator);
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| !route.path.is_empty()) {
        // HEAD works wherever GET does, and is not listed.
        for method in route.methods.iter().filter(|method| *method != Method::HEAD) {
            let operation = operation(route, method, &mut generator, &bodies);
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            path[method.as_str().to_lowercase()] = operation;
        }
    }
    let schemas: Map<String, Value> = generator.take_definitions(true);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    });
    document["tags"] = tags();
    document
}

fn tags() -> Value {
    let mut tags: Vec<&str> = Vec::new();
    for route in ROUTES.iter().filter(|route| !route.path.is_empty()) {
        if !tags.contains(&route.document.tag) {
            tags.push(route.document.tag);
        }
    }
    tags.into_iter().map(|name| json!({"name": name})).collect()
}

fn operation(route: &Route, method: &Method, generator: &mut SchemaGenerator, bodies: &ErrorBodies) -> Value {
    let about = route.document;
    let first = route.methods.first() == Some(method);
    let name = if first {
        route.operation.to_owned()
    } else {
        format!("{}_{}", route.operation, method.as_str().to_lowercase())
    };
    let mut operation = json!({
        "operationId": name,
        "tags": [about.tag],
        "summary": about.summary,
        "parameters": parameters(route, generator),
        "security": match about.login {
            Login::Required => json!([{"bearer": []}]),
            Login::Optional => json!([{}, {"bearer": []}]),
            Login::None => json!([]),
        },
        "responses": responses(about, generator, bodies),
    });
    if let Some(schema) = about.body {
        operation["requestBody"] = request_body("application/json", schema, !about.body_optional, generator);
    }
    if let Some(schema) = about.form.filter(|_| method == Method::POST) {
        operation["requestBody"] = request_body("application/x-www-form-urlencoded", schema, false, generator);
    }
    operation
}

fn request_body(kind: &str, schema: SchemaOf, required: bool, generator: &mut SchemaGenerator) -> Value {
    let schema = schema(generator);
    let example = example(schema.as_value(), generator);
    json!({"required": required, "content": {kind: {"schema": schema, "example": example}}})
}

/// The description and the example of a path parameter.
fn segment(path: &str, name: &str) -> (&'static str, Value) {
    match (name, path.split('/').nth(2)) {
        ("id", Some("images")) => ("The image's id.", IMAGE.into()),
        ("id", Some("expiring-links")) => ("The link's id.", LINK.into()),
        ("id", Some("jobs")) => ("The job's id.", JOB.into()),
        ("id", _) => ("The user's id, or its UUID in the user pool.", "fn24gg4xr10x3cj5bzywwx7tt8".into()),
        ("name", _) => ("The plan's name.", "Premium".into()),
        ("owner", _) => ("The UUID of the image's owner.", USER.into()),
        ("image", _) => ("The UUID of the image.", KEY.into()),
        ("token", _) => ("The token of the link.", TOKEN.into()),
        ("file", Some("imageupload")) => {
            ("The UUID of the image, with the extension of its type.", format!("{KEY}.jpg").into())
        }
        ("file", Some("thumbnail")) => ("The height in pixels, with the extension of the type.", "200.jpg".into()),
        _ => ("Any name, with the extension of the image's type.", "original.jpg".into()),
    }
}

fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let segments = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = segments
        .map(|name| {
            let (description, example) = segment(route.path, name);
            json!({
                "name": name, "in": "path", "required": true, "description": description,
                "schema": {"type": "string", "minLength": 1}, "example": example,
            })
        })
        .collect();
    if let Some(query) = route.document.query {
        let schema = resolved(query(generator).as_value(), generator);
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let mut parameter = json!({"name": name, "in": "query", "schema": without_null(schema)});
            if let Some(example) = known(name) {
                parameter["example"] = example;
            }
            parameters.push(parameter);
        }
    }
    for header in route.document.headers {
        let (name, description) = match header {
            Header::IdempotencyKey => (
                "Idempotency-Key",
                "Makes a retry safe: for 24 hours, the same key returns the result of the first request.",
            ),
            Header::IfMatch => ("If-Match", "Apply the change only if the current ETag is one of these."),
            Header::IfNoneMatch => ("If-None-Match", "Return 304 if the current ETag is one of these."),
        };
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"});
        parameters.push(json!({"name": name, "in": "header", "description": description, "schema": schema}));
    }
    if let Some((name, description)) = route.document.cookie {
        let schema = json!({"type": "string"});
        parameters.push(json!({"name": name, "in": "cookie", "description": description, "schema": schema}));
    }
    Value::Array(parameters)
}

fn responses(about: &Operation, generator: &mut SchemaGenerator, bodies: &ErrorBodies) -> Value {
    let mut responses = Map::new();
    for reply in about.replies {
        let mut headers = json!({"X-Request-Id": {"schema": {"type": "string"}}});
        for name in reply.headers {
            headers[name] = json!({"schema": {"type": "string"}});
        }
        let mut response = json!({"description": reply.description, "headers": headers});
        if let Some((kind, schema)) = reply.content {
            let schema = schema(generator);
            let example = example(schema.as_value(), generator);
            response["content"] = json!({kind: {"schema": schema}});
            if kind == "application/json" {
                response["content"][kind]["example"] = example;
            }
        }
        responses.insert(reply.status.to_string(), response);
    }
    if about.headers.contains(&Header::IfNoneMatch) {
        responses.insert("304".into(), json!({"description": "Not modified: your copy is current."}));
    }

    let mut problems: Vec<(u16, &str, &str)> = about.problems.to_vec();
    if about.login != Login::None {
        problems.push((401, "unauthenticated", "The access token is missing, invalid, expired or signed out."));
    }
    if about.body.is_some() {
        problems.push((400, "bad_json", "The body is not JSON."));
        problems.push((413, "too_large", "The body is too large."));
        problems.push((415, "unsupported_media_type", "The Content-Type is not application/json."));
    }
    if about.body.is_some() || about.query.is_some() {
        problems.push((422, "invalid", "Some fields are invalid; `errors` lists each."));
    }
    if about.headers.contains(&Header::IdempotencyKey) {
        problems.push((400, "bad_idempotency_key", "Idempotency-Key is empty, too long or not ASCII."));
        problems.push((422, "idempotency_mismatch", "Idempotency-Key was used for another request."));
    }
    if about.headers.contains(&Header::IfMatch) {
        problems.push((412, "precondition_failed", "The resource has changed since you read it."));
    }
    problems.push((429, "too_many_requests", "Too many requests: wait for the time in Retry-After."));
    problems.push((500, "internal", "Internal error."));
    problems.push((503, "unavailable", "The service is busy: retry after the time in Retry-After."));
    problems.sort_by_key(|(status, ..)| *status);
    for group in problems.chunk_by(|a, b| a.0 == b.0) {
        let status = group[0].0;
        let codes: Vec<String> = group.iter().map(|(_, code, when)| format!("`{code}`: {when}")).collect();
        let mut response = json!({"description": codes.join("\n\n")});
        let examples: Map<String, Value> = group
            .iter()
            .map(|(_, code, when)| ((*code).to_owned(), json!({"value": sample(about, status, code, when, generator)})))
            .collect();
        let own_message = match status {
            401 if about.login == Login::Required => Some("Unauthorized"),
            429 => Some("Too Many Requests"),
            500 => Some("Internal Server Error"),
            503 => Some("Service Unavailable"),
            _ => None,
        };
        let schema = if own_message.is_some() { &bodies.or_gateway } else { &bodies.problem };
        response["content"] = json!({"application/problem+json": {"schema": schema, "examples": examples}});
        if let Some(message) = own_message {
            response["content"]["application/json"] =
                json!({"schema": bodies.or_gateway, "example": {"message": message}});
        }
        match responses.entry(status.to_string()) {
            Entry::Vacant(free) => {
                free.insert(response);
            }
            // Both a page for people and a problem.
            Entry::Occupied(mut taken) => merge(taken.get_mut(), &response),
        }
    }
    Value::Object(responses)
}

/// Adds the description and the media types of `other`.
fn merge(response: &mut Value, other: &Value) {
    let texts = [&*response, other].map(|one| one["description"].as_str().unwrap_or_default());
    response["description"] = texts.join("\n\n").into();
    for (kind, content) in other["content"].as_object().into_iter().flatten() {
        response["content"][kind] = content.clone();
    }
}

fn sample(about: &Operation, status: u16, code: &str, detail: &str, generator: &mut SchemaGenerator) -> Value {
    let title = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut problem = json!({"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail});
    if code == "invalid" {
        let fields = about.body.or(about.query).map(|schema| resolved(schema(generator).as_value(), generator));
        let fields = fields.unwrap_or_default();
        let required = fields["required"].get(0).and_then(Value::as_str);
        let some = fields["properties"].as_object().and_then(|properties| properties.keys().next());
        problem["errors"] = match (required, some) {
            (Some(field), _) => json!([{"field": field, "code": "required", "message": "is required"}]),
            (None, Some(field)) => json!([{"field": field, "code": "wrong_type", "message": "must be a string"}]),
            (None, None) => json!([]),
        };
    }
    problem
}

/// Returns the schema of a `$ref`.
fn resolved(schema: &Value, generator: &SchemaGenerator) -> Value {
    match schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        Some(name) => generator.definitions().get(name).cloned().unwrap_or_default(),
        None => schema.clone(),
    }
}

/// The schema of a field in a body. `null` means absent for optional fields.
pub(crate) fn field_schema(schema: &Value, optional: bool) -> Value {
    let mut schema = if optional { schema.clone() } else { without_null(schema) };
    if !optional || schema["anyOf"].is_array() {
        return schema;
    }
    if let Some(kind) = schema["type"].as_str() {
        schema["type"] = json!([kind, "null"]);
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut)
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    schema
}

fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|kind| kind != "null");
        if let [kind] = &types[..] {
            schema["type"] = kind.clone();
        }
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|value| !value.is_null());
    }
    schema
}

/// Builds an example of a schema from the first examples of its parts.
fn example(schema: &Value, generator: &SchemaGenerator) -> Value {
    let schema = resolved(schema, generator);
    if let Some(example) = schema["examples"].get(0) {
        return example.clone();
    }
    if let Some(properties) = schema["properties"].as_object() {
        let required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name));
        let mut shown = Map::new();
        for (name, part) in properties {
            let own = known(name).or_else(|| resolved(part, generator)["examples"].get(0).cloned());
            match own {
                Some(value) if required(name) || !RARE.contains(&name.as_str()) => shown.insert(name.clone(), value),
                None if required(name) => shown.insert(name.clone(), example(part, generator)),
                _ => None,
            };
        }
        return Value::Object(shown);
    }
    if let Some(any) = schema["anyOf"].get(0) {
        return example(any, generator);
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind {
        Some("array") => json!([example(&schema["items"], generator)]),
        Some("object") => json!({}),
        Some("integer") => schema["minimum"].as_u64().unwrap_or(1).into(),
        Some("boolean") => json!(false),
        Some("string") if schema["format"] == "date-time" => json!(MOMENT),
        Some("string") => schema["enum"].get(0).cloned().unwrap_or_default(),
        _ => schema.get("const").cloned().unwrap_or_default(),
    }
}

const USER: &str = "7d444840-9dc0-41d1-b245-5ffdce74fad2";
const KEY: &str = "0198c0de-7a5b-7c3d-8e9f-0123456789ab";
const IMAGE: &str = "fn24gg4xr10x3cj5bzywwx7tt80shg6yf9dqrfcekw0j6hb7h6ng";
const LINK: &str = "fn24gg4xr10x3cj5bzywwx7tt80shg713g17n451pb1x9sfp0wc0";
const JOB: &str = "fn24gg4xr10x3cj5bzywwx7tt8zjq30xks3mmtwd41e7x7r1795g";
const TOKEN: &str = "bwx9rzgx5d461brkrnz9t2s4d2pe2dbsqqr28t5cw09nf6yz0930";
const CURSOR: &str = "06cc1qktbdy3v3mz04hmasw9ne8w4zhxbxgahd66v3mz18djrfa0";
const MOMENT: &str = "2030-01-02T03:04:05.678Z";

/// Optional fields that examples omit, although their types have examples.
const RARE: [&str; 1] = ["new_password"];

/// An example for a field by name, if its type has none.
fn known(name: &str) -> Option<Value> {
    let text = |text: &str| Some(text.into());
    match name {
        "access_token" => text("eyJraWQiOiJ4b0..."),
        "code" => text("493027"),
        "confirmation" => text("code_sent"),
        "cursor" | "next_cursor" => text(CURSOR),
        "done" => Some(120.into()),
        "downloads" => Some(1.into()),
        "email_prefix" => text("ada@"),
        "expires_at" => text("2030-01-02T04:04:05.000Z"),
        "expires_in" | "expiry_in_seconds" => Some(3600.into()),
        "headers" => Some(json!({"content-type": "image/jpeg", "content-length": "768936", "if-none-match": "*"})),
        "height" => Some(1067.into()),
        "image" => Some(json!({
            "id": IMAGE, "owner": {"id": "fn24gg4xr10x3cj5bzywwx7tt8", "name": "Ada"}, "title": "Harbour at dawn", "description": "",
            "visibility": "public", "content_type": "image/jpeg", "size": 768_936, "width": null, "height": null,
            "sha256": known("sha256"), "status": "pending", "placeholder": null, "image_url": null, "thumbnails": [],
            "created_at": MOMENT, "updated_at": MOMENT,
        })),
        "image_url" => Some(format!("https://images.example.org/media/imageupload/{USER}/{KEY}.jpg").into()),
        "link_url" => Some(format!("https://images.example.org/media/exp/{TOKEN}/original.jpg").into()),
        "max_image_bytes" => Some(26_214_400.into()),
        "max_images" => Some(10_000.into()),
        "method" => text("PUT"),
        "original_link" => Some(true.into()),
        "password" => text("a longer password"),
        "placeholder" => text("1QcSHQRnh493V4dIh4eXh1h4kJUI"),
        "refresh_token" => text("fn24gg4xr10x3cj5bzywwx7tt...eyJjdHkiOiJKV1Qi..."),
        "sha256" => text("5f3a9c7e1d2b4860af13c57e9d0b2468ace13579bdf02468ace013579bdf0246"),
        "size" => Some(768_936.into()),
        "thumbnail_heights" => Some(json!([200, 400])),
        "thumbnails" => {
            let url = format!("https://images.example.org/media/thumbnail/{USER}/{KEY}/200.jpg");
            Some(json!([{"height": 200, "width": 300, "content_type": "image/jpeg", "url": url}]))
        }
        "title_prefix" => text("Harbour"),
        "token_type" => text("Bearer"),
        "usage" => Some(json!({"images": 42, "bytes": 32_313_856})),
        "upload" => Some(json!({
            "method": "PUT",
            "url": format!("https://originals.s3.eu-central-1.amazonaws.com/{USER}/{KEY}?X-Amz-Algorithm=AWS4-HMAC-SHA256"),
            "headers": known("headers"),
            "expires_at": "2030-01-02T03:19:05.000Z",
        })),
        "version" => text(env!("CARGO_PKG_VERSION")),
        "width" => Some(1600.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document as it is published beside the code: `UPDATE_GOLDEN=1 cargo test -p tintype-api` writes it anew.
    #[test]
    fn the_document_is_the_one_that_is_published() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let now = format!("{:#}\n", document());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap_or_default() == now,
            "docs/openapi.json is not up to date: run `make openapi`"
        );
    }

    #[test]
    fn every_route_says_what_it_gives() {
        for route in ROUTES.iter().filter(|route| !route.path.is_empty()) {
            assert!(!route.document.tag.is_empty() && !route.document.summary.is_empty(), "{}", route.operation);
            assert!(!route.document.replies.is_empty(), "{}", route.operation);
        }
    }
}
