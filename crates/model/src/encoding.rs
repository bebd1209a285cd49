//! The text form of ids and tokens: Crockford's base32 in lower case, without padding
//! (<https://www.crockford.com/base32.html>). It has letters and digits only, so a double click selects an id, a shell
//! takes it as one word, and none begins with `-`. 32 bytes are 52 characters.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut crockford = Specification::new();
    crockford.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    crockford.encoding().expect("32 different symbols")
});

/// Encodes bytes as letters and digits.
pub fn encode(bytes: &[u8]) -> String {
    BASE32.encode(bytes)
}

/// Decodes the output of [`encode`]. Accepts no other spelling of the same bytes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    BASE32.decode(text.as_bytes()).ok()
}

/// Decodes exactly `N` bytes.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_read_back_and_are_letters_and_digits(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase()));
            prop_assert_eq!(text.len(), (bytes.len() * 8).div_ceil(5));
            prop_assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn what_decodes_has_one_spelling(text in "[a-zA-Z0-9_=-]{0,60}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
