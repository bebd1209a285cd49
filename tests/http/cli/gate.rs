//! A forward proxy on loopback, which the client is told of by `http_proxy`: it sees each request, to the service and to the
//! bucket, and may answer in their place, keep an answer back or cut it off.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::wire::{self, WireRequest};

/// The action of the gate on a request.
#[derive(Clone)]
pub(super) enum Do {
    Pass,
    /// This answer, without a word to whom it was meant for.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// It is done, and the answer is lost.
    LoseAnswer,
    /// It is done, and the answer never comes.
    Hang,
    /// The answer ends after so many bytes of its body.
    Cut(usize),
    /// The connection is closed, and nothing is passed on.
    Close,
    /// It is passed on after this time.
    Delay(Duration),
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    /// Without its query.
    pub(super) path: String,
    pub(super) range: Option<String>,
    pub(super) key: Option<String>,
    pub(super) at: Instant,
    /// None where it was not passed on.
    pub(super) status: Option<u16>,
}

type Rule = Box<dyn FnMut(&Seen) -> Do + Send>;

pub(super) struct Gate {
    pub(super) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    hanging: watch::Receiver<usize>,
    server: JoinHandle<()>,
}

impl Gate {
    pub(super) async fn open() -> Self {
        Self::with(|_| Do::Pass).await
    }

    pub(super) async fn with(rule: impl FnMut(&Seen) -> Do + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be listened on");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(rule)));
        let (hang, hanging) = watch::channel(0);
        let shared = Arc::clone(&seen);
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (seen, rule, hang) = (Arc::clone(&shared), Arc::clone(&rule), hang.clone());
                // Connections break: that is what this is for.
                tokio::spawn(async move { exchange(client, &seen, &rule, &hang).await.ok() });
            }
        });
        Self { url, seen, hanging, server }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic while it is held").clone()
    }

    pub(super) fn puts(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.method == Method::PUT.as_str()).collect()
    }

    pub(super) fn asked(&self, path: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.path == path).collect()
    }

    /// Waits until an answer is kept back.
    pub(super) async fn hangs(&self) {
        self.hanging.clone().wait_for(|hanging| *hanging > 0).await.expect("the gate is open");
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn exchange(
    mut client: TcpStream,
    all: &Mutex<Vec<Seen>>,
    rule: &Mutex<Rule>,
    hang: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let Some(mut request) = wire::read(&mut client).await? else { return Ok(()) };
    let url = reqwest::Url::parse(&request.target).map_err(std::io::Error::other)?;
    let upstream = format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
    request.target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let header = |name: &str| request.header(name).map(str::to_owned);
    let (range, key) = (header("range"), header("idempotency-key"));
    let path = url.path().to_owned();
    let mut seen = Seen { method: request.method.clone(), path, range, key, at: Instant::now(), status: None };
    let what = (rule.lock().expect("no panic while it is held"))(&seen);
    if let Do::Answer(status, headers, body) = &what {
        note(all, seen);
        return wire::answer(&mut client, *status, headers, body.as_bytes()).await;
    }
    match what {
        Do::Close => {
            note(all, seen);
            return Ok(());
        }
        Do::Delay(time) => tokio::time::sleep(time).await,
        _ => {}
    }
    let mut answer = pass(&request, &upstream).await?;
    let text = String::from_utf8_lossy(&answer[..answer.len().min(12)]).into_owned();
    seen.status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    note(all, seen);
    match what {
        Do::LoseAnswer => return Ok(()),
        Do::Hang => {
            hang.send_modify(|hanging| *hanging += 1);
            std::future::pending::<()>().await;
        }
        Do::Cut(bytes) => {
            let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0) + 4;
            answer.truncate(head + bytes);
        }
        Do::Pass | Do::Answer(..) | Do::Close | Do::Delay(_) => {}
    }
    client.write_all(&answer).await?;
    client.shutdown().await
}

fn note(all: &Mutex<Vec<Seen>>, seen: Seen) {
    all.lock().expect("no panic while it is held").push(seen);
}

async fn pass(request: &WireRequest, upstream: &str) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(&request.to_bytes()).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    Ok(answer)
}
