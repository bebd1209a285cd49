//! Parses bodies and queries by field: each type parses itself, and all errors are reported at once. The bounds of a type
//! are constants that its parser and its schema share.

use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
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
pub(crate) struct FieldRejection(pub(crate) &'static str, pub(crate) String);

/// A type of fields in bodies or queries.
pub(crate) trait FromField: JsonSchema + Sized {
    /// True if `null` is a value. In other types, `null` means that the field is absent.
    const TAKES_NULL: bool = false;

    fn read(value: &Value) -> Result<Self, FieldRejection>;

    /// Like [`Self::read`], for values with several parts: each error names its part by position.
    fn read_parts(value: &Value, name: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        Self::read(value).map_err(|rejection| errors.push(rejection.of(name))).ok()
    }

    /// Its schema as a query parameter.
    fn parameter(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<Self>()
    }
}

impl FieldRejection {
    fn of(self, field: impl Into<String>) -> FieldError {
        let Self(code, message) = self;
        FieldError { field: field.into(), code, message }
    }
}

/// Unknown fields that are listed: with those of 1,000 images, a response fits the 6 MB that Lambda takes ("Lambda quotas").
const MAX_UNKNOWN: usize = 20;

/// The fields of a body or a query during parsing.
pub(crate) struct FieldReader {
    given: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl FieldReader {
    pub(crate) fn new(given: Map<String, Value>) -> Self {
        Self { given, errors: Vec::new() }
    }

    pub(crate) fn required<T: FromField>(&mut self, name: &str) -> Option<T> {
        match self.take::<T>(name) {
            Some(value) => T::read_parts(&value, name, &mut self.errors),
            None => {
                self.errors.push(FieldRejection("required", "is required".into()).of(name));
                None
            }
        }
    }

    pub(crate) fn optional<T: FromField>(&mut self, name: &str, default: impl FnOnce() -> T) -> Option<T> {
        match self.take::<T>(name) {
            Some(value) => T::read_parts(&value, name, &mut self.errors),
            None => Some(default()),
        }
    }

    fn take<T: FromField>(&mut self, name: &str) -> Option<Value> {
        self.given.remove(name).filter(|value| T::TAKES_NULL || !value.is_null())
    }

    /// Returns the errors; with `reject_unknown`, unknown fields are errors too, of which the first ones are listed.
    pub(crate) fn errors(mut self, reject_unknown: bool) -> Vec<FieldError> {
        if reject_unknown {
            for (field, _) in std::mem::take(&mut self.given).into_iter().take(MAX_UNKNOWN) {
                self.errors.push(FieldRejection("unknown_field", "is not a field of this request".into()).of(field));
            }
        }
        self.errors
    }
}

fn text(value: &Value) -> Result<&str, FieldRejection> {
    value.as_str().ok_or_else(|| FieldRejection("wrong_type", "must be a string".into()))
}

impl From<TextError> for FieldRejection {
    fn from(error: TextError) -> Self {
        let code = match error {
            TextError::Empty => "empty",
            TextError::TooLong(_) => "too_long",
            TextError::Control | TextError::Nul | TextError::NotAnEmail => "malformed",
        };
        Self(code, error.to_string())
    }
}

/// Checks the number of characters.
fn check_length(text: &str, chars: &RangeInclusive<usize>) -> Result<(), TextError> {
    match text.chars().count() {
        0 if *chars.start() > 0 => Err(TextError::Empty),
        length if length > *chars.end() => Err(TextError::TooLong(*chars.end())),
        _ => Ok(()),
    }
}

macro_rules! text_fields {
    ($($name:ty),+) => {$(
        impl FromField for $name {
            fn read(value: &Value) -> Result<Self, FieldRejection> {
                Ok(Self::parse(text(value)?)?)
            }
        }
    )+};
}
text_fields!(Title, Description, Email, PersonName, LinkPassword);

impl<T: FromField> FromField for Option<T> {
    const TAKES_NULL: bool = T::TAKES_NULL;

    fn read(value: &Value) -> Result<Self, FieldRejection> {
        T::read(value).map(Some)
    }

    fn read_parts(value: &Value, name: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        T::read_parts(value, name, errors).map(Some)
    }

    fn parameter(generator: &mut SchemaGenerator) -> Schema {
        T::parameter(generator)
    }
}

/// A field of a response, which is ignored in a request.
pub(crate) struct ReadOnly<T>(PhantomData<T>);

impl<T> Default for ReadOnly<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: JsonSchema> FromField for ReadOnly<T> {
    fn read(_: &Value) -> Result<Self, FieldRejection> {
        Ok(Self::default())
    }
}

/// A field in which `null` means none.
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

impl<T: FromField> FromField for Nullable<T> {
    const TAKES_NULL: bool = true;

    fn read(value: &Value) -> Result<Self, FieldRejection> {
        if value.is_null() { Ok(Self(None)) } else { T::read(value).map(Some).map(Self) }
    }
}

impl FromField for ContentType {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        Self::parse_declared(text(value)?).map_err(|e| FieldRejection("unsupported", e.to_string()))
    }
}

impl FromField for Visibility {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        Self::parse(text(value)?).ok_or_else(|| FieldRejection("unsupported", "must be public or private".into()))
    }
}

impl FromField for Status {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let names = Self::ALL.map(Self::as_str).join(", ");
        Self::parse(text(value)?).ok_or_else(|| FieldRejection("unsupported", format!("must be one of {names}")))
    }
}

impl FromField for Sha256 {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        Self::parse(text(value)?)
            .ok_or_else(|| FieldRejection("malformed", "must be 64 lower-case hexadecimal digits".into()))
    }
}

impl FromField for bool {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        value.as_bool().ok_or_else(|| FieldRejection("wrong_type", "must be true or false".into()))
    }
}

impl FromField for AsCookie {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        bool::read(value).map(Self)
    }
}

impl FromField for DeleteCookie {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        bool::read(value).map(Self)
    }
}

/// Unchanged text: a token, a cursor, part of a title.
pub(crate) struct Text(pub(crate) String);

impl Text {
    /// More than the longest token has.
    const CHARS: RangeInclusive<usize> = 1..=8192;
}

impl FromField for Text {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let text = text(value)?;
        check_length(text, &Self::CHARS)?;
        Ok(Self(text.to_owned()))
    }
}

/// A code from an e-mail, without white space that was copied with it.
pub(crate) struct Code(pub(crate) String);

impl Code {
    /// Cognito's.
    const CHARS: RangeInclusive<usize> = 1..=2048;
}

impl FromField for Code {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let code: String = text(value)?.split_whitespace().collect();
        check_length(&code, &Self::CHARS)?;
        Ok(Self(code))
    }
}

/// The beginning of an e-mail address in lower case.
pub(crate) struct EmailPrefix(pub(crate) String);

impl EmailPrefix {
    /// Cognito accepts a filter of 256 characters, with its syntax.
    const CHARS: RangeInclusive<usize> = 1..=Email::MAX_CHARS;
}

impl FromField for EmailPrefix {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let Text(text) = Text::read(value)?;
        let prefix = text.trim().to_lowercase();
        check_length(&prefix, &(0..=*Self::CHARS.end()))?;
        if prefix.contains(['"', '\\']) {
            return Err(FieldRejection("malformed", "must not contain quotation marks or backslashes".into()));
        }
        Ok(Self(prefix))
    }
}

/// True if the response sets the session cookie.
pub(crate) struct AsCookie(pub(crate) bool);

/// True if the response deletes the session cookie; it also does if the request has the cookie.
pub(crate) struct DeleteCookie(pub(crate) bool);

/// Text in a query: a cursor, or a prefix.
#[derive(Clone)]
pub(crate) struct QueryText(pub(crate) String);

impl QueryText {
    /// These fit a URL in any encoding.
    const CHARS: RangeInclusive<usize> = 1..=256;
}

impl FromField for QueryText {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let text = text(value)?;
        check_length(text, &Self::CHARS)?;
        Ok(Self(text.to_owned()))
    }
}

/// A new password. The pool decides; this reports the length with the errors of other fields.
pub(crate) struct Password(pub(crate) String);

impl Password {
    /// Of all deployments; a deployment can have a higher minimum.
    const CHARS: RangeInclusive<usize> = 6..=256;
}

/// The minimum of this deployment, in characters.
static PASSWORD_MIN: LazyLock<usize> = LazyLock::new(|| {
    let configured = std::env::var("PASSWORD_MIN_LENGTH").ok().and_then(|text| text.parse().ok());
    configured.unwrap_or(*Password::CHARS.start())
});

impl FromField for Password {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let password = text(value)?;
        match password.chars().count() {
            length if length < *PASSWORD_MIN => {
                Err(FieldRejection("weak_password", format!("must have at least {} characters", *PASSWORD_MIN)))
            }
            length if length > *Self::CHARS.end() => {
                Err(FieldRejection("weak_password", format!("must have at most {} characters", Self::CHARS.end())))
            }
            _ => Ok(Self(password.to_owned())),
        }
    }
}

/// The size of an upload in bytes.
pub(crate) struct UploadSize(pub(crate) u64);

impl UploadSize {
    const BYTES: RangeInclusive<u64> = 1..=MAX_IMAGE_BYTES;
}

impl FromField for UploadSize {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let whole = value.is_i64() || value.is_u64();
        match value.as_u64() {
            _ if !whole => Err(FieldRejection("wrong_type", "must be a whole number of bytes".into())),
            Some(size) if Self::BYTES.contains(&size) => Ok(Self(size)),
            _ => Err(FieldRejection("out_of_range", format!("must be 1 to {MAX_IMAGE_BYTES} bytes"))),
        }
    }
}

/// The items of a batch.
pub(crate) const MAX_ITEMS: usize = 1000;

/// Returns the 1 to 1,000 items of a list, not parsed yet.
pub(crate) fn items(value: &Value) -> Result<&[Value], FieldRejection> {
    match value.as_array() {
        None => Err(FieldRejection("wrong_type", "must be a list".into())),
        Some(items) if (1..=MAX_ITEMS).contains(&items.len()) => Ok(items),
        Some(_) => Err(FieldRejection("out_of_range", format!("must have 1 to {MAX_ITEMS} items"))),
    }
}

/// 1 to 1,000 texts.
pub(crate) struct TextList(pub(crate) Vec<String>);

impl FromField for TextList {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        items(value)?.iter().map(|item| text(item).map(str::to_owned)).collect::<Result<_, _>>().map(Self)
    }

    fn read_parts(value: &Value, name: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let items = items(value).map_err(|rejection| errors.push(rejection.of(name))).ok()?;
        each(items, name, errors, |item| text(item).map(str::to_owned)).map(Self)
    }
}

/// Parses the items of a list. Returns `None` if there are errors, one for each invalid item.
fn each<T>(
    items: &[Value],
    name: &str,
    errors: &mut Vec<FieldError>,
    read: impl Fn(&Value) -> Result<T, FieldRejection>,
) -> Option<Vec<T>> {
    let mut all = Some(Vec::with_capacity(items.len()));
    for (index, item) in items.iter().enumerate() {
        match read(item) {
            Ok(item) => {
                if let Some(all) = &mut all {
                    all.push(item);
                }
            }
            Err(rejection) => {
                errors.push(rejection.of(format!("{name}[{index}]")));
                all = None;
            }
        }
    }
    all
}

/// The most items of a page.
pub(crate) struct Limit(pub(crate) usize);

impl Limit {
    const ITEMS: RangeInclusive<usize> = 1..=100;
    pub(crate) const DEFAULT: Self = Self(50);
}

impl FromField for Limit {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        match text(value)?.parse() {
            Ok(limit) if Self::ITEMS.contains(&limit) => Ok(Self(limit)),
            _ => {
                let (least, most) = (Self::ITEMS.start(), Self::ITEMS.end());
                Err(FieldRejection("out_of_range", format!("must be a whole number from {least} to {most}")))
            }
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
    Text => text_schema(&Text::CHARS, None);
    Code => text_schema(&Code::CHARS, Some("123456"));
    EmailPrefix => text_schema(&EmailPrefix::CHARS, Some("ada@"));
    QueryText => text_schema(&QueryText::CHARS, None);
    AsCookie => json_schema!({
        "type": "boolean",
        "description": "Sets the refresh token as an HttpOnly cookie for /api/auth instead of returning it."
    });
    DeleteCookie => json_schema!({
        "type": "boolean", "description": "Deletes the session cookie; so does a request with the cookie."
    });
    Password => {
        let mut schema = text_schema(&Password::CHARS, Some("a longer password"));
        schema.insert("format".into(), "password".into());
        schema.insert("description".into(), "Must satisfy the deployment's password policy.".into());
        schema
    };
    LinkPassword => {
        let mut schema = text_schema(&LinkPassword::CHARS, Some("open sesame"));
        schema.insert("format".into(), "password".into());
        schema
    };
    UploadSize => json_schema!({
        "type": "integer", "minimum": (UploadSize::BYTES.start()), "maximum": (UploadSize::BYTES.end()),
        "description": "Bytes.", "examples": [768_936]
    });
    TextList => json_schema!({
        "type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": {"type": "string"},
        "examples": [["fn24gg4xr10x3cj5bzywwx7tt80shg6yf9dqrfcekw0j6hb7h6ng"]]
    });
    Limit => json_schema!({
        "type": "integer", "minimum": (Limit::ITEMS.start()), "maximum": (Limit::ITEMS.end()),
        "default": (Limit::DEFAULT.0), "examples": [50]
    });
    ImageIdText => json_schema!({
        "type": "string", "examples": ["fn24gg4xr10x3cj5bzywwx7tt80shg6yf9dqrfcekw0j6hb7h6ng"]
    });
    MaxDownloads => json_schema!({
        "type": "integer", "minimum": (MaxDownloads::DOWNLOADS.start()), "maximum": (MaxDownloads::DOWNLOADS.end()),
        "examples": [3]
    });
    NonNegative => json_schema!({"type": "integer", "minimum": 0, "examples": [100_000]});
}

fn text_schema(chars: &RangeInclusive<usize>, example: Option<&str>) -> Schema {
    let mut schema = json_schema!({"type": "string", "minLength": (chars.start()), "maxLength": (chars.end())});
    if let Some(example) = example {
        schema.insert("examples".into(), serde_json::json!([example]));
    }
    schema
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
        generator.subschema_for::<Option<T>>()
    }
}

impl FromField for ImageId {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        text(value)?.parse().map_err(|_| FieldRejection("malformed", "must be the id of an image".into()))
    }
}

/// The id of an image; `None` if the text cannot be one.
pub(crate) struct ImageIdText(pub(crate) Option<ImageId>);

impl FromField for ImageIdText {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        Ok(Self(text(value)?.parse().ok()))
    }
}

fn whole(value: &Value) -> Result<u64, FieldRejection> {
    match (value.as_u64(), value.is_i64()) {
        (Some(number), _) => Ok(number),
        // Less than every limit.
        (None, true) => Ok(0),
        (None, false) => Err(FieldRejection("wrong_type", "must be a whole number".into())),
    }
}

impl FromField for Lifetime {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let message = || format!("must be {} to {} seconds", Self::MIN, Self::MAX);
        Self::from_secs(whole(value)?).ok_or_else(|| FieldRejection("out_of_range", message()))
    }
}

/// The download limit of a link.
pub(crate) struct MaxDownloads(pub(crate) u32);

impl MaxDownloads {
    const DOWNLOADS: RangeInclusive<u32> = 1..=1_000_000_000;
}

impl FromField for MaxDownloads {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        match u32::try_from(whole(value)?) {
            Ok(most) if Self::DOWNLOADS.contains(&most) => Ok(Self(most)),
            _ => {
                let (least, most) = (Self::DOWNLOADS.start(), Self::DOWNLOADS.end());
                Err(FieldRejection("out_of_range", format!("must be {least} to {most}")))
            }
        }
    }
}

/// The password of a link, in NFC.
pub(crate) struct LinkPassword(pub(crate) String);

impl LinkPassword {
    const CHARS: RangeInclusive<usize> = 1..=256;

    /// Normalises to NFC, because keyboards compose the same letters differently.
    pub(crate) fn parse(text: &str) -> Result<Self, TextError> {
        let password: String = text.nfc().collect();
        check_length(&password, &Self::CHARS)?;
        Ok(Self(password))
    }
}

impl FromField for PlanName {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let message = || format!("must be 1 to {} letters, digits, _ or -", Self::MAX_CHARS);
        Self::parse(text(value)?).ok_or_else(|| FieldRejection("malformed", message()))
    }
}

impl FromField for Heights {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        let wrong = || FieldRejection("wrong_type", "must be a list of whole numbers".into());
        let heights = value.as_array().ok_or_else(wrong)?.iter().map(height).collect::<Result<Vec<_>, _>>()?;
        let message = || format!("must be at most {} heights", Self::MAX_COUNT);
        Self::new(heights).ok_or_else(|| FieldRejection("out_of_range", message()))
    }

    fn read_parts(value: &Value, name: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        if let Some(items) = value.as_array() {
            each(items, name, errors, height)?;
        }
        Self::read(value).map_err(|rejection| errors.push(rejection.of(name))).ok()
    }
}

fn height(value: &Value) -> Result<u32, FieldRejection> {
    let (least, highest) = (Heights::MIN, Heights::MAX);
    let height = u32::try_from(whole(value)?).ok().filter(|height| (least..=highest).contains(height));
    height.ok_or_else(|| FieldRejection("out_of_range", format!("must be {least} to {highest} pixels")))
}

/// A limit: 0 or more.
pub(crate) struct NonNegative(pub(crate) u64);

impl FromField for NonNegative {
    fn read(value: &Value) -> Result<Self, FieldRejection> {
        if value.as_i64().is_some_and(|number| number < 0) {
            return Err(FieldRejection("out_of_range", "must not be negative".into()));
        }
        whole(value).map(Self)
    }
}
