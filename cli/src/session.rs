//! Stores a session's tokens in the operating system's keyring, or else in a file that only the user can read.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::api::Tokens;
use crate::config::{ConfigDir, write_private};
use crate::error;

const SERVICE: &str = "tintype";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// When the access token expires, in seconds since 1970.
    pub(crate) expires_at: u64,
}

/// Stores the session with one service.
#[derive(Debug, Clone)]
pub(crate) struct SessionStore {
    account: String,
    file: PathBuf,
    keyring: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoredIn {
    Keyring,
    File,
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

impl From<Tokens> for Session {
    fn from(tokens: Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            // Always present, because this client does not ask for a cookie.
            refresh_token: tokens.refresh_token.unwrap_or_default(),
            expires_at: now() + u64::from(tokens.expires_in),
        }
    }
}

impl Session {
    /// The user's id, from the access token, a JWT (RFC 7519).
    pub(crate) fn user(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Claims {
            sub: String,
        }
        let claims = BASE64URL_NOPAD.decode(self.access_token.split('.').nth(1)?.as_bytes()).ok()?;
        serde_json::from_slice(&claims).ok().map(|Claims { sub }| sub)
    }
}

impl SessionStore {
    pub(crate) fn new(folder: &ConfigDir, url: &Url, keyring: bool) -> Self {
        let name = BASE64URL_NOPAD.encode(&Sha256::digest(url.as_str())[..12]);
        Self { account: url.as_str().to_owned(), file: folder.path(format!("sessions/{name}.json")), keyring }
    }

    /// Creates the folder of session files.
    fn prepare(folder: &ConfigDir) -> error::Result<()> {
        folder.make("sessions").map(drop)
    }

    /// A keyring that was locked at the last login may hold an older session than the file.
    pub(crate) async fn load(&self) -> Option<Session> {
        let in_keyring = self.in_keyring(|entry| entry.get_password()).await.and_then(Result::ok);
        let in_file = fs::read_to_string(&self.file).ok();
        let sessions = [in_keyring, in_file].into_iter().flatten().filter_map(|text| serde_json::from_str(&text).ok());
        sessions.max_by_key(|session: &Session| session.expires_at)
    }

    pub(crate) async fn save(&self, folder: &ConfigDir, session: &Session) -> error::Result<StoredIn> {
        let text = serde_json::to_string(session).expect("a session has text keys");
        let secret = text.clone();
        if let Some(Ok(())) = self.in_keyring(move |entry| entry.set_password(&secret)).await {
            fs::remove_file(&self.file).ok();
            return Ok(StoredIn::Keyring);
        }
        Self::prepare(folder)?;
        write_private(&self.file, text.as_bytes())?;
        Ok(StoredIn::File)
    }

    /// Stores a session in place of the one that it renews. What another program has stored meanwhile, or deleted, stays so.
    pub(crate) async fn replace(&self, folder: &ConfigDir, old: &Session, new: &Session) -> error::Result<()> {
        if self.load().await.is_some_and(|stored| stored.refresh_token == old.refresh_token) {
            self.save(folder, new).await?;
        }
        Ok(())
    }

    pub(crate) async fn forget(&self) {
        // The file may not exist.
        self.in_keyring(|entry| entry.delete_credential()).await;
        fs::remove_file(&self.file).ok();
    }

    /// Returns `None` if there is no keyring. Calls to it block while the user unlocks it.
    async fn in_keyring<T: Send + 'static>(
        &self,
        act: impl FnOnce(keyring::v1::Entry) -> keyring::v1::Result<T> + Send + 'static,
    ) -> Option<keyring::v1::Result<T>> {
        if !self.keyring {
            return None;
        }
        let account = self.account.clone();
        let task = tokio::task::spawn_blocking(move || keyring::v1::Entry::new(SERVICE, &account).and_then(act));
        match task.await {
            Ok(Err(keyring::v1::Error::NoDefaultStore)) | Err(_) => None,
            Ok(result) => Some(result),
        }
    }
}
