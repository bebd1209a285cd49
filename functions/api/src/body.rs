use crate::fields::Fields;

/// A type that a body or a query is parsed into.
pub(crate) trait Body: Sized {
    /// Returns `None` if `fields` has errors.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// Declares a body or a query: its parser and its schema. A field with a default is optional.
macro_rules! body {
    ($(#[$meta:meta])* pub(crate) struct $name:ident { $($field:ident: $type:ty $(= $default:expr)?),* $(,)? }) => {
        $(#[$meta])*
        pub(crate) struct $name {
            $(pub(crate) $field: $type),*
        }

        impl $crate::body::Body for $name {
            fn read(fields: &mut $crate::fields::Fields) -> Option<Self> {
                $(let $field: Option<$type> = body!(@field fields, $field $(, $default)?);)*
                Some(Self { $($field: $field?),* })
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut properties = serde_json::Map::new();
                $(
                    let schema = generator.subschema_for::<$type>();
                    let required: Option<&str> = body!(@required $field $(, $default)?);
                    let schema = $crate::openapi::field_schema(schema.as_value(), required.is_none());
                    properties.insert(stringify!($field).into(), schema);
                )*
                let required: Vec<&str> = [$(body!(@required $field $(, $default)?)),*].into_iter().flatten().collect();
                schemars::json_schema!({
                    "type": "object", "additionalProperties": false,
                    "properties": properties, "required": required,
                })
            }
        }
    };
    (@field $fields:ident, $field:ident) => { $fields.required(stringify!($field)) };
    (@field $fields:ident, $field:ident, $default:expr) => { $fields.optional(stringify!($field), || $default) };
    (@required $field:ident) => { Some(stringify!($field)) };
    (@required $field:ident, $default:expr) => { None };
}
