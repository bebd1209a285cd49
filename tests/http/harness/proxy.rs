//! A proxy on loopback between a function and AWS's services: it records each call, and delays, fails or cuts those
//! that a rule names. It passes requests on as they came, `Host` too, so that signatures hold.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::wire::{self, Request};

/// What happens to a call instead of, or beside, its being passed on.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This answer, without a word to the service.
    Answer {
        status: u16,
        kind: &'static str,
        body: String,
    },
    /// The connection ends before the service hears of it.
    Refuse,
    /// The service does it, and its answer is lost.
    LoseAnswer,
    Delay(Duration),
    /// No answer, ever; the service does not hear of it.
    HangBefore,
    /// No answer, ever; the service has done it.
    HangAfter,
}

/// Meets the calls of one operation (`*`: of any), after as many as are let pass, as often as it says.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) operation: &'static str,
    pub(crate) pass: usize,
    pub(crate) times: usize,
    pub(crate) fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// As the service names it: `BatchGetItem`, `GetObject`.
    pub(crate) operation: String,
    /// The permissions that it takes: `dynamodb:PutItem`.
    pub(crate) actions: Vec<String>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    calls: Vec<Recorded>,
}

pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    hanging: watch::Receiver<usize>,
    server: JoinHandle<()>,
}

impl Fault {
    /// DynamoDB's or Cognito's refusal of this kind.
    pub(crate) fn json(status: u16, kind: &str) -> Self {
        let body =
            serde_json::json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "injected"});
        Self::Answer { status, kind: "application/x-amz-json-1.0", body: body.to_string() }
    }

    /// A transaction of `actions` actions, of which the last met another transaction.
    pub(crate) fn conflict(actions: usize) -> Self {
        let mut reasons = vec![serde_json::json!({"Code": "None"}); actions - 1];
        reasons
            .push(serde_json::json!({"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}));
        let body = serde_json::json!({
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
            "CancellationReasons": reasons,
        });
        Self::Answer { status: 400, kind: "application/x-amz-json-1.0", body: body.to_string() }
    }

    /// S3's refusal of this kind.
    pub(crate) fn xml(status: u16, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>injected</Message></Error>");
        Self::Answer { status, kind: "application/xml", body }
    }
}

impl Proxy {
    /// Before the services at `upstream`, an `http://` origin.
    pub(crate) async fn start(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be listened on");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let state = Arc::new(Mutex::new(State::default()));
        let (hang, hanging) = watch::channel(0);
        let shared = Arc::clone(&state);
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (state, upstream, hang) = (Arc::clone(&shared), upstream.clone(), hang.clone());
                // A connection that breaks is what this is for.
                tokio::spawn(async move { exchange(client, &upstream, &state, &hang).await.ok() });
            }
        });
        Self { url, state, hanging, server }
    }

    pub(crate) fn rule(&self, operation: &'static str, times: usize, fault: Fault) {
        self.rule_after(operation, 0, times, fault);
    }

    pub(crate) fn rule_after(&self, operation: &'static str, pass: usize, times: usize, fault: Fault) {
        self.state().rules.push(Rule { operation, pass, times, fault });
    }

    pub(crate) fn clear(&self) {
        *self.state() = State::default();
    }

    /// The calls since the last time this was asked.
    pub(crate) fn take_calls(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.state().calls)
    }

    /// Waits until a call hangs.
    pub(crate) async fn hangs(&self) {
        self.hanging.clone().wait_for(|hanging| *hanging > 0).await.expect("the proxy runs");
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic while it is held")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn exchange(
    mut client: TcpStream,
    upstream: &str,
    state: &Mutex<State>,
    hang: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let Some(request) = wire::read(&mut client).await? else { return Ok(()) };
    let call = record(&request);
    let fault = {
        let mut state = state.lock().expect("no panic while it is held");
        let rule = state
            .rules
            .iter_mut()
            .find(|rule| rule.times > 0 && (rule.operation == "*" || rule.operation == call.operation));
        let fault = rule.and_then(|rule| {
            if rule.pass > 0 {
                rule.pass -= 1;
                return None;
            }
            rule.times -= 1;
            Some(rule.fault.clone())
        });
        state.calls.push(call);
        fault
    };
    let forever = || async {
        hang.send_modify(|hanging| *hanging += 1);
        std::future::pending::<()>().await;
    };
    match &fault {
        Some(Fault::Answer { status, kind, body }) => {
            let headers = [("content-type", (*kind).to_owned()), ("x-amzn-requestid", "INJECTED".to_owned())];
            return wire::answer(&mut client, *status, &headers, body.as_bytes()).await;
        }
        Some(Fault::Refuse) => return Ok(()),
        Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
        Some(Fault::HangBefore) => forever().await,
        Some(Fault::LoseAnswer | Fault::HangAfter) | None => {}
    }
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(&request.to_bytes()).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    match fault {
        Some(Fault::LoseAnswer) => return Ok(()),
        Some(Fault::HangAfter) => forever().await,
        _ => {}
    }
    client.write_all(&answer).await?;
    client.shutdown().await
}

fn record(request: &Request) -> Recorded {
    if let Some(target) = request.header("x-amz-target") {
        let (service, operation) = target.split_once('.').unwrap_or(("", target));
        let service = match service {
            "AmazonSQS" => "sqs",
            service if service.starts_with("DynamoDB") => "dynamodb",
            _ => "cognito-idp",
        };
        let actions = if operation == "TransactWriteItems" {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let items = body["TransactItems"].as_array().cloned().unwrap_or_default();
            let kinds = items.iter().flat_map(|item| item.as_object().into_iter().flat_map(|item| item.keys()));
            kinds
                .map(|kind| match kind.as_str() {
                    "ConditionCheck" => "dynamodb:ConditionCheckItem".to_owned(),
                    kind => format!("dynamodb:{kind}Item"),
                })
                .collect()
        } else {
            // What the pool's public interface does takes no permission.
            let open = service == "cognito-idp" && !operation.starts_with("Admin") && operation != "ListUsers";
            if open { Vec::new() } else { vec![format!("{service}:{operation}")] }
        };
        return Recorded { operation: operation.to_owned(), actions };
    }
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    let has = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    let (operation, action) = match request.method.as_str() {
        "GET" if request.target.contains("/.well-known/") => ("Keys", None),
        "GET" if has("list-type") => ("ListObjectsV2", Some("s3:ListBucket")),
        "GET" => ("GetObject", Some("s3:GetObject")),
        "HEAD" => ("HeadObject", Some("s3:GetObject")),
        "PUT" => ("PutObject", Some("s3:PutObject")),
        "POST" if has("delete") => ("DeleteObjects", Some("s3:DeleteObject")),
        "DELETE" => ("DeleteObject", Some("s3:DeleteObject")),
        _ => ("Unknown", None),
    };
    Recorded { operation: operation.to_owned(), actions: action.map(str::to_owned).into_iter().collect() }
}
