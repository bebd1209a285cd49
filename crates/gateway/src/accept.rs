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

/// Returns true if an `Accept` ranks HTML at least as high as every other type that it names (RFC 9110, section 12.5.1).
/// Browsers that open a page send one, `curl` and `<img>` do not.
pub fn prefers_html(accept: &str) -> bool {
    let wishes: Vec<(String, f32)> = accept.split(',').map(wish).collect();
    let most = wishes.iter().map(|(_, weight)| *weight).fold(0.0, f32::max);
    wishes.iter().any(|(kind, weight)| kind == "text/html" && *weight > 0.0 && *weight >= most)
}

/// Returns true if an `Accept` names WebP and ranks it at least as high as `other`, the type of the alternative (RFC 9110,
/// section 12.5.1). `image/*` and `*/*` do not name it: clients that cannot show WebP send them too. The CDN decides in
/// the same way, by the function `NegotiateWebP` of the template.
pub fn prefers_webp(accept: &str, other: &str) -> bool {
    let wishes: Vec<(String, f32)> = accept.split(',').map(wish).collect();
    let weight = |wanted: &str| wishes.iter().find(|(kind, _)| kind == wanted).map(|(_, weight)| *weight);
    let other = || weight(other).or_else(|| weight("image/*")).or_else(|| weight("*/*")).unwrap_or(0.0);
    weight("image/webp").is_some_and(|webp| webp > 0.0 && webp >= other())
}

/// Returns a media type of an `Accept` header, with its weight (RFC 9110, section 12.4.2).
fn wish(part: &str) -> (String, f32) {
    let mut parts = part.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|parameter| parameter.strip_prefix("q=")).map_or(Some(1.0), |text| text.parse().ok());
    (kind, weight.unwrap_or(0.0))
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

    #[test]
    fn webp_is_preferred_only_where_it_is_named() {
        for accept in [
            "image/webp",
            "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
            "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
            "IMAGE/WEBP;q=0.5, */*;q=0.5",
            "image/jpeg;q=0.5, image/webp;q=0.6, image/*",
            "image/png, image/webp;q=0.1",
        ] {
            assert!(prefers_webp(accept, "image/jpeg"), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "image/*",
            "image/jpeg",
            "image/webp;q=0",
            "image/webp;q=0, image/*",
            "image/webp;q=x",
            "image/jpeg, image/webp;q=0.9",
            "image/webp;q=0.7, image/*;q=0.8",
            "image/webp;q=0.4, */*;q=0.5",
            "image/webpx",
        ] {
            assert!(!prefers_webp(accept, "image/jpeg"), "{accept}");
        }
    }

    #[test]
    fn browsers_prefer_html_and_programs_do_not() {
        for accept in [
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            "TEXT/HTML; q=0.9, */*;q=0.9",
        ] {
            assert!(prefers_html(accept), "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json",
            "image/avif,image/webp,*/*;q=0.8",
            "image/jpeg, text/html;q=0.5",
            "text/html;q=0",
            "text/html;q=x",
        ] {
            assert!(!prefers_html(accept), "{accept}");
        }
    }
}
