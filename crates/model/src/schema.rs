//! The JSON schemas of the domain types, for the OpenAPI document and its clients.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::{
    ContentType, Description, Email, Heights, ImageId, ImageKey, JobId, JobKind, JobStatus, Lifetime, LinkId,
    PersonName, PlanName, RejectCode, Sha256, Status, Timestamp, Title, UserId, Visibility, Warning,
};

macro_rules! schemas {
    ($($type:ident => $schema:tt;)+) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

schemas! {
    UserId => {
        "type": "string", "pattern": "^[0-9a-hjkmnp-tv-z]{26}$", "description": "A user's id.",
        "examples": ["fn24gg4xr10x3cj5bzywwx7tt8"]
    };
    ImageKey => {
        "type": "string", "format": "uuid", "examples": ["0198c0de-7a5b-7c3d-8e9f-0123456789ab"]
    };
    ImageId => {
        "type": "string", "pattern": "^[0-9a-hjkmnp-tv-z]{52}$", "description": "An image's id.",
        "examples": ["fn24gg4xr10x3cj5bzywwx7tt80shg6yf9dqrfcekw0j6hb7h6ng"]
    };
    JobId => {
        "type": "string", "pattern": "^[0-9a-hjkmnp-tv-z]{52}$", "description": "A job's id.",
        "examples": ["fn24gg4xr10x3cj5bzywwx7tt8zjq30xks3mmtwd41e7x7r1795g"]
    };
    JobKind => { "type": "string", "enum": (JobKind::ALL.map(JobKind::as_str)) };
    JobStatus => { "type": "string", "enum": ["queued", "running", "done", "failed"], "examples": ["running"] };
    Title => {
        "type": "string", "minLength": 1, "maxLength": (Title::MAX_CHARS),
        "description": "Compared after Unicode NFC and trimming; unique among its owner's images.",
        "examples": ["Harbour at dawn"]
    };
    Description => {
        "type": "string", "maxLength": (Description::MAX_CHARS), "examples": ["From the pier, before the rain."]
    };
    PersonName => {
        "type": "string", "minLength": 1, "maxLength": (PersonName::MAX_CHARS), "examples": ["Ada"]
    };
    Email => {
        "type": "string", "format": "email", "maxLength": (Email::MAX_CHARS), "examples": ["ada@example.org"]
    };
    PlanName => {
        "type": "string", "pattern": (format!("^[A-Za-z0-9_-]{{1,{}}}$", PlanName::MAX_CHARS)),
        "description": "A plan's name.", "examples": ["Premium"]
    };
    Heights => {
        "type": "array", "maxItems": (Heights::MAX_COUNT), "description": "Pixels.", "examples": [[200, 400]],
        "items": {"type": "integer", "minimum": (Heights::MIN), "maximum": (Heights::MAX)}
    };
    LinkId => {
        "type": "string", "pattern": "^[0-9a-hjkmnp-tv-z]{52}$", "description": "A link's id.",
        "examples": ["fn24gg4xr10x3cj5bzywwx7tt80shg713g17n451pb1x9sfp0wc0"]
    };
    Lifetime => {
        "type": "integer", "minimum": (Lifetime::MIN), "maximum": (Lifetime::MAX), "description": "Seconds.",
        "examples": [3600]
    };
    Timestamp => {
        "type": "string", "format": "date-time", "description": "RFC 3339, in UTC.",
        "examples": ["2030-01-02T03:04:05.678Z"]
    };
    Sha256 => {
        "type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the file, in lower-case hexadecimal.",
        "examples": ["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
    };
    ContentType => {
        "type": "string", "enum": (ContentType::ALL.map(ContentType::as_str)), "examples": ["image/jpeg"],
        "description": "The registered media type. A request may use an alias (image/jpg, image/pjpeg), any case and parameters."
    };
    Status => { "type": "string", "enum": (Status::ALL.map(Status::as_str)), "examples": ["ready"] };
    RejectCode => {
        "type": "string", "enum": (RejectCode::ALL.map(RejectCode::as_str)), "examples": ["truncated"],
        "description": "Why an image was rejected."
    };
    Warning => {
        "type": "string", "enum": (Warning::ALL.map(Warning::as_str)), "examples": ["truncated"],
        "description": "A defect of the file. truncated: some of the last rows, at most 5 %, are missing and were filled."
    };
    Visibility => { "type": "string", "enum": ["public", "private"], "examples": ["public"] };
}
