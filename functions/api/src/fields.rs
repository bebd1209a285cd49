//! Parses bodies and queries by field: each type parses itself, and all errors are reported at once.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};
use tintype_model::{
    ContentType, Description, Email, Heights, ImageId, Lifetime, MAX_IMAGE_BYTES, PersonName, PlanName, Sha256, Status,
    TextError, Title, Visibility,
};
use unicode_normalization::UnicodeNormalization;

use crate::error::FieldError;

/// Why a value is invalid: a stable identifier, and a phrase that follows the name of the field.
pub(crate) struct Refused(pub(crate) &'static str, pub(crate) String);

/// A type of fields in bodies or queries.
pub(crate) trait Field: Sized {
    /// True if `null` is a value. In other types, `null` means that the field is absent.
    const TAKES_NULL: bool = false;

    fn read(value: &Value) -> Result<Self, Refused>;

    /// Like [`Self::read`], for values with several parts: each error names its part by position.
    fn read_parts(value: &Value, name: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        Self::read(value).map_err(|refused| errors.push(refused.of(name))).ok()
    }
}

impl Refused {
    fn of(self, field: impl Into<String>) -> FieldError {
        let Self(code, message) = self;
        FieldError { field: field.into(), code, message }
    }
}

/// The fields of a body or a query during parsing.
pub(crate) struct Fields {
    given: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(crate) fn new(given: Map<String, Value>) -> Self {
        Self { given, errors: Vec::new() }
    }

    pub(crate) fn required<T: Field>(&mut self, name: &str) -> Option<T> {
        match self.take::<T>(name) {
            Some(value) => T::read_parts(&value, name, &mut self.errors),
            None => {
                self.errors.push(Refused("required", "is required".into()).of(name));
                None
            }
        }
    }

    pub(crate) fn optional<T: Field>(&mut self, name: &str, default: impl FnOnce() -> T) -> Option<T> {
        match self.take::<T>(name) {
            Some(value) => T::read_parts(&value, name, &mut self.errors),
            None => Some(default()),
        }
    }

    fn take<T: Field>(&mut self, name: &str) -> Option<Value> {
        self.given.remove(name).filter(|value| T::TAKES_NULL || !value.is_null())
    }

    /// Returns the errors; with `known_only`, unknown fields are errors too.
    pub(crate) fn errors(mut self, known_only: bool) -> Vec<FieldError> {
        if known_only {
            for (field, _) in std::mem::take(&mut self.given) {
                self.errors.push(Refused("unknown_field", "is not a field of this request".into()).of(field));
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
            TextError::Control | TextError::Nul | TextError::NotAnEmail => "malformed",
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
text_fields!(Title, Description, Email, PersonName, LinkPassword);

impl<T: Field> Field for Option<T> {
    const TAKES_NULL: bool = T::TAKES_NULL;

    fn read(value: &Value) -> Result<Self, Refused> {
        T::read(value).map(Some)
    }

    fn read_parts(value: &Value, name: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        T::read_parts(value, name, errors).map(Some)
    }
}

/// A field of a response, which is ignored in a request.
pub(crate) struct ReadOnly<T>(PhantomData<T>);

impl<T> Default for ReadOnly<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T> Field for ReadOnly<T> {
    fn read(_: &Value) -> Result<Self, Refused> {
        Ok(Self::default())
    }
}

/// A field in which `null` means none.
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

impl<T: Field> Field for Nullable<T> {
    const TAKES_NULL: bool = true;

    fn read(value: &Value) -> Result<Self, Refused> {
        if value.is_null() { Ok(Self(None)) } else { T::read(value).map(Some).map(Self) }
    }
}

impl Field for ContentType {
    fn read(value: &Value) -> Result<Self, Refused> {
        Self::parse_declared(text(value)?).map_err(|e| Refused("unsupported", e.to_string()))
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

impl Field for AsCookie {
    fn read(value: &Value) -> Result<Self, Refused> {
        bool::read(value).map(Self)
    }
}

impl Field for DeleteCookie {
    fn read(value: &Value) -> Result<Self, Refused> {
        bool::read(value).map(Self)
    }
}

/// Unchanged text: a token, a cursor, part of a title. At most 8,192 characters, more than the longest token.
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

/// A code from an e-mail, without white space that was copied with it. Cognito accepts 1 to 2,048 characters.
pub(crate) struct Code(pub(crate) String);

impl Field for Code {
    fn read(value: &Value) -> Result<Self, Refused> {
        let code: String = text(value)?.split_whitespace().collect();
        match code.chars().count() {
            0 => Err(TextError::Empty.into()),
            1..=2048 => Ok(Self(code)),
            _ => Err(TextError::TooLong(2048).into()),
        }
    }
}

/// The beginning of an e-mail address in lower case. Cognito accepts a filter of 256 characters, with its syntax.
pub(crate) struct EmailPrefix(pub(crate) String);

impl Field for EmailPrefix {
    fn read(value: &Value) -> Result<Self, Refused> {
        let Text(text) = Text::read(value)?;
        let prefix = text.trim().to_lowercase();
        if prefix.chars().count() > Email::MAX_CHARS {
            return Err(TextError::TooLong(Email::MAX_CHARS).into());
        }
        if prefix.contains(['"', '\\']) {
            return Err(Refused("malformed", "must not contain quotation marks or backslashes".into()));
        }
        Ok(Self(prefix))
    }
}

/// True if the response sets the session cookie.
pub(crate) struct AsCookie(pub(crate) bool);

/// True if the response deletes the session cookie; it also does if the request has the cookie.
pub(crate) struct DeleteCookie(pub(crate) bool);

/// Text in a query: a cursor, or a prefix. At most 256 characters, which fit a URL in any encoding.
pub(crate) struct QueryText(pub(crate) String);

impl Field for QueryText {
    fn read(value: &Value) -> Result<Self, Refused> {
        let Text(text) = Text::read(value)?;
        if text.chars().count() > 256 { Err(TextError::TooLong(256).into()) } else { Ok(Self(text)) }
    }
}

/// A new password. The pool decides; this reports the length with the errors of other fields.
pub(crate) struct Password(pub(crate) String);

/// In characters. Cognito's minimum for all deployments is 6.
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

/// The items of a batch.
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

    fn read_parts(value: &Value, name: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let Items(items) = Items::read_parts(value, name, errors)?;
        each(&items, name, errors, |item| text(item).map(str::to_owned)).map(Self)
    }
}

/// Parses the items of a list. Returns `None` if there are errors, one for each invalid item.
fn each<T>(
    items: &[Value],
    name: &str,
    errors: &mut Vec<FieldError>,
    read: impl Fn(&Value) -> Result<T, Refused>,
) -> Option<Vec<T>> {
    let mut all = Some(Vec::with_capacity(items.len()));
    for (index, item) in items.iter().enumerate() {
        match read(item) {
            Ok(item) => {
                if let Some(all) = &mut all {
                    all.push(item);
                }
            }
            Err(refused) => {
                errors.push(refused.of(format!("{name}[{index}]")));
                all = None;
            }
        }
    }
    all
}

/// The most items of a page.
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
    Text => json_schema!({"type": "string", "minLength": 1, "maxLength": 8192});
    Code => json_schema!({"type": "string", "minLength": 1, "maxLength": 2048, "examples": ["123456"]});
    EmailPrefix => json_schema!({"type": "string", "minLength": 1, "maxLength": (Email::MAX_CHARS)});
    AsCookie => json_schema!({
        "type": "boolean",
        "description": "Sets the refresh token as an HttpOnly cookie for /api/auth instead of returning it."
    });
    DeleteCookie => json_schema!({
        "type": "boolean", "description": "Deletes the session cookie; so does a request with the cookie."
    });
    QueryText => json_schema!({"type": "string", "minLength": 1, "maxLength": 256});
    Password => json_schema!({
        "type": "string", "minLength": 6, "maxLength": 256, "format": "password",
        "description": "Must satisfy the deployment's password policy.", "examples": ["a longer password"]
    });
    UploadSize => tintype_model::schema::upload_size();
    Texts => json_schema!({
        "type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": {"type": "string"},
        "examples": [["fn24gg4xr10x3cj5bzywwx7tt80shg6yf9dqrfcekw0j6hb7h6ng"]]
    });
    Limit => json_schema!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50, "examples": [50]});
    AnyImage => json_schema!({"type": "string", "examples": ["fn24gg4xr10x3cj5bzywwx7tt80shg6yf9dqrfcekw0j6hb7h6ng"]});
    MaxDownloads => json_schema!({"type": "integer", "minimum": 1, "maximum": 1_000_000_000, "examples": [3]});
    LinkPassword => json_schema!({
        "type": "string", "minLength": 1, "maxLength": (LinkPassword::MAX_CHARS), "format": "password",
        "examples": ["open sesame"]
    });
    Count => json_schema!({"type": "integer", "minimum": 0, "examples": [100_000]});
}

impl<T: JsonSchema> JsonSchema for ReadOnly<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("ReadOnly{}", T::schema_name()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<T>();
        schema.insert("description".into(), "Ignored; accepted so that the response of GET can be sent back.".into());
        schema
    }
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

/// The id of an image; `None` if the text cannot be one.
pub(crate) struct AnyImage(pub(crate) Option<ImageId>);

impl Field for AnyImage {
    fn read(value: &Value) -> Result<Self, Refused> {
        Ok(Self(text(value)?.parse().ok()))
    }
}

fn whole(value: &Value) -> Result<u64, Refused> {
    match (value.as_u64(), value.is_i64()) {
        (Some(number), _) => Ok(number),
        // Less than every limit.
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

/// The download limit of a link.
pub(crate) struct MaxDownloads(pub(crate) u32);

impl Field for MaxDownloads {
    fn read(value: &Value) -> Result<Self, Refused> {
        match u32::try_from(whole(value)?) {
            Ok(most @ 1..=1_000_000_000) => Ok(Self(most)),
            _ => Err(Refused("out_of_range", "must be 1 to 1000000000".into())),
        }
    }
}

/// The password of a link: NFC, 1 to 256 characters.
pub(crate) struct LinkPassword(pub(crate) String);

impl LinkPassword {
    pub(crate) const MAX_CHARS: usize = 256;
}

impl LinkPassword {
    /// Normalises to NFC, because keyboards compose the same letters differently.
    pub(crate) fn parse(text: &str) -> Result<Self, TextError> {
        let password: String = text.nfc().collect();
        match password.chars().count() {
            0 => Err(TextError::Empty),
            1..=Self::MAX_CHARS => Ok(Self(password)),
            _ => Err(TextError::TooLong(Self::MAX_CHARS)),
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
        let heights = value.as_array().ok_or_else(wrong)?.iter().map(height).collect::<Result<Vec<_>, _>>()?;
        let message = || format!("must be at most {} heights", Self::MAX_COUNT);
        Self::new(heights).ok_or_else(|| Refused("out_of_range", message()))
    }

    fn read_parts(value: &Value, name: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        if let Some(items) = value.as_array() {
            each(items, name, errors, height)?;
        }
        Self::read(value).map_err(|refused| errors.push(refused.of(name))).ok()
    }
}

fn height(value: &Value) -> Result<u32, Refused> {
    let (least, highest) = (Heights::MIN, Heights::MAX);
    let height = u32::try_from(whole(value)?).ok().filter(|height| (least..=highest).contains(height));
    height.ok_or_else(|| Refused("out_of_range", format!("must be {least} to {highest} pixels")))
}

/// A limit: 0 or more.
pub(crate) struct Count(pub(crate) u64);

impl Field for Count {
    fn read(value: &Value) -> Result<Self, Refused> {
        if value.as_i64().is_some_and(|number| number < 0) {
            return Err(Refused("out_of_range", "must not be negative".into()));
        }
        whole(value).map(Self)
    }
}
