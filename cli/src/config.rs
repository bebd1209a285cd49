//! Where the service is and how to speak to it: from arguments, the environment, and the configuration file.

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The folder of everything that this program keeps.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

/// `config.toml`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// Files that are uploaded at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) concurrency: Option<usize>,
    /// Whether to keep tokens in the operating system's keyring where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keyring: Option<bool>,
}

impl Folder {
    /// `TINTYPE_CONFIG_DIR`, else `tintype` where the XDG Base Directory Specification puts it.
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

    /// Made if need be, for its user alone.
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
        toml::from_str(&text).map_err(|error| Error::Usage(format!("{} is not as it must be: {error}", path.display())))
    }

    pub(crate) fn set_config(&self, config: &Config) -> Result<()> {
        self.make("")?;
        let text = toml::to_string(config).map_err(|error| Error::Other(error.to_string()))?;
        write_private(&self.path("config.toml"), text.as_bytes())
    }
}

/// Writes a file that only its user can read, whole or not at all.
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

/// The service's address, without a slash at its end. Passwords and tokens go to it: plain HTTP is for this machine alone.
pub(crate) fn parse_url(text: &str) -> Result<Url> {
    let bad = |what: &str| Error::Usage(format!("{text} cannot be the service's URL: {what}."));
    let mut url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    let host = url.host_str().ok_or_else(|| bad("it names no host"))?;
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let here = host == "localhost" || host.ends_with(".localhost") || address.is_some_and(|it| it.is_loopback());
    match url.scheme() {
        "https" => {}
        "http" if here => {}
        "http" => return Err(bad("passwords must not travel in the clear, use https")),
        _ => return Err(bad("it must begin with https://")),
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_alone() {
        for good in ["https://images.example.org", "http://127.0.0.2:8080/", "http://localhost", "http://[::1]:80"] {
            parse_url(good).unwrap_or_else(|error| panic!("{good}: {error}"));
        }
        for bad in ["http://images.example.org", "ftp://example.org", "example.org", "http://128.0.0.1", "https://"] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }
}
