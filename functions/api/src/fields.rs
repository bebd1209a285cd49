//! Bodies and queries, field by field: each type says how it is read, and all errors are reported at once.

use std::borrow::Cow;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};
use tintype_model::{
    ContentType, Description, Email, Heights, ImageId, Lifetime, MAX_IMAGE_BYTES, PersonName, PlanName, Sha256, Status,
    TextError, Title, Visibility,
};

use crate::error::FieldError;

/// Why a value is not a field of its type: a stable word and a sentence part that follows the field's name.
pub(crate) struct Refused(pub(crate) &'static str, pub(crate) String);

/// A type that a field of a body or a query may have.
pub(crate) trait Field: Sized {
    fn read(value: &Value) -> Result<Self, Refused>;
}

/// The fields of a body or a query while they are read.
pub(crate) struct Fields {
    given: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(crate) fn new(given: Map<String, Value>) -> Self {
        Self { given, errors: Vec::new() }
    }

    pub(crate) fn required<T: Field>(&mut self, name: &str) -> Option<T> {
        let Some(value) = self.given.remove(name) else {
            self.refuse(name, Refused("required", "is required".into()));
            return None;
        };
        self.read(name, &value)
    }

    pub(crate) fn optional<T: Field>(&mut self, name: &str, default: impl FnOnce() -> T) -> Option<T> {
        match self.given.remove(name) {
            Some(value) => self.read(name, &value),
            None => Some(default()),
        }
    }

    fn read<T: Field>(&mut self, name: &str, value: &Value) -> Option<T> {
        T::read(value).map_err(|refused| self.refuse(name, refused)).ok()
    }

    fn refuse(&mut self, name: &str, Refused(code, message): Refused) {
        self.errors.push(FieldError { field: name.into(), code, message });
    }

    /// What was wrong; `known_only`: what was given and never asked for as well.
    pub(crate) fn errors(mut self, known_only: bool) -> Vec<FieldError> {
        if known_only {
            for (field, _) in std::mem::take(&mut self.given) {
                self.refuse(&field, Refused("unknown_field", "is not a field of this request".into()));
            }
        }
        self.errors
    }
}

fn text(value: &Value) -> Result<&str, Refused> {
    value.as_str().ok_or_else(|| Refused("wrong_type", "must be a string".into()))
}

impl From<TextError> for Refused {
    fn from(error: TextError) -> Self {
        let code = match error {
            TextError::Empty => "empty",
            TextError::TooLong(_) => "too_long",
            TextError::Control | TextError::NotAnEmail => "malformed",
        };
        Self(code, error.to_string())
    }
}

macro_rules! text_fields {
    ($($name:ty),+) => {$(
        impl Field for $name {
            fn read(value: &Value) -> Result<Self, Refused> {
                Ok(Self::parse(text(value)?)?)
            }
        }
    )+};
}
text_fields!(Title, Description, Email, PersonName);

impl<T: Field> Field for Option<T> {
    fn read(value: &Value) -> Result<Self, Refused> {
        T::read(value).map(Some)
    }
}

/// A field that may be `null`, which stands for none.
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

impl<T: Field> Field for Nullable<T> {
    fn read(value: &Value) -> Result<Self, Refused> {
        if value.is_null() { Ok(Self(None)) } else { T::read(value).map(Some).map(Self) }
    }
}

impl Field for ContentType {
    fn read(value: &Value) -> Result<Self, Refused> {
        Self::parse(text(value)?).map_err(|e| Refused("unsupported", e.to_string()))
    }
}

impl Field for Visibility {
    fn read(value: &Value) -> Result<Self, Refused> {
        Self::parse(text(value)?).ok_or_else(|| Refused("unsupported", "must be public or private".into()))
    }
}

impl Field for Status {
    fn read(value: &Value) -> Result<Self, Refused> {
        let names = Self::ALL.map(Self::as_str).join(", ");
        Self::parse(text(value)?).ok_or_else(|| Refused("unsupported", format!("must be one of {names}")))
    }
}

impl Field for Sha256 {
    fn read(value: &Value) -> Result<Self, Refused> {
        Self::parse(text(value)?).ok_or_else(|| Refused("malformed", "must be 64 lower-case hexadecimal digits".into()))
    }
}

impl Field for bool {
    fn read(value: &Value) -> Result<Self, Refused> {
        value.as_bool().ok_or_else(|| Refused("wrong_type", "must be true or false".into()))
    }
}

/// Text taken as it is: a code, a token, a cursor, part of a title. At most 8,192 characters, which the longest token has not.
pub(crate) struct Text(pub(crate) String);

impl Field for Text {
    fn read(value: &Value) -> Result<Self, Refused> {
        let text = text(value)?;
        match text.chars().count() {
            0 => Err(TextError::Empty.into()),
            1..=8192 => Ok(Self(text.to_owned())),
            _ => Err(TextError::TooLong(8192).into()),
        }
    }
}

/// Text of a query: a cursor, or the beginning of something. At most 256 characters, which fit a URL however they are encoded.
pub(crate) struct QueryText(pub(crate) String);

impl Field for QueryText {
    fn read(value: &Value) -> Result<Self, Refused> {
        let Text(text) = Text::read(value)?;
        if text.chars().count() > 256 { Err(TextError::TooLong(256).into()) } else { Ok(Self(text)) }
    }
}

/// A new password. The pool has the last word; what is plain from here is said with the other fields' errors.
pub(crate) struct Password(pub(crate) String);

/// Characters. The pool's own bound, whatever the deployment asks for, is 6.
static PASSWORD_MIN: LazyLock<usize> =
    LazyLock::new(|| std::env::var("PASSWORD_MIN_LENGTH").ok().and_then(|text| text.parse().ok()).unwrap_or(6));

impl Field for Password {
    fn read(value: &Value) -> Result<Self, Refused> {
        let password = text(value)?;
        match password.chars().count() {
            length if length < *PASSWORD_MIN => {
                Err(Refused("weak_password", format!("must have at least {} characters", *PASSWORD_MIN)))
            }
            257.. => Err(Refused("weak_password", "must have at most 256 characters".into())),
            _ => Ok(Self(password.to_owned())),
        }
    }
}

/// The size of an upload in bytes.
pub(crate) struct UploadSize(pub(crate) u64);

impl Field for UploadSize {
    fn read(value: &Value) -> Result<Self, Refused> {
        let whole = value.is_i64() || value.is_u64();
        match value.as_u64() {
            _ if !whole => Err(Refused("wrong_type", "must be a whole number of bytes".into())),
            Some(size @ 1..=MAX_IMAGE_BYTES) => Ok(Self(size)),
            _ => Err(Refused("out_of_range", format!("must be 1 to {MAX_IMAGE_BYTES} bytes"))),
        }
    }
}

/// What one request may do many times at once.
pub(crate) const MAX_ITEMS: usize = 1000;

/// 1 to 1,000 items, not looked at yet.
pub(crate) struct Items(pub(crate) Vec<Value>);

impl Field for Items {
    fn read(value: &Value) -> Result<Self, Refused> {
        match value.as_array() {
            None => Err(Refused("wrong_type", "must be a list".into())),
            Some(items) if (1..=MAX_ITEMS).contains(&items.len()) => Ok(Self(items.clone())),
            Some(_) => Err(Refused("out_of_range", format!("must have 1 to {MAX_ITEMS} items"))),
        }
    }
}

/// 1 to 1,000 texts.
pub(crate) struct Texts(pub(crate) Vec<String>);

impl Field for Texts {
    fn read(value: &Value) -> Result<Self, Refused> {
        let Items(items) = Items::read(value)?;
        items.iter().map(|item| text(item).map(str::to_owned)).collect::<Result<_, _>>().map(Self)
    }
}

/// How many items a page has at most.
pub(crate) struct Limit(pub(crate) usize);

impl Field for Limit {
    fn read(value: &Value) -> Result<Self, Refused> {
        match text(value)?.parse() {
            Ok(limit @ 1..=100) => Ok(Self(limit)),
            _ => Err(Refused("out_of_range", "must be a whole number from 1 to 100".into())),
        }
    }
}

macro_rules! schemas {
    ($($name:ident => $schema:expr;)+) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )+};
}

schemas! {
    Text => json_schema!({"type": "string", "minLength": 1, "maxLength": 8192, "examples": ["123456"]});
    QueryText => json_schema!({"type": "string", "minLength": 1, "maxLength": 256});
    Password => json_schema!({
        "type": "string", "minLength": 6, "maxLength": 256, "format": "password",
        "description": "As long and as mixed as the deployment asks for.", "examples": ["a longer password"]
    });
    UploadSize => tintype_model::schema::upload_size();
    Texts => json_schema!({
        "type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": {"type": "string"},
        "examples": [["fURIQJ3AQdGyRV_9znT60gGYwN56W3w9jp8BI0Vniaw"]]
    });
    Limit => json_schema!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50, "examples": [50]});
    AnyImage => json_schema!({"type": "string", "examples": ["fURIQJ3AQdGyRV_9znT60gGYwN56W3w9jp8BI0Vniaw"]});
    MaxDownloads => json_schema!({"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "examples": [3]});
    LinkPassword => json_schema!({
        "type": "string", "minLength": 1, "maxLength": (LinkPassword::MAX_CHARS), "format": "password",
        "examples": ["open sesame"]
    });
    Count => json_schema!({"type": "integer", "minimum": 0, "examples": [100_000]});
}

impl<T: JsonSchema> JsonSchema for Nullable<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Nullable{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [generator.subschema_for::<T>(), {"type": "null"}]})
    }
}

impl Field for ImageId {
    fn read(value: &Value) -> Result<Self, Refused> {
        text(value)?.parse().map_err(|_| Refused("malformed", "must be the id of an image".into()))
    }
}

/// What should be the id of an image; none where no image could have it.
pub(crate) struct AnyImage(pub(crate) Option<ImageId>);

impl Field for AnyImage {
    fn read(value: &Value) -> Result<Self, Refused> {
        Ok(Self(text(value)?.parse().ok()))
    }
}

fn whole(value: &Value) -> Result<u64, Refused> {
    match (value.as_u64(), value.is_i64()) {
        (Some(number), _) => Ok(number),
        // Below every bound.
        (None, true) => Ok(0),
        (None, false) => Err(Refused("wrong_type", "must be a whole number".into())),
    }
}

impl Field for Lifetime {
    fn read(value: &Value) -> Result<Self, Refused> {
        let message = || format!("must be {} to {} seconds", Self::MIN, Self::MAX);
        Self::from_secs(whole(value)?).ok_or_else(|| Refused("out_of_range", message()))
    }
}

/// How often a link may be used.
pub(crate) struct MaxDownloads(pub(crate) u32);

impl Field for MaxDownloads {
    fn read(value: &Value) -> Result<Self, Refused> {
        match u32::try_from(whole(value)?) {
            Ok(most @ 1..=1_000_000_000) => Ok(Self(most)),
            _ => Err(Refused("out_of_range", "must be 1 to 1000000000".into())),
        }
    }
}

/// The password of a link, in 1 to 256 characters.
pub(crate) struct LinkPassword(pub(crate) String);

impl LinkPassword {
    pub(crate) const MAX_CHARS: usize = 256;
}

impl Field for LinkPassword {
    fn read(value: &Value) -> Result<Self, Refused> {
        let password = text(value)?;
        match password.chars().count() {
            0 => Err(TextError::Empty.into()),
            1..=Self::MAX_CHARS => Ok(Self(password.to_owned())),
            _ => Err(TextError::TooLong(Self::MAX_CHARS).into()),
        }
    }
}

impl Field for PlanName {
    fn read(value: &Value) -> Result<Self, Refused> {
        let message = || format!("must be 1 to {} letters, digits, _ or -", Self::MAX_CHARS);
        Self::parse(text(value)?).ok_or_else(|| Refused("malformed", message()))
    }
}

impl Field for Heights {
    fn read(value: &Value) -> Result<Self, Refused> {
        let wrong = || Refused("wrong_type", "must be a list of whole numbers".into());
        let heights = value.as_array().ok_or_else(wrong)?.iter().map(whole).collect::<Result<Vec<_>, _>>();
        let heights = heights.map_err(|_| wrong())?.into_iter().map(|height| u32::try_from(height).unwrap_or(u32::MAX));
        let (most, least, highest) = (Self::MAX_COUNT, Self::MIN, Self::MAX);
        let message = || format!("must be at most {most} heights of {least} to {highest} pixels");
        Self::new(heights.collect()).ok_or_else(|| Refused("out_of_range", message()))
    }
}

/// How many there may be of something.
pub(crate) struct Count(pub(crate) u64);

impl Field for Count {
    fn read(value: &Value) -> Result<Self, Refused> {
        if value.as_i64().is_some_and(|number| number < 0) {
            return Err(Refused("out_of_range", "must not be negative".into()));
        }
        whole(value).map(Self)
    }
}
