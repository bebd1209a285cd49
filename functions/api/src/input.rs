use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::fields::FieldReader;

/// A type that a body or a query is parsed into, declared by [`input!`].
pub(crate) trait Input: JsonSchema + Sized {
    /// Returns `None` if `fields` has errors.
    fn read(fields: &mut FieldReader) -> Option<Self>;

    /// The schemas of the query parameters by name, for the OpenAPI document.
    fn parameters(generator: &mut SchemaGenerator) -> Vec<(&'static str, Schema)>;
}

/// Declares a body or a query: its parser and its schema. A field with a default is optional.
macro_rules! input {
    ($(#[$meta:meta])* pub(crate) struct $name:ident { $($field:ident: $type:ty $(= $default:expr)?),* $(,)? }) => {
        $(#[$meta])*
        pub(crate) struct $name {
            $(pub(crate) $field: $type),*
        }

        impl $crate::input::Input for $name {
            fn read(fields: &mut $crate::fields::FieldReader) -> Option<Self> {
                $(let $field: Option<$type> = input!(@field fields, $field $(, $default)?);)*
                Some(Self { $($field: $field?),* })
            }

            fn parameters(generator: &mut schemars::SchemaGenerator) -> Vec<(&'static str, schemars::Schema)> {
                // Clients that send the parameters as one object take its schema from the document.
                generator.subschema_for::<Self>();
                vec![$((stringify!($field), <$type as $crate::fields::FromField>::parameter(generator))),*]
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut properties = serde_json::Map::new();
                $(properties.insert(
                    stringify!($field).into(), input!(@schema generator, $type $(, $default)?).to_value()
                );)*
                let required: Vec<&str> = [$(input!(@required $field $(, $default)?)),*].into_iter().flatten().collect();
                schemars::json_schema!({
                    "type": "object", "additionalProperties": false,
                    "properties": properties, "required": required,
                })
            }
        }
    };
    (@field $fields:ident, $field:ident) => { $fields.required(stringify!($field)) };
    (@field $fields:ident, $field:ident, $default:expr) => { $fields.optional(stringify!($field), || $default) };
    (@schema $generator:ident, $type:ty) => { $generator.subschema_for::<$type>() };
    // `null` is the same as an absent field.
    (@schema $generator:ident, $type:ty, $default:expr) => { $generator.subschema_for::<Option<$type>>() };
    (@required $field:ident) => { Some(stringify!($field)) };
    (@required $field:ident, $default:expr) => { None::<&str> };
}
