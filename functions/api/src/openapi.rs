//! The OpenAPI 3.1 document, made from the route table: each route says what it takes and gives beside its handler.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::error::Document;
use crate::routes::{ROUTES, Route};

/// What a route takes and gives, for the document.
pub(crate) struct Operation {
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) login: Login,
    pub(crate) query: Option<SchemaOf>,
    pub(crate) body: Option<SchemaOf>,
    /// Request headers that it heeds.
    pub(crate) headers: &'static [Header],
    pub(crate) replies: &'static [Answer],
    /// Beside those that its login, its body and its query may bring: status, code, when.
    pub(crate) problems: &'static [(u16, &'static str, &'static str)],
}

pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// One way to succeed.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) description: &'static str,
    /// By media type; none where there is no body.
    pub(crate) content: Option<(&'static str, SchemaOf)>,
    /// Beside `X-Request-Id`.
    pub(crate) headers: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    /// The gateway refuses who has none.
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

/// A route's document where nothing is said.
pub(crate) const PLAIN: Operation = Operation {
    tag: "",
    summary: "",
    login: Login::None,
    query: None,
    body: None,
    headers: &[],
    replies: &[],
    problems: &[],
};

pub(crate) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A file's bytes.
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

/// The whole document, the same at every call.
pub(crate) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<Document<'static>>();
    let mut paths = Map::new();
    for route in ROUTES.iter().filter(|route| !route.path.is_empty()) {
        for method in route.methods {
            let operation = operation(route, method.as_str(), &mut generator, &problem);
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
            "description": "An image repository. Errors are RFC 9457 problems with a stable `code`.",
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

fn operation(route: &Route, method: &str, generator: &mut SchemaGenerator, problem: &Schema) -> Value {
    let about = route.document;
    let head = method == "HEAD";
    let name = if head { format!("{}_head", route.operation) } else { route.operation.to_owned() };
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
        "responses": responses(about, head, generator, problem),
    });
    if let Some(schema) = about.body {
        let schema = schema(generator);
        let content = json!({"application/json": {"schema": schema, "example": example(schema.as_value(), generator)}});
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn parameters(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let segments = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = segments
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1}}))
        .collect();
    if let Some(query) = route.document.query {
        let schema = resolved(query(generator).as_value(), generator);
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            parameters.push(json!({"name": name, "in": "query", "schema": schema}));
        }
    }
    for header in route.document.headers {
        let (name, description) = match header {
            Header::IdempotencyKey => ("Idempotency-Key", "Repeats the first request with this key within 24 hours."),
            Header::IfMatch => ("If-Match", "Changes only what still has one of these ETags."),
            Header::IfNoneMatch => ("If-None-Match", "Answers 304 where the ETag is among these."),
        };
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"});
        parameters.push(json!({"name": name, "in": "header", "description": description, "schema": schema}));
    }
    Value::Array(parameters)
}

fn responses(about: &Operation, head: bool, generator: &mut SchemaGenerator, problem: &Schema) -> Value {
    let mut responses = Map::new();
    for reply in about.replies {
        let mut headers = json!({"X-Request-Id": {"schema": {"type": "string"}}});
        for name in reply.headers {
            headers[name] = json!({"schema": {"type": "string"}});
        }
        let mut response = json!({"description": reply.description, "headers": headers});
        if let Some((kind, schema)) = reply.content.filter(|_| !head) {
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
        responses.insert("304".into(), json!({"description": "It is what you have."}));
    }

    let mut problems: Vec<(u16, &str, &str)> = about.problems.to_vec();
    if about.login != Login::None {
        problems.push((401, "unauthenticated", "The access token is missing, invalid, expired or signed out."));
    }
    if about.body.is_some() {
        problems.push((400, "bad_json", "The body is not JSON."));
        problems.push((413, "too_large", "The body is too large."));
        problems.push((415, "unsupported_media_type", "The body is not sent as application/json."));
    }
    if about.body.is_some() || about.query.is_some() {
        problems.push((422, "invalid", "Fields are not as they must be; `errors` names each."));
    }
    if about.headers.contains(&Header::IdempotencyKey) {
        problems.push((400, "bad_idempotency_key", "Idempotency-Key is empty, too long or not ASCII."));
        problems.push((422, "idempotency_mismatch", "Idempotency-Key was used for another request."));
    }
    if about.headers.contains(&Header::IfMatch) {
        problems.push((412, "precondition_failed", "It has changed since you read it."));
    }
    problems.push((429, "too_many_requests", "Too many requests: wait as long as Retry-After says."));
    problems.push((500, "internal", "Something went wrong on our side."));
    problems.push((503, "unavailable", "The service is busy: try again after Retry-After."));
    problems.sort_by_key(|(status, ..)| *status);
    for group in problems.chunk_by(|a, b| a.0 == b.0) {
        let status = group[0].0;
        let codes: Vec<String> = group.iter().map(|(_, code, when)| format!("`{code}`: {when}")).collect();
        let mut response = json!({"description": codes.join("\n\n")});
        if !head {
            let examples: Map<String, Value> = group
                .iter()
                .map(|(_, code, when)| ((*code).to_owned(), json!({"value": sample(status, code, when)})))
                .collect();
            response["content"] = json!({"application/problem+json": {"schema": problem, "examples": examples}});
            if matches!(status, 401 | 429 | 500 | 503) {
                // What the gateway answers by itself.
                let own =
                    json!({"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}});
                response["content"]["application/json"] =
                    json!({"schema": own, "example": {"message": "Unauthorized"}});
            }
        }
        responses.insert(status.to_string(), response);
    }
    Value::Object(responses)
}

fn sample(status: u16, code: &str, detail: &str) -> Value {
    let title = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let mut problem = json!({"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail});
    if code == "invalid" {
        problem["errors"] = json!([{"field": "title", "code": "required", "message": "is required"}]);
    }
    problem
}

/// The schema that a `$ref` names.
fn resolved(schema: &Value, generator: &SchemaGenerator) -> Value {
    match schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        Some(name) => generator.definitions().get(name).cloned().unwrap_or_default(),
        None => schema.clone(),
    }
}

/// What may be left out is not `null` when it is there.
pub(crate) fn without_null(schema: &Value) -> Value {
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

/// A value of the schema, of the first examples of its parts.
fn example(schema: &Value, generator: &SchemaGenerator) -> Value {
    let schema = resolved(schema, generator);
    if let Some(example) = schema["examples"].get(0) {
        return example.clone();
    }
    if let Some(properties) = schema["properties"].as_object() {
        return properties.iter().map(|(name, part)| (name.clone(), example(part, generator))).collect();
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
        Some("string") => schema["enum"].get(0).cloned().unwrap_or_else(|| json!("text")),
        _ => schema.get("const").cloned().unwrap_or_default(),
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
