//! The configuration file and the URL of the service.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The folder of all files that this program stores.
#[derive(Debug, Clone)]
pub(crate) struct ConfigDir(PathBuf);

/// `config.toml`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Files that are uploaded concurrently.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) concurrency: Option<usize>,
    /// False: tokens are stored in a file, not in the operating system's keyring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keyring: Option<bool>,
}

impl ConfigDir {
    /// `TINTYPE_CONFIG_DIR`, or else `tintype` in the folder of the XDG Base Directory Specification.
    pub(crate) fn find() -> Result<Self> {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        variable("TINTYPE_CONFIG_DIR")
            .or_else(|| variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute()).map(|path| path.join("tintype")))
            .or_else(|| variable("HOME").map(|home| home.join(".config/tintype")))
            .map(Self)
            .ok_or_else(|| Error::Usage("HOME is not set: say where to keep things with TINTYPE_CONFIG_DIR.".into()))
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// Returns a folder in it, creating it with access for the user only.
    pub(crate) fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| Error::file(path.display(), error))?;
        Ok(path)
    }

    pub(crate) fn config(&self) -> Result<Config> {
        let path = self.path("config.toml");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Config::default()),
            Err(error) => return Err(Error::file(path.display(), error)),
        };
        toml::from_str(&text).map_err(|error| Error::Usage(format!("{} is invalid: {error}", path.display())))
    }

    pub(crate) fn set_config(&self, config: &Config) -> Result<()> {
        self.make("")?;
        let text = toml::to_string(config).map_err(|error| Error::Other(error.to_string()))?;
        write_private(&self.path("config.toml"), text.as_bytes())
    }
}

/// Writes a file atomically, readable by the user only.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension(format!("new{}", std::process::id()));
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| Error::file(path.display(), error))
}

/// Parses the URL of the service, and removes a slash at its end. Allows plain HTTP for this machine only, because passwords
/// and tokens are sent to it.
pub(crate) fn parse_url(text: &str) -> Result<Url> {
    let bad = |what: &str| {
        let end = if what.ends_with('?') { "" } else { "." };
        Error::Usage(format!("{text:?} is not a valid service URL: {what}{end}"))
    };
    if !text.contains("://") {
        let what = "it does not begin with https:// or http://";
        return Err(match Url::parse(&format!("http://{text}")) {
            Ok(url) => bad(&format!("{what}. Did you mean {}://{text}?", if is_here(&url) { "http" } else { "https" })),
            Err(_) => bad(what),
        });
    }
    let mut url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    match url.scheme() {
        "https" => {}
        "http" if is_here(&url) => {}
        "http" => return Err(bad("passwords must not be sent unencrypted, use https://")),
        _ => return Err(bad("it does not begin with https://")),
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// True if a URL leads to this machine.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    host == "localhost" || host.ends_with(".localhost") || address.is_some_and(|it| it.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for good in ["https://images.example.org", "http://127.0.0.2:8080/", "http://localhost", "http://[::1]:80"] {
            parse_url(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for (text, meant) in [("example.org", "https://example.org"), ("localhost:8080", "http://localhost:8080")] {
            let error = parse_url(text).unwrap_err().to_string();
            assert!(error.contains(&format!("Did you mean {meant}?")), "{error}");
        }
        for bad in [
            "",
            "://",
            "no host",
            "ftp:example.org",
            "http://images.example.org",
            "ftp://example.org",
            "example.org",
            "http://128.0.0.1",
            "https://",
        ] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }
}
