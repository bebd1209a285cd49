//! Describes the requests and responses of an operation, beside its handler, for the OpenAPI document.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::input::Input;

/// The requests and responses of an operation.
pub(crate) struct Operation {
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) auth: AuthRequirement,
    pub(crate) query: Option<ParametersOf>,
    pub(crate) body: Option<SchemaOf>,
    /// True if a request without a body is treated as one with an empty object.
    pub(crate) body_optional: bool,
    /// The fields of a form that POST takes in place of JSON.
    pub(crate) form: Option<SchemaOf>,
    /// Request headers that it uses.
    pub(crate) headers: &'static [RequestHeader],
    /// A cookie that it uses: name, description.
    pub(crate) cookie: Option<(&'static str, &'static str)>,
    pub(crate) responses: &'static [ResponseDoc],
    /// In addition to those of its authentication, body, query and headers: status, code, description.
    pub(crate) problems: &'static [(u16, &'static str, &'static str)],
}

pub(crate) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// Schemas by name.
pub(crate) type ParametersOf = fn(&mut SchemaGenerator) -> Vec<(&'static str, Schema)>;

/// A successful response.
pub(crate) struct ResponseDoc {
    pub(crate) status: u16,
    pub(crate) description: &'static str,
    /// Media type and schema.
    pub(crate) content: Option<(&'static str, SchemaOf)>,
    /// In addition to `X-Request-Id`.
    pub(crate) headers: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthRequirement {
    /// The gateway rejects requests without a token.
    Required,
    Optional,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestHeader {
    IdempotencyKey,
    IfMatch,
    IfNoneMatch,
}

impl Operation {
    pub(crate) const DEFAULT: Self = Self {
        tag: "",
        summary: "",
        auth: AuthRequirement::None,
        query: None,
        body: None,
        body_optional: false,
        form: None,
        headers: &[],
        cookie: None,
        responses: &[],
        problems: &[],
    };
}

impl ResponseDoc {
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

pub(crate) fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

pub(crate) fn parameters_of<T: Input>(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)> {
    T::parameters(generator)
}

/// The bytes of a file.
pub(crate) fn binary(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "binary"})
}

pub(crate) fn text(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string"})
}

pub(crate) fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}
