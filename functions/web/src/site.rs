use std::path::{Path, PathBuf};
use std::{env, fs, io};

use http::StatusCode;
use sha2::{Digest, Sha256};
use tintype_gateway::accepts;
use tintype_gateway::response::{self, Response, WithHeader};

/// The content codings that the build compresses files with, best first, and the suffixes of what it made.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// A browser asks each time whether it has the current one.
const PAGE_CACHE: &str = "no-cache";
/// Their names change with their content.
const ASSET_CACHE: &str = "public, max-age=31536000, immutable";

/// The built page: the folder `site` beside the executable.
pub(crate) struct Site {
    folder: PathBuf,
    index: String,
}

impl Site {
    pub(crate) fn open() -> io::Result<Self> {
        let folder = env::current_exe()?.with_file_name("site");
        let index = folder.join("index.html");
        let index = fs::read_to_string(&index)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", index.display())))?;
        Ok(Self { folder, index })
    }

    /// The page as it is built.
    pub(crate) fn index(&self) -> &str {
        &self.index
    }

    /// Returns the page. `accepted`: the request's `Accept-Encoding`.
    pub(crate) fn page(&self, accepted: &str) -> Response {
        self.read("index.html", accepted, PAGE_CACHE).unwrap_or_else(|| html(self.index.clone()))
    }

    /// Returns the page with status 404, for a path that it does not have: it then says so.
    pub(crate) fn missing_page(&self, accepted: &str) -> Response {
        let mut response = self.page(accepted);
        *response.status_mut() = StatusCode::NOT_FOUND;
        // Other clients get a problem document.
        response.with_header("vary", "accept, accept-encoding")
    }

    /// Returns the file at a path of the site, if there is one.
    pub(crate) fn file(&self, path: &str, accepted: &str) -> Option<Response> {
        match path.strip_prefix("/assets/") {
            Some(name) if is_plain(name) => self.read(&format!("assets/{name}"), accepted, ASSET_CACHE),
            Some(_) => None,
            None => self.read(path.strip_prefix('/').filter(|name| is_plain(name))?, accepted, PAGE_CACHE),
        }
    }

    fn read(&self, name: &str, accepted: &str, cache: &'static str) -> Option<Response> {
        let path = self.folder.join(name);
        let content_type = content_type(&path)?;
        let compressed =
            ENCODINGS.into_iter().filter(|(encoding, _)| accepts(accepted, encoding)).find_map(|(encoding, suffix)| {
                Some((encoding, fs::read(self.folder.join(format!("{name}{suffix}"))).ok()?))
            });
        let (encoding, bytes) = match compressed {
            Some((encoding, bytes)) => (Some(encoding), bytes),
            None => (None, fs::read(&path).ok()?),
        };
        let response = file_response(content_type, bytes, cache);
        Some(match encoding {
            Some(encoding) => response.with_header("content-encoding", encoding),
            None => response,
        })
    }
}

/// Returns the page with a changed text.
pub(crate) fn html(text: String) -> Response {
    file_response("text/html; charset=utf-8", text.into_bytes(), PAGE_CACHE)
}

fn file_response(content_type: &str, bytes: Vec<u8>, cache: &'static str) -> Response {
    let hash = Sha256::digest(&bytes);
    let etag: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    response::content(StatusCode::OK, content_type, bytes)
        .with_header("etag", format!("\"{etag}\""))
        .with_header("cache-control", cache)
        .with_header("vary", "accept-encoding")
}

/// Returns true for the name of a file in the same folder that is not hidden.
fn is_plain(name: &str) -> bool {
    !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// None for files that are not to be served by themselves, such as compressed ones.
fn content_type(path: &Path) -> Option<&'static str> {
    Some(match path.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_name_files() {
        for name in ["index-a_B1.js", "a.css"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["../index.html", "..", ".hidden", "a/b.js", "a\\b.js", "%2e%2e", "a\0.js"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
