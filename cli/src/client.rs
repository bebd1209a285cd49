//! Requests to the service: adds the access token, retries where that is safe, and turns problems into errors.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use crate::api::{self, ApiCall, LoginNeed, Problem};
use crate::config::ConfigDir;
use crate::error::{ApiProblem, Error, Result, sentence_part};
use crate::output::{Output, Waiting};
use crate::retry::{Backoff, RetryGate, retry_after};
use crate::session::{Session, SessionStore, now};

const CONNECT: Duration = Duration::from_secs(10);
/// The gateway answers within 30 s.
const ANSWER: Duration = Duration::from_secs(60);
/// After this long without an answer the user is told.
pub(crate) const SLOW: Duration = Duration::from_secs(4);
/// An access token is renewed this many seconds before it expires.
const EARLY: u64 = 60;

pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) url: Url,
    config_dir: ConfigDir,
    sessions: SessionStore,
    session: Mutex<SessionState>,
    gate: RetryGate,
    pub(crate) waiting: Waiting,
    /// As `http` finds them.
    proxies: Matcher,
    /// For how long failed requests are retried.
    patience: Duration,
}

#[derive(Default)]
struct SessionState {
    loaded: bool,
    session: Option<Session>,
}

/// Builds a request.
pub(crate) struct RequestBuilder<'a, T> {
    client: &'a Client,
    operation: ApiCall<T>,
    path: String,
    query: Option<String>,
    body: Option<String>,
    key: Option<String>,
    retries: RetryPolicy,
}

/// Which failed requests are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RetryPolicy {
    Never,
    /// Those that the service says it did not perform.
    Undone,
    /// Also those that the service may have performed.
    Always,
}

/// The cause of a failed request, with the information that decides on a retry.
enum SendError {
    Fatal(Error),
    /// The service may have performed the request. The reason, as a sentence.
    Unknown(String),
    /// The service did not perform the request, and may ask for a wait.
    Retry(Option<Duration>, ApiProblem),
}

impl Client {
    pub(crate) fn new(url: Url, config_dir: ConfigDir, keyring: bool, patience: Duration, out: Output) -> Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("tintype/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| Error::Other(format!("Could not set up TLS: {}.", causes(&error))))?;
        let sessions = SessionStore::new(&config_dir, &url, keyring);
        let (session, gate, waiting) = (Mutex::default(), RetryGate::default(), Waiting::new(out));
        Ok(Self { http, url, config_dir, sessions, session, gate, waiting, proxies: Matcher::from_system(), patience })
    }

    /// Says that `who`, at this URL, cannot be reached, and through which proxy.
    pub(crate) fn unreachable(&self, who: &str, url: &str, error: &reqwest::Error) -> String {
        let proxy = url.parse().ok().and_then(|url| self.proxies.intercept(&url));
        let through = proxy.map_or_else(String::new, |proxy| {
            // Its user name and password are not part of this URI.
            format!(" through the proxy {}", proxy.uri().to_string().trim_end_matches('/'))
        });
        format!("{who} cannot be reached{through}: {}.", causes(error))
    }

    pub(crate) fn request<T>(&self, operation: ApiCall<T>) -> RequestBuilder<'_, T> {
        let retries = if operation.method == Method::POST { RetryPolicy::Undone } else { RetryPolicy::Always };
        let path = operation.path.to_owned();
        RequestBuilder { client: self, operation, path, query: None, body: None, key: None, retries }
    }

    pub(crate) async fn is_logged_in(&self) -> bool {
        self.session().await.session.is_some()
    }

    /// Begins a session and stores its tokens.
    pub(crate) async fn begin(&self, session: Session) -> Result<crate::session::StoredIn> {
        let mut state = self.session().await;
        let place = self.sessions.save(&self.config_dir, &session).await?;
        state.session = Some(session);
        Ok(place)
    }

    pub(crate) async fn forget(&self) {
        let mut state = self.session().await;
        self.sessions.forget().await;
        state.session = None;
    }

    pub(crate) async fn refresh_token(&self) -> Option<String> {
        self.session().await.session.as_ref().map(|session| session.refresh_token.clone())
    }

    async fn session(&self) -> tokio::sync::MutexGuard<'_, SessionState> {
        let mut state = self.session.lock().await;
        if !state.loaded {
            state.session = self.sessions.load().await;
            state.loaded = true;
        }
        state
    }

    /// Returns an access token other than `refused`. Renews it if necessary, once for all concurrent callers.
    async fn access_token(&self, refused: Option<&str>) -> Result<Option<String>> {
        let mut state = self.session().await;
        loop {
            let Some(session) = state.session.clone() else { return Ok(None) };
            let stale = session.expires_at <= now() + EARLY || refused == Some(&session.access_token);
            if !stale {
                return Ok(Some(session.access_token));
            }
            let body = api::Refresh { refresh_token: Some(session.refresh_token.clone()), cookie: None };
            // This operation needs no login, so the recursion ends here.
            match Box::pin(self.request(api::REFRESH).json(&body).idempotent().send()).await {
                Ok(tokens) => {
                    let renewed = Session::from(tokens);
                    self.sessions.replace(&self.config_dir, &session, &renewed).await?;
                    let token = renewed.access_token.clone();
                    state.session = Some(renewed);
                    return Ok(Some(token));
                }
                Err(Error::Refused(refusal)) if refusal.status == 401 => {
                    // The user may have logged in again beside this program. It never goes on as another user.
                    let stored = self.sessions.load().await;
                    let newer = stored.filter(|stored| stored.refresh_token != session.refresh_token);
                    if newer.is_none() {
                        self.sessions.forget().await;
                    }
                    state.session = newer.filter(|newer| newer.user().is_some_and(|user| session.user() == Some(user)));
                    if state.session.is_none() {
                        let over = "Your session is over: log in again with `tintype login`.";
                        return Err(Error::NotLoggedIn(over.into()));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl<T> RequestBuilder<'_, T> {
    /// Sets the next parameter of the path.
    pub(crate) fn path_param(mut self, value: &str) -> Self {
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

    /// Sends an `Idempotency-Key`, which makes retries safe.
    pub(crate) fn idempotency_key(mut self, key: &str) -> Self {
        debug_assert!(self.operation.takes_key, "{} heeds no key", self.operation.name);
        self.key = Some(key.to_owned());
        self.retries = RetryPolicy::Always;
        self
    }

    /// The operation is idempotent: retry in any case.
    pub(crate) fn idempotent(mut self) -> Self {
        self.retries = RetryPolicy::Always;
        self
    }

    /// Do not retry.
    pub(crate) fn no_retry(mut self) -> Self {
        self.retries = RetryPolicy::Never;
        self
    }
}

impl<T: DeserializeOwned> RequestBuilder<'_, T> {
    pub(crate) async fn send(self) -> Result<T> {
        let client = self.client;
        let mut backoff = Backoff::new(client.patience);
        let mut refused: Option<String> = None;
        loop {
            let token = match self.operation.login {
                LoginNeed::None => None,
                LoginNeed::Optional => client.access_token(refused.as_deref()).await?,
                LoginNeed::Required => {
                    let token = client.access_token(refused.as_deref()).await?;
                    Some(token.ok_or_else(|| {
                        Error::NotLoggedIn("You are not logged in. Log in with `tintype login`.".into())
                    })?)
                }
            };
            client.gate.pass().await;
            let (wait, error, asked) = match self.answer(token.as_deref()).await {
                Ok(answer) => {
                    client.waiting.over();
                    return Ok(answer);
                }
                Err(SendError::Fatal(Error::Refused(refusal)))
                    if refusal.status == 401 && token.is_some() && refused.is_none() =>
                {
                    refused = token;
                    continue;
                }
                Err(SendError::Fatal(error)) => return Err(error),
                Err(SendError::Unknown(why)) => {
                    let wait = if self.retries == RetryPolicy::Always { backoff.next(None) } else { None };
                    (wait, Error::Unreachable(why), None)
                }
                Err(SendError::Retry(_, refusal)) if self.retries == RetryPolicy::Never => {
                    return Err(Error::Refused(refusal));
                }
                Err(SendError::Retry(asked, refusal)) => {
                    let wait = backoff.next(asked);
                    if let (Some(_), Some(asked)) = (wait, asked) {
                        client.gate.close(asked);
                    }
                    (wait, Error::Unreachable(format!("The service is overloaded: {refusal}")), asked)
                }
            };
            let Some(wait) = wait else { return Err(error) };
            client.waiting.retrying(&error.to_string(), &backoff, asked);
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends the request once, and tells the user while no answer comes.
    async fn answer(&self, token: Option<&str>) -> std::result::Result<T, SendError> {
        let (began, mut exchange) = (Instant::now(), Box::pin(self.exchange(token)));
        loop {
            match tokio::time::timeout(SLOW, &mut exchange).await {
                Ok(answer) => return answer,
                Err(_) => self.client.waiting.silent("The service", began.elapsed()),
            }
        }
    }

    async fn exchange(&self, token: Option<&str>) -> std::result::Result<T, SendError> {
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
        let at = self.client.url.as_str().trim_end_matches('/');
        let unknown = |error: reqwest::Error| SendError::Unknown(self.client.unreachable(at, at, &error));
        let answer = request.send().await.map_err(unknown)?;
        let (status, asked) = (answer.status(), retry_after(answer.headers()));
        let bytes = answer.bytes().await.map_err(unknown)?;
        if status.is_success() {
            let bytes = if bytes.is_empty() { &b"null"[..] } else { &bytes };
            return serde_json::from_slice(bytes).map_err(|error| {
                SendError::Fatal(Error::Other(format!(
                    "Unexpected response from {} ({error}). Check the URL, or update tintype.",
                    self.client.url
                )))
            });
        }
        let refusal = refusal(status, &bytes);
        Err(match status.as_u16() {
            429 | 503 => SendError::Retry(asked, refusal),
            // The first request with this key is still in progress.
            409 if refusal.code == "in_progress" => SendError::Retry(asked, refusal),
            500 | 502 | 504 => SendError::Unknown(format!("The service at {at} failed: {refusal}")),
            _ => SendError::Fatal(Error::Refused(refusal)),
        })
    }
}

/// Reads a problem, or makes one of the gateway's own response.
fn refusal(status: StatusCode, body: &[u8]) -> ApiProblem {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return problem.into();
    }
    let detail = match status.as_u16() {
        401 => "The service does not accept your session: log in again with `tintype login`.".to_owned(),
        404 | 405 => "There is no such thing at this address: is the service's URL right?".to_owned(),
        _ => format!("The service answered {status}."),
    };
    ApiProblem { status: status.as_u16(), code: format!("http_{}", status.as_u16()), detail, errors: Vec::new() }
}

/// Returns the root cause of an error.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (String::new(), Some(error));
    while let Some(error) = cause {
        let part = error.to_string();
        // An address may be signed.
        if !part.contains("://") {
            text = part;
        }
        cause = error.source();
    }
    if text.is_empty() { "no answer".to_owned() } else { sentence_part(&text) }
}
