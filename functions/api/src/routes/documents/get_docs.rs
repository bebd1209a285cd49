use std::fmt::Write;
use std::sync::LazyLock;

use serde_json::Value;

use crate::error::Problem;
use crate::openapi::{self, Answer, Operation, PLAIN, text};
use crate::reply::Reply;
use crate::request::Request;

pub(crate) const DOCUMENT: Operation = Operation {
    tag: "Service",
    summary: "This document as a page to read",
    replies: &[Answer { status: 200, description: "A page.", content: Some(("text/html", text)), headers: &[] }],
    ..PLAIN
};

static PAGE: LazyLock<String> = LazyLock::new(|| page(&openapi::document()));

pub(crate) async fn handle(_: &Request<'_>) -> Result<Reply, Problem> {
    Ok(Reply::bytes("text/html; charset=utf-8", PAGE.clone().into_bytes())
        .with_header("cache-control", "public, max-age=300")
        .with_header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"))
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
nav a{margin-right:1rem}details{border:1px solid #ddd;border-radius:6px;margin:.5rem 0;padding:.5rem .8rem}\
summary{cursor:pointer}code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f5f5f2;padding:.8rem;overflow:auto}\
b.m{display:inline-block;min-width:4.5rem;color:#7a3b12}td,th{text-align:left;vertical-align:top;padding:.15rem .8rem .15rem 0}\
@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}pre{background:#222}details{border-color:#444}a{color:#9bf}b.m{color:#e9a36b}}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Text of the document, in which back quotes mark code.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for (i, part) in escape(text).split('`').enumerate() {
        let _ = if i % 2 == 1 { write!(html, "<code>{part}</code>") } else { write!(html, "{part}") };
    }
    html.replace("\n\n", "<br>")
}

fn page(document: &Value) -> String {
    let tags: Vec<&str> =
        document["tags"].as_array().into_iter().flatten().filter_map(|tag| tag["name"].as_str()).collect();
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>{0} API</title><style>{STYLE}</style><h1>{0} API</h1><p>{1} <a href=/api/openapi.json>OpenAPI document</a></p><nav>",
        escape(document["info"]["title"].as_str().unwrap_or_default()),
        prose(document["info"]["description"].as_str().unwrap_or_default()),
    );
    for tag in &tags {
        let _ = write!(html, "<a href='#{tag}'>{tag}</a>");
    }
    html.push_str("</nav>");
    for tag in tags {
        let _ = write!(html, "<h2 id='{tag}'>{tag}</h2>");
        for (path, methods) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in methods.as_object().into_iter().flatten() {
                if operation["tags"][0] == tag && method != "head" {
                    write_operation(&mut html, document, path, method, operation);
                }
            }
        }
    }
    html
}

fn write_operation(html: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let text = |value: &Value| value.as_str().map(prose).unwrap_or_default();
    let _ = write!(
        html,
        "<details id='{}'><summary><b class=m>{}</b> <code>{}</code> {}</summary>",
        text(&operation["operationId"]),
        method.to_uppercase(),
        escape(path),
        text(&operation["summary"]),
    );
    let login = match operation["security"].as_array().map(Vec::as_slice) {
        Some([]) | None => "No login.",
        Some([_]) => "Needs <code>Authorization: Bearer</code>.",
        Some(_) => "Login optional.",
    };
    let _ = write!(html, "<p>{login}</p>");
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        html.push_str("<h4>Parameters</h4><table>");
        for parameter in parameters {
            let _ = write!(
                html,
                "<tr><td><code>{}</code><td>{}<td>{}{}",
                text(&parameter["name"]),
                text(&parameter["in"]),
                text(&parameter["description"]),
                text(&parameter["schema"]["description"]),
            );
        }
        html.push_str("</table>");
    }
    let body = &operation["requestBody"]["content"]["application/json"];
    if !body.is_null() {
        html.push_str("<h4>Body</h4>");
        write_fields(html, document, &body["schema"]);
        let _ = write!(html, "<pre>{}</pre>", escape(&format!("{:#}", body["example"])));
    }
    html.push_str("<h4>Answers</h4><table>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let _ = write!(html, "<tr><td><b>{status}</b><td>{}", text(&response["description"]));
    }
    html.push_str("</table>");
    for (_, response) in operation["responses"].as_object().into_iter().flatten() {
        let example = &response["content"]["application/json"]["example"];
        if response["content"]["application/problem+json"].is_null() && !example.is_null() {
            let _ = write!(html, "<pre>{}</pre>", escape(&format!("{example:#}")));
        }
    }
    html.push_str("</details>");
}

fn write_fields(html: &mut String, document: &Value, schema: &Value) {
    let schema = match schema["$ref"].as_str().and_then(|path| document.pointer(path.trim_start_matches('#'))) {
        Some(schema) => schema,
        None => schema,
    };
    html.push_str("<table>");
    for (name, part) in schema["properties"].as_object().into_iter().flatten() {
        let required = schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
        let _ = write!(
            html,
            "<tr><td><code>{}</code><td>{}<td>{}",
            escape(name),
            if required { "required" } else { "" },
            prose(part["description"].as_str().unwrap_or_default()),
        );
    }
    html.push_str("</table>");
}
