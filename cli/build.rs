//! Generates Rust from `docs/openapi.json`: a struct for each schema, and a constant for each operation with its method, path
//! and response type.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;

const DOCUMENT: &str = "../docs/openapi.json";

fn main() {
    println!("cargo:rerun-if-changed={DOCUMENT}");
    println!("cargo:rerun-if-changed=build.rs");
    // Link libgcc statically, so that the client needs only the C library.
    if env::var("TARGET").is_ok_and(|target| target.contains("linux-gnu")) {
        println!("cargo:rustc-link-arg-bins=-Wl,--whole-archive,-l:libgcc_eh.a,--no-whole-archive");
    }
    let text = fs::read_to_string(DOCUMENT).expect("docs/openapi.json can be read");
    let document: Value = serde_json::from_str(&text).expect("docs/openapi.json is JSON");
    let mut code = String::new();
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        structure(&mut code, name, schema);
    }
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            constants(&mut code, path, method, operation);
        }
    }
    let file = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("api.rs");
    fs::write(file, code).expect("the build's own folder can be written");
}

fn structure(code: &mut String, name: &str, schema: &Value) {
    let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("{name} is no object: {schema}"));
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    doc(code, "", schema);
    writeln!(code, "#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]").unwrap();
    writeln!(code, "pub(crate) struct {name} {{").unwrap();
    for (field, schema) in properties {
        doc(code, "    ", schema);
        let (kind, nullable) = kind(schema);
        let kind = match (required.contains(field.as_str()), nullable) {
            (true, false) => kind,
            (true, true) => {
                writeln!(code, "    #[serde(default)]").unwrap();
                format!("Option<{kind}>")
            }
            (false, _) => {
                writeln!(code, "    #[serde(default, skip_serializing_if = \"Option::is_none\")]").unwrap();
                format!("Option<{kind}>")
            }
        };
        let identifier = if field == "type" { "r#type" } else { field };
        writeln!(code, "    pub(crate) {identifier}: {kind},").unwrap();
    }
    writeln!(code, "}}").unwrap();
    if properties.keys().eq(["next_cursor", "results"]) {
        let item = kind(&properties["results"]["items"]).0;
        writeln!(
            code,
            "impl super::Paged for {name} {{ type Item = {item}; \
             fn split(self) -> (Vec<{item}>, Option<String>) {{ (self.results, self.next_cursor) }} }}"
        )
        .unwrap();
    }
}

fn doc(code: &mut String, indent: &str, schema: &Value) {
    if let Some(text) = schema["description"].as_str() {
        writeln!(code, "{indent}#[doc = {text:?}]").unwrap();
    }
}

/// Returns the Rust type of a schema, and whether it allows null. Enumerations become `String`, so that the client can read
/// values added later.
fn kind(schema: &Value) -> (String, bool) {
    if let Some(reference) = schema["$ref"].as_str() {
        return (reference.rsplit('/').next().unwrap_or_default().to_owned(), false);
    }
    if let Some(several) = schema["anyOf"].as_array() {
        let (nulls, others): (Vec<_>, Vec<_>) = several.iter().partition(|one| one["type"] == "null");
        assert!(others.len() == 1 && !nulls.is_empty(), "only a type or null can be told apart: {schema}");
        return (kind(others[0]).0, true);
    }
    let named = |name: &str| match name {
        "string" => "String".to_owned(),
        "boolean" => "bool".to_owned(),
        "number" => "f64".to_owned(),
        "integer" => match schema["format"].as_str() {
            Some("uint16") => "u16".to_owned(),
            Some("uint32") => "u32".to_owned(),
            _ => "u64".to_owned(),
        },
        "array" => format!("Vec<{}>", kind(&schema["items"]).0),
        "object" if schema["additionalProperties"].is_object() => {
            format!("std::collections::BTreeMap<String, {}>", kind(&schema["additionalProperties"]).0)
        }
        _ => panic!("a schema of a kind not met before: {schema}"),
    };
    match &schema["type"] {
        Value::String(name) => (named(name), false),
        Value::Array(names) => {
            let others: Vec<&str> = names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect();
            assert_eq!(others.len(), 1, "only a type or null can be told apart: {schema}");
            (named(others[0]), true)
        }
        _ => panic!("a schema without a type: {schema}"),
    }
}

/// Writes a constant for each successful status with JSON or no body. The first has the name of the operation; the others add
/// the status.
fn constants(code: &mut String, path: &str, method: &str, operation: &Value) {
    let id = operation["operationId"].as_str().expect("operations have ids");
    let takes_key = operation["parameters"]
        .as_array()
        .is_some_and(|parameters| parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key"));
    let login = match operation["security"].as_array().map(Vec::as_slice) {
        None | Some([]) => "None",
        Some(all) if all.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty)) => "Optional",
        Some(_) => "Required",
    };
    let mut first = true;
    for (status, answer) in operation["responses"].as_object().expect("responses") {
        if !status.starts_with('2') {
            continue;
        }
        let gives = match answer["content"].as_object() {
            None => "()".to_owned(),
            Some(content) => match content.get("application/json") {
                Some(json) if json["schema"]["$ref"].is_string() => kind(&json["schema"]).0,
                _ => continue,
            },
        };
        let mut name = id.to_uppercase();
        if !first {
            write!(name, "_{status}").unwrap();
        }
        first = false;
        if let Some(text) = operation["summary"].as_str() {
            writeln!(code, "#[doc = {text:?}]").unwrap();
        }
        writeln!(code, "#[allow(dead_code)]").unwrap();
        writeln!(
            code,
            "pub(crate) const {name}: ApiCall<{gives}> = ApiCall {{ name: {id:?}, method: http::Method::{}, \
             path: {path:?}, login: LoginNeed::{login}, takes_key: {takes_key}, gives: std::marker::PhantomData }};",
            method.to_uppercase()
        )
        .unwrap();
    }
}
