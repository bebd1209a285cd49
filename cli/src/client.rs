//! Requests to the service: signed in, tried again where that does no harm, its refusals made readable.

use std::fmt::Write as _;
use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::api::{self, Login, Operation, Problem};
use crate::config::Folder;
use crate::error::{Error, Refusal, Result};
use crate::retry::{Backoff, Gate, retry_after};
use crate::session::{Keep, Session, now};

const CONNECT: Duration = Duration::from_secs(10);
/// The gateway answers within 30 s.
const ANSWER: Duration = Duration::from_secs(60);
/// Seconds before its end at which an access token is renewed.
const EARLY: u64 = 60;

pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) url: Url,
    folder: Folder,
    keep: Keep,
    session: Mutex<State>,
    gate: Gate,
    /// How long a service that fails is tried again.
    patience: Duration,
}

#[derive(Default)]
struct State {
    loaded: bool,
    session: Option<Session>,
}

/// A request being put together.
pub(crate) struct Ask<'a, T> {
    client: &'a Client,
    operation: Operation<T>,
    path: String,
    query: Option<String>,
    body: Option<String>,
    key: Option<String>,
    again: Again,
}

/// When a request is sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    Never,
    /// When the service says that it was not done.
    Undone,
    /// Also when nobody knows whether it was done.
    Always,
}

/// Whether an answer may be had by asking again.
enum Trouble {
    Final(Error),
    /// It may or may not have been done.
    Unknown(String),
    /// It was not done; wait this long.
    Later(Option<Duration>, Refusal),
}

impl Client {
    pub(crate) fn new(url: Url, folder: Folder, keyring: bool, patience: Duration) -> Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("tintype/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| Error::Other(format!("No HTTPS on this machine: {}", causes(&error))))?;
        let keep = Keep::new(&folder, &url, keyring);
        Ok(Self { http, url, folder, keep, session: Mutex::default(), gate: Gate::default(), patience })
    }

    pub(crate) fn ask<T>(&self, operation: Operation<T>) -> Ask<'_, T> {
        let again = if operation.method == Method::POST { Again::Undone } else { Again::Always };
        let path = operation.path.to_owned();
        Ask { client: self, operation, path, query: None, body: None, key: None, again }
    }

    pub(crate) async fn is_logged_in(&self) -> bool {
        self.session().await.session.is_some()
    }

    /// Begins a session: keeps its tokens.
    pub(crate) async fn begin(&self, session: Session) -> Result<crate::session::Place> {
        let mut state = self.session().await;
        let place = self.keep.save(&self.folder, &session).await?;
        state.session = Some(session);
        Ok(place)
    }

    pub(crate) async fn forget(&self) {
        let mut state = self.session().await;
        self.keep.forget().await;
        state.session = None;
    }

    pub(crate) async fn refresh_token(&self) -> Option<String> {
        self.session().await.session.as_ref().map(|session| session.refresh_token.clone())
    }

    async fn session(&self) -> tokio::sync::MutexGuard<'_, State> {
        let mut state = self.session.lock().await;
        if !state.loaded {
            state.session = self.keep.load().await;
            state.loaded = true;
        }
        state
    }

    /// An access token that is not `refused`, renewed if need be: once, however many ask.
    async fn access_token(&self, refused: Option<&str>) -> Result<Option<String>> {
        let mut state = self.session().await;
        let Some(session) = &state.session else { return Ok(None) };
        let stale = session.expires_at <= now() + EARLY || refused == Some(&session.access_token);
        if !stale {
            return Ok(Some(session.access_token.clone()));
        }
        let body = api::Refresh { refresh_token: session.refresh_token.clone() };
        // Its own login is none, so this does not come back here.
        match Box::pin(self.ask(api::REFRESH).json(&body).again().send()).await {
            Ok(tokens) => {
                let session = Session::from(tokens);
                let token = session.access_token.clone();
                self.keep.save(&self.folder, &session).await?;
                state.session = Some(session);
                Ok(Some(token))
            }
            Err(Error::Refused(refusal)) if refusal.status == 401 => {
                self.keep.forget().await;
                state.session = None;
                Err(Error::NotLoggedIn("Your session is over: log in again with `tintype login`.".into()))
            }
            Err(error) => Err(error),
        }
    }
}

impl<T> Ask<'_, T> {
    /// Fills the path's next parameter.
    pub(crate) fn at(mut self, value: &str) -> Self {
        if let (Some(start), Some(end)) = (self.path.find('{'), self.path.find('}')) {
            let mut encoded = String::new();
            for byte in value.bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                    encoded.push(char::from(byte));
                } else {
                    write!(encoded, "%{byte:02X}").expect("a string takes all");
                }
            }
            self.path.replace_range(start..=end, &encoded);
        }
        self
    }

    pub(crate) fn query(mut self, query: &impl Serialize) -> Self {
        let request = self.client.http.get(self.client.url.clone()).query(query).build();
        self.query = request.ok().and_then(|request| request.url().query().map(str::to_owned));
        self
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        self.body(serde_json::to_string(body).expect("bodies have text keys"))
    }

    pub(crate) fn body(mut self, body: String) -> Self {
        self.body = Some(body);
        self
    }

    /// Makes a repetition the same request.
    pub(crate) fn key(mut self, key: &str) -> Self {
        debug_assert!(self.operation.takes_key, "{} heeds no key", self.operation.name);
        self.key = Some(key.to_owned());
        self.again = Again::Always;
        self
    }

    /// It does no harm to do this twice.
    pub(crate) fn again(mut self) -> Self {
        self.again = Again::Always;
        self
    }

    /// Somebody waits for the answer, and can ask again.
    pub(crate) fn once(mut self) -> Self {
        self.again = Again::Never;
        self
    }
}

impl<T: DeserializeOwned> Ask<'_, T> {
    pub(crate) async fn send(self) -> Result<T> {
        let client = self.client;
        let mut backoff = Backoff::new(client.patience);
        let mut refused: Option<String> = None;
        loop {
            let token = match self.operation.login {
                Login::None => None,
                Login::Optional => client.access_token(refused.as_deref()).await?,
                Login::Required => {
                    let token = client.access_token(refused.as_deref()).await?;
                    Some(token.ok_or_else(|| Error::NotLoggedIn("You are not logged in: `tintype login`.".into()))?)
                }
            };
            client.gate.pass().await;
            let (wait, error) = match self.exchange(token.as_deref()).await {
                Ok(answer) => return Ok(answer),
                Err(Trouble::Final(Error::Refused(refusal)))
                    if refusal.status == 401 && token.is_some() && refused.is_none() =>
                {
                    refused = token;
                    continue;
                }
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Unknown(what)) => {
                    let error = Error::Unreachable(format!("{} cannot be reached: {what}.", client.url));
                    (if self.again == Again::Always { backoff.next(None) } else { None }, error)
                }
                Err(Trouble::Later(_, refusal)) if self.again == Again::Never => return Err(Error::Refused(refusal)),
                Err(Trouble::Later(asked, refusal)) => {
                    let wait = backoff.next(asked);
                    if let (Some(_), Some(asked)) = (wait, asked) {
                        client.gate.close(asked);
                    }
                    (wait, Error::Unreachable(format!("The service does not keep up: {refusal}")))
                }
            };
            match wait {
                None => return Err(error),
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
    }

    async fn exchange(&self, token: Option<&str>) -> std::result::Result<T, Trouble> {
        let mut url = self.client.url.clone();
        url.set_path(&format!("{}{}", url.path().trim_end_matches('/'), self.path));
        url.set_query(self.query.as_deref());
        let mut request = self.client.http.request(self.operation.method.clone(), url).timeout(ANSWER);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &self.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        let unknown = |error: reqwest::Error| Trouble::Unknown(causes(&error));
        let answer = request.send().await.map_err(unknown)?;
        let (status, asked) = (answer.status(), retry_after(answer.headers()));
        let bytes = answer.bytes().await.map_err(unknown)?;
        if status.is_success() {
            let bytes = if bytes.is_empty() { &b"null"[..] } else { &bytes };
            return serde_json::from_slice(bytes).map_err(|error| {
                Trouble::Final(Error::Other(format!(
                    "The service at {} answered something else than this program understands ({error}): is its URL \
                     right, and this program not too old?",
                    self.client.url
                )))
            });
        }
        let refusal = refusal(status, &bytes);
        Err(match status.as_u16() {
            429 | 503 => Trouble::Later(asked, refusal),
            // The first request with this key is still at work.
            409 if refusal.code == "in_progress" => Trouble::Later(asked, refusal),
            500 | 502 | 504 => Trouble::Unknown(refusal.to_string()),
            _ => Trouble::Final(Error::Refused(refusal)),
        })
    }
}

/// The service's problem, or what its gateway said in its place.
fn refusal(status: StatusCode, body: &[u8]) -> Refusal {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return problem.into();
    }
    let detail = match status.as_u16() {
        401 => "The service does not accept your session: log in again with `tintype login`.".to_owned(),
        404 | 405 => "There is no such thing at this address: is the service's URL right?".to_owned(),
        _ => format!("The service answered {status}."),
    };
    Refusal { status: status.as_u16(), code: format!("http_{}", status.as_u16()), detail, errors: Vec::new() }
}

/// An error's causes, the last of which says most.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let part = error.to_string();
        // The address has been said, and may be signed.
        if !part.contains("://") && !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        cause = error.source();
    }
    if text.is_empty() { "it does not answer".to_owned() } else { text }
}
