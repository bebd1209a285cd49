//! Where a session's tokens are kept: in the operating system's keyring where there is one, else in a file that only the
//! user can read.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::api::Tokens;
use crate::config::{Folder, write_private};
use crate::error;

const SERVICE: &str = "tintype";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// Of the access token; seconds since 1970.
    pub(crate) expires_at: u64,
}

/// The place of the session with one service.
#[derive(Debug, Clone)]
pub(crate) struct Keep {
    account: String,
    file: PathBuf,
    keyring: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
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
            refresh_token: tokens.refresh_token,
            expires_at: now() + u64::from(tokens.expires_in),
        }
    }
}

impl Keep {
    pub(crate) fn new(folder: &Folder, url: &Url, keyring: bool) -> Self {
        let name = URL_SAFE_NO_PAD.encode(&Sha256::digest(url.as_str())[..12]);
        Self { account: url.as_str().to_owned(), file: folder.path(format!("sessions/{name}.json")), keyring }
    }

    /// Where each session file is, made if need be.
    fn prepare(folder: &Folder) -> error::Result<()> {
        folder.make("sessions").map(drop)
    }

    /// A keyring that was locked at the last login may hold an older session than the file.
    pub(crate) async fn load(&self) -> Option<Session> {
        let in_keyring = self.in_keyring(|entry| entry.get_password()).await.and_then(Result::ok);
        let in_file = fs::read_to_string(&self.file).ok();
        let sessions = [in_keyring, in_file].into_iter().flatten().filter_map(|text| serde_json::from_str(&text).ok());
        sessions.max_by_key(|session: &Session| session.expires_at)
    }

    pub(crate) async fn save(&self, folder: &Folder, session: &Session) -> error::Result<Place> {
        let text = serde_json::to_string(session).expect("a session has text keys");
        let secret = text.clone();
        if let Some(Ok(())) = self.in_keyring(move |entry| entry.set_password(&secret)).await {
            fs::remove_file(&self.file).ok();
            return Ok(Place::Keyring);
        }
        Self::prepare(folder)?;
        write_private(&self.file, text.as_bytes())?;
        Ok(Place::File)
    }

    pub(crate) async fn forget(&self) {
        // What is not there need not go.
        self.in_keyring(|entry| entry.delete_credential()).await;
        fs::remove_file(&self.file).ok();
    }

    /// `None` where there is no keyring. Its calls block, for as long as the user takes to unlock it.
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
