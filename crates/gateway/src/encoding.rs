/// Returns true if an `Accept-Encoding` admits a coding (RFC 9110, section 12.5.3).
pub fn accepts(accepted: &str, encoding: &str) -> bool {
    let weight = |wanted: &str| {
        accepted.split(',').find_map(|item| {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = || parameters.trim().strip_prefix("q=").map_or(Some(1.0), |text| text.trim().parse().ok());
            name.trim().eq_ignore_ascii_case(wanted).then(|| weight().unwrap_or(0.0))
        })
    };
    weight(encoding).or_else(|| weight("*")).is_some_and(|weight: f32| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_used_only_where_it_is_accepted() {
        for header in [
            "br",
            "gzip, deflate, br, zstd",
            "BR",
            "br;q=0.1",
            "*",
            "gzip;q=0, *;q=0.5",
            "br ; q=1.0",
            "deflate;q=0.5, br;q=0.1",
        ] {
            assert!(accepts(header, "br"), "{header}");
        }
        for header in ["", "gzip", "br;q=0", "*;q=0", "br;q=0, *", "identity", "brotli", "br;q=x", "brx"] {
            assert!(!accepts(header, "br"), "{header}");
        }
    }
}
