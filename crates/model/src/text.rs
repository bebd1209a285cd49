//! Texts of users, parsed once into types that ensure their rules.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// Why a text is invalid; `Display` is a message for its writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("must not be empty")]
    Empty,
    #[error("must have at most {0} characters")]
    TooLong(usize),
    #[error("must not contain control characters")]
    Control,
    #[error("must not contain the character U+0000")]
    Nul,
    #[error("is not an e-mail address")]
    NotAnEmail,
}

/// The title of an image: NFC, trimmed, 1 to 256 characters. Titles of one owner are unique by this form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Title(String);

/// NFC, trimmed, 0 to 1,024 characters without U+0000.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description(String);

/// The name of a user: NFC, trimmed, 1 to 256 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonName(String);

/// An e-mail address in lower case, because the pool compares without case. The confirmation code proves that it
/// exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

fn line(text: &str, max: usize) -> Result<String, TextError> {
    let text = bounded(text, max)?;
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::Control);
    }
    Ok(text)
}

/// Trims again after NFC, which can move a space to an end.
fn bounded(text: &str, max: usize) -> Result<String, TextError> {
    let text = text.trim().nfc().collect::<String>();
    let text = text.trim();
    if text.chars().count() > max {
        return Err(TextError::TooLong(max));
    }
    Ok(text.to_owned())
}

impl Title {
    pub const MAX_CHARS: usize = 256;

    pub fn parse(text: &str) -> Result<Self, TextError> {
        line(text, Self::MAX_CHARS).map(Self)
    }
}

impl Description {
    pub const MAX_CHARS: usize = 1024;

    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = bounded(text, Self::MAX_CHARS)?;
        if text.contains('\0') { Err(TextError::Nul) } else { Ok(Self(text)) }
    }
}

impl PersonName {
    pub const MAX_CHARS: usize = 256;

    pub fn parse(text: &str) -> Result<Self, TextError> {
        line(text, Self::MAX_CHARS).map(Self)
    }
}

impl Email {
    /// Cognito's limit for a user name, which the address is (`Username` in Cognito's API reference). RFC 5321, 4.5.3.1.3
    /// would allow 254.
    pub const MAX_CHARS: usize = 128;

    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = line(text, Self::MAX_CHARS)?.to_lowercase();
        let well_formed = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.contains('@')
                && domain.split('.').all(|label| !label.is_empty())
                && domain.contains('.')
        });
        if well_formed && !text.contains(char::is_whitespace) { Ok(Self(text)) } else { Err(TextError::NotAnEmail) }
    }
}

macro_rules! text {
    ($($name:ident),+) => {$(
        impl $name {
            /// Wraps a stored value without parsing it again.
            pub fn from_stored(text: String) -> Self {
                Self(text)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
    )+};
}
text!(Title, Description, PersonName, Email);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parsing_a_title_twice_changes_nothing(text in "\\PC{1,40}") {
            if let Ok(title) = Title::parse(&text) {
                prop_assert_eq!(Title::parse(title.as_str()), Ok(title));
            }
        }
    }

    #[test]
    fn titles_are_equal_after_normalisation_and_trimming() {
        assert_eq!(Title::parse("caf\u{e9}"), Title::parse("  cafe\u{301}\u{a0}"));
        assert_ne!(Title::parse("Cafe"), Title::parse("cafe"));
    }

    #[test]
    fn a_title_has_one_to_256_characters_whatever_their_bytes() {
        assert_eq!(Title::parse(" \t "), Err(TextError::Empty));
        assert!(Title::parse(&"\u{1f5bc}".repeat(256)).is_ok());
        assert_eq!(Title::parse(&"a".repeat(257)), Err(TextError::TooLong(256)));
        assert_eq!(Title::parse("a\nb"), Err(TextError::Control));
    }

    #[test]
    fn a_description_has_lines_but_no_nul() {
        assert!(Description::parse("one\ntwo\tthree").is_ok());
        assert_eq!(Description::parse("a\0b"), Err(TextError::Nul));
        assert_eq!(Title::parse("a\0b"), Err(TextError::Control));
    }

    #[test]
    fn an_address_needs_a_name_and_a_domain() {
        assert_eq!(Email::parse("Ada@Example.org").unwrap().as_str(), "ada@example.org");
        for bad in ["", "ada", "@example.org", "ada@", "ada@example", "ada@example..org", "a da@example.org", "a@b@c.d"]
        {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }
}
