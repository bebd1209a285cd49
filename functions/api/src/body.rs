use crate::fields::Fields;

/// What a body or a query is read into.
pub(crate) trait Body: Sized {
    /// `None` where `fields` has collected errors.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// Declares a body or a query: a field with a default may be left out.
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
    };
    (@field $fields:ident, $field:ident) => { $fields.required(stringify!($field)) };
    (@field $fields:ident, $field:ident, $default:expr) => { $fields.optional(stringify!($field), || $default) };
}
