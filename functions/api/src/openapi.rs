//! Builds the OpenAPI 3.1 document from the route table and what each operation states beside its handler. The functions
//! serve the golden file, `docs/openapi.json`; only the test that holds the code to it builds the document.

use http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use tintype_model::{ImageId, JobId, LinkId, PlanName};

use crate::error::ProblemBody;
use crate::operation::{AuthRequirement, Operation, RequestHeader, SchemaOf, of};
use crate::routes::{OPERATIONS, ROUTES, Route};

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

/// The schemas of error responses.
struct ErrorSchemas {
    problem: Schema,
    /// A problem, or an error of the gateway: generated clients read both.
    or_gateway: Value,
}

/// Returns the document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let problem = generator.subschema_for::<ProblemBody<'static>>();
    let or_gateway = json!({"oneOf": [problem, generator.subschema_for::<GatewayError>()]});
    let errors = ErrorSchemas { problem, or_gateway };
    let (mut paths, mut tags) = (Map::new(), Vec::new());
    for (route, about) in ROUTES.iter().zip(OPERATIONS).filter(|(route, _)| !route.path.is_empty()) {
        let tag = json!({"name": about.tag});
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        // HEAD works wherever GET does, and is not listed.
        for method in route.methods.iter().filter(|method| *method != Method::HEAD) {
            let path = paths.entry(route.path).or_insert_with(|| json!({}));
            path[method.as_str().to_lowercase()] = operation(route, about, method, &mut generator, &errors);
        }
    }
    json!({
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
            "schemas": generator.take_definitions(true),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "tags": tags,
    })
}

fn operation(
    route: &Route,
    about: &Operation,
    method: &Method,
    generator: &mut SchemaGenerator,
    errors: &ErrorSchemas,
) -> Value {
    let mut name = route.operation.to_owned();
    if route.methods.first() != Some(method) {
        name += &format!("_{}", method.as_str().to_lowercase());
    }
    let mut operation = json!({
        "operationId": name,
        "tags": [about.tag],
        "summary": about.summary,
        "parameters": parameters(route.path, about, generator),
        "security": match about.auth {
            AuthRequirement::Required => json!([{"bearer": []}]),
            AuthRequirement::Optional => json!([{}, {"bearer": []}]),
            AuthRequirement::None => json!([]),
        },
        "responses": responses(about, generator, errors),
    });
    let mut set_body = |required: bool, media_type: &str, schema: SchemaOf| {
        let content = json!({media_type: {"schema": schema(generator)}});
        operation["requestBody"] = json!({"required": required, "content": content});
    };
    if let Some(schema) = about.body {
        set_body(!about.body_optional, "application/json", schema);
    }
    if let Some(schema) = about.form.filter(|_| method == Method::POST) {
        set_body(false, "application/x-www-form-urlencoded", schema);
    }
    operation
}

/// The schema of a path parameter, with its description.
fn path_parameter(path: &str, name: &str, generator: &mut SchemaGenerator) -> Schema {
    let text = |description: &str, example: &str| json_schema!({"type": "string", "minLength": 1, "description": description, "examples": [example]});
    match (name, path.split('/').nth(2)) {
        ("id", Some("images")) => of::<ImageId>(generator),
        ("id", Some("expiring-links")) => of::<LinkId>(generator),
        ("id", Some("jobs")) => of::<JobId>(generator),
        ("id", _) => text("The user's id, or its UUID in the user pool.", "fn24gg4xr10x3cj5bzywwx7tt8"),
        ("name", _) => of::<PlanName>(generator),
        ("owner", _) => text("The UUID of the image's owner.", "7d444840-9dc0-41d1-b245-5ffdce74fad2"),
        ("image", _) => text("The UUID of the image.", "0198c0de-7a5b-7c3d-8e9f-0123456789ab"),
        ("token", _) => text("The token of the link.", "bwx9rzgx5d461brkrnz9t2s4d2pe2dbsqqr28t5cw09nf6yz0930"),
        ("file", Some("imageupload")) => {
            text("The UUID of the image, with the extension of its type.", "0198c0de-7a5b-7c3d-8e9f-0123456789ab.jpg")
        }
        ("file", Some("thumbnail")) => text("The height in pixels, with the extension of the type.", "200.jpg"),
        _ => text("Any name, with the extension of the image's type.", "original.jpg"),
    }
}

fn parameters(path: &str, about: &Operation, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters = Vec::new();
    for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let mut schema = path_parameter(path, name, generator);
        let description = schema.remove("description");
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "description": description, "schema": schema,
        }));
    }
    for (name, schema) in about.query.map(|query| query(generator)).unwrap_or_default() {
        parameters.push(json!({"name": name, "in": "query", "schema": schema}));
    }
    for header in about.headers {
        let (name, description) = match header {
            RequestHeader::IdempotencyKey => (
                "Idempotency-Key",
                "Makes a retry safe: for 24 hours, the same key returns the result of the first request.",
            ),
            RequestHeader::IfMatch => ("If-Match", "Apply the change only if the current ETag is one of these."),
            RequestHeader::IfNoneMatch => ("If-None-Match", "Return 304 if the current ETag is one of these."),
        };
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"});
        parameters.push(json!({"name": name, "in": "header", "description": description, "schema": schema}));
    }
    if let Some((name, description)) = about.cookie {
        let schema = json!({"type": "string"});
        parameters.push(json!({"name": name, "in": "cookie", "description": description, "schema": schema}));
    }
    parameters
}

/// The problems of an operation: its own, and those of its authentication, body, query and headers.
fn problems(about: &Operation) -> Vec<(u16, &'static str, &'static str)> {
    let mut problems = about.problems.to_vec();
    if about.auth != AuthRequirement::None {
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
    if about.headers.contains(&RequestHeader::IdempotencyKey) {
        problems.push((400, "bad_idempotency_key", "Idempotency-Key is empty, too long or not ASCII."));
        problems.push((422, "idempotency_mismatch", "Idempotency-Key was used for another request."));
    }
    if about.headers.contains(&RequestHeader::IfMatch) {
        problems.push((412, "precondition_failed", "The resource has changed since you read it."));
    }
    problems.push((429, "too_many_requests", "Too many requests: wait for the time in Retry-After."));
    problems.push((500, "internal", "Internal error."));
    problems.push((503, "unavailable", "The service is busy: retry after the time in Retry-After."));
    problems
}

fn responses(about: &Operation, generator: &mut SchemaGenerator, errors: &ErrorSchemas) -> Map<String, Value> {
    let mut responses = Map::new();
    for response in about.responses {
        let names = response.headers.iter().chain(&["X-Request-Id"]);
        let headers: Map<String, Value> =
            names.map(|name| ((*name).into(), json!({"schema": {"type": "string"}}))).collect();
        let mut described = json!({"description": response.description, "headers": headers});
        if let Some((media_type, schema)) = response.content {
            described["content"] = json!({media_type: {"schema": schema(generator)}});
        }
        responses.insert(response.status.to_string(), described);
    }
    if about.headers.contains(&RequestHeader::IfNoneMatch) {
        responses.insert("304".into(), json!({"description": "Not modified: your copy is current."}));
    }
    for (status, code, when) in problems(about) {
        let response = responses.entry(status.to_string()).or_insert_with(|| json!({}));
        let before = response["description"].as_str().map(|text| format!("{text}\n\n")).unwrap_or_default();
        response["description"] = format!("{before}`{code}`: {when}").into();
        let own_of_gateway =
            matches!(status, 429 | 500 | 503) || (status == 401 && about.auth == AuthRequirement::Required);
        let schema = if own_of_gateway { &errors.or_gateway } else { errors.problem.as_value() };
        response["content"]["application/problem+json"] = json!({"schema": schema});
        if own_of_gateway {
            response["content"]["application/json"] = json!({"schema": schema});
        }
    }
    responses
}
