//! A proxy on loopback between a function and AWS's services: it records each call, and delays, fails or cuts those
//! that a rule names. It passes requests on as they came, `Host` too, so that signatures hold.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::wire::{self, WireRequest};

/// A fault of a call: instead of passing it on, or beside that.
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
    /// The service does it, and the last byte of its answer never comes.
    Stall,
    Delay(Duration),
    /// No answer, ever; the service does not hear of it.
    HangBefore,
    /// No answer, ever; the service has done it.
    HangAfter,
}

/// The operations that change nothing. Of others, `AdminInitiateAuth` and `InitiateAuth` begin a session.
const READS: [&str; 11] = [
    "AdminGetUser",
    "BatchGetItem",
    "DescribeUserPoolClient",
    "GetItem",
    "GetObject",
    "GetSecretValue",
    "HeadObject",
    "Keys",
    "ListObjectsV2",
    "Query",
    "Scan",
];

/// Stands for any operation in a rule.
const ANY: &str = "*";
/// Stands for any operation that changes something.
const CHANGES: &str = "changes";

fn changes_something(operation: &str) -> bool {
    !READS.contains(&operation)
}

/// Meets the calls of one operation, of any (`*`), or of those that change something, after as many as are let pass, as
/// often as it says.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    operation: &'static str,
    pass: usize,
    times: usize,
    fault: Fault,
}

impl Rule {
    pub(crate) fn once(operation: &'static str, pass: usize, fault: Fault) -> Self {
        Self { operation, pass, times: 1, fault }
    }

    pub(crate) fn kills(&self) -> bool {
        matches!(self.fault, Fault::HangBefore | Fault::HangAfter)
    }

    fn meets(&self, operation: &str) -> bool {
        self.times > 0
            && match self.operation {
                ANY => true,
                CHANGES => changes_something(operation),
                named => named == operation,
            }
    }
}

/// Where a function that makes these calls is killed.
///
/// A function keeps nothing between calls, and a read leaves nothing. So killing it before a call, or after a read, leaves
/// what killing it after the change before leaves: it is killed after each change, and before the first call. `make hold`
/// kills it before and after each call.
pub(crate) fn deaths(calls: &[String]) -> impl Iterator<Item = Rule> {
    deaths_among(calls.len(), calls.iter().filter(|operation| changes_something(operation)).count())
}

/// The same for a function whose calls are not known: without an end.
pub(crate) fn endless_deaths() -> impl Iterator<Item = Rule> {
    deaths_among(usize::MAX, usize::MAX)
}

fn deaths_among(calls: usize, changes: usize) -> impl Iterator<Item = Rule> {
    let each = std::env::var_os("TINTYPE_KILL_AT_EACH_CALL").is_some();
    let (operation, count) = if each { (ANY, calls) } else { (CHANGES, changes) };
    let first = Rule::once(ANY, 0, Fault::HangBefore);
    std::iter::once(first).chain((0..count).flat_map(move |number| {
        let before = (each && number > 0).then(|| Rule::once(ANY, number, Fault::HangBefore));
        before.into_iter().chain([Rule::once(operation, number, Fault::HangAfter)])
    }))
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// As the service names it: `BatchGetItem`, `GetObject`.
    pub(crate) operation: String,
    /// The permissions that it takes.
    pub(crate) needs: Vec<Need>,
    /// Bytes of the answer, its head included; 0 where none came.
    pub(crate) answer_bytes: usize,
    /// Items that a query read for its answer.
    pub(crate) scanned: u64,
}

/// An action, such as `dynamodb:PutItem`, on the resource of this ARN.
pub(crate) type Need = (String, String);

#[derive(Default)]
struct ProxyState {
    rules: Vec<Rule>,
    calls: Vec<Recorded>,
    /// How many calls came before the first of `calls`.
    taken: usize,
}

pub(crate) struct Proxy {
    pub(crate) url: String,
    state: Arc<Mutex<ProxyState>>,
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

    /// Cognito's refusal of this kind, in these words.
    pub(crate) fn of_the_pool(kind: &str, message: &str) -> Self {
        let body = serde_json::json!({"__type": kind, "message": message});
        Self::Answer { status: 400, kind: "application/x-amz-json-1.1", body: body.to_string() }
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
        let state = Arc::new(Mutex::new(ProxyState::default()));
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
        self.add(Rule { operation, pass, times, fault });
    }

    pub(crate) fn add(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    /// Forgets all rules and calls.
    pub(crate) fn clear(&self) {
        self.state().rules.clear();
        self.take_calls();
    }

    /// The calls since the last time this was asked.
    pub(crate) fn take_calls(&self) -> Vec<Recorded> {
        let mut state = self.state();
        state.taken += state.calls.len();
        std::mem::take(&mut state.calls)
    }

    /// The operations of the calls since the last time they were asked for.
    pub(crate) fn take_operations(&self) -> Vec<String> {
        self.take_calls().into_iter().map(|call| call.operation).collect()
    }

    /// Waits until a call hangs.
    pub(crate) async fn hangs(&self) {
        self.hanging.clone().wait_for(|hanging| *hanging > 0).await.expect("the proxy runs");
    }

    fn state(&self) -> std::sync::MutexGuard<'_, ProxyState> {
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
    state: &Mutex<ProxyState>,
    hang: &watch::Sender<usize>,
) -> std::io::Result<()> {
    let Some(request) = wire::read(&mut client).await? else { return Ok(()) };
    let call = record(&request);
    let (fault, number) = {
        let mut state = state.lock().expect("no panic while it is held");
        let rule = state.rules.iter_mut().find(|rule| rule.meets(&call.operation));
        let fault = rule.and_then(|rule| {
            if rule.pass > 0 {
                rule.pass -= 1;
                return None;
            }
            rule.times -= 1;
            Some(rule.fault.clone())
        });
        state.calls.push(call);
        (fault, state.taken + state.calls.len() - 1)
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
        Some(Fault::LoseAnswer | Fault::Stall | Fault::HangAfter) | None => {}
    }
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(&request.to_bytes()).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    {
        let mut state = state.lock().expect("no panic while it is held");
        let place = number.checked_sub(state.taken);
        if let Some(call) = place.and_then(|place| state.calls.get_mut(place)) {
            note_answer(call, &answer);
        }
    }
    match fault {
        Some(Fault::LoseAnswer) => return Ok(()),
        Some(Fault::Stall) => {
            client.write_all(&answer[..answer.len() - 1]).await?;
            forever().await;
        }
        Some(Fault::HangAfter) => forever().await,
        _ => {}
    }
    client.write_all(&answer).await?;
    client.shutdown().await
}

/// The emulator's only region and account.
const HERE: &str = "us-east-1:000000000000";

fn record(request: &WireRequest) -> Recorded {
    let (operation, needs) = match request.header("x-amz-target") {
        Some(target) => named(target, &serde_json::from_slice(&request.body).unwrap_or_default()),
        None => of_s3(request),
    };
    Recorded { operation, needs, ..Recorded::default() }
}

/// A call of the services that speak JSON.
fn named(target: &str, body: &Value) -> (String, Vec<Need>) {
    let (service, operation) = target.split_once('.').unwrap_or(("", target));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let table = |name: &str| format!("arn:aws:dynamodb:{HERE}:table/{name}");
    let needs = match (service, operation) {
        ("DynamoDB_20120810", "TransactWriteItems") => {
            let actions = body["TransactItems"].as_array().into_iter().flatten();
            let actions = actions.flat_map(|action| action.as_object().into_iter().flatten());
            actions.map(|(kind, action)| (format!("dynamodb:{kind}Item"), table(&text(&action["TableName"])))).collect()
        }
        ("DynamoDB_20120810", "BatchGetItem") => {
            let tables = body["RequestItems"].as_object().into_iter().flatten();
            tables.map(|(name, _)| ("dynamodb:BatchGetItem".to_owned(), table(name))).collect()
        }
        ("DynamoDB_20120810", _) => {
            let mut resource = table(&text(&body["TableName"]));
            if let Some(index) = body["IndexName"].as_str() {
                resource = format!("{resource}/index/{index}");
            }
            vec![(format!("dynamodb:{operation}"), resource)]
        }
        ("AmazonSQS", _) => {
            let queue = text(&body["QueueUrl"]).rsplit('/').next().unwrap_or_default().to_owned();
            vec![(format!("sqs:{operation}"), format!("arn:aws:sqs:{HERE}:{queue}"))]
        }
        // Cognito's public API needs no permission.
        ("AWSCognitoIdentityProviderService", _)
            if operation.starts_with("Admin") || ["ListUsers", "DescribeUserPoolClient"].contains(&operation) =>
        {
            let pool = text(&body["UserPoolId"]);
            vec![(format!("cognito-idp:{operation}"), format!("arn:aws:cognito-idp:{HERE}:userpool/{pool}"))]
        }
        ("secretsmanager", _) => vec![(format!("secretsmanager:{operation}"), text(&body["SecretId"]))],
        _ => Vec::new(),
    };
    (operation.to_owned(), needs)
}

/// A call of S3, its bucket in the path, or of the pool's public keys.
fn of_s3(request: &WireRequest) -> (String, Vec<Need>) {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let has = |name: &str| query.split('&').any(|part| part.split('=').next() == Some(name));
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    let blob = |key: &str| format!("arn:aws:s3:::{bucket}/{key}");
    let (operation, needs) = match request.method.as_str() {
        "GET" if path.contains("/.well-known/") => ("Keys", Vec::new()),
        "GET" if has("list-type") => ("ListObjectsV2", vec![("s3:ListBucket", format!("arn:aws:s3:::{bucket}"))]),
        "GET" => ("GetObject", vec![("s3:GetObject", blob(key))]),
        "HEAD" => ("HeadObject", vec![("s3:GetObject", blob(key))]),
        "PUT" => ("PutObject", vec![("s3:PutObject", blob(key))]),
        "POST" if has("delete") => {
            let body = String::from_utf8_lossy(&request.body);
            let keys = body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
            ("DeleteObjects", keys.map(|key| ("s3:DeleteObject", blob(key))).collect())
        }
        "DELETE" => ("DeleteObject", vec![("s3:DeleteObject", blob(key))]),
        _ => ("Unknown", Vec::new()),
    };
    (operation.to_owned(), needs.into_iter().map(|(action, resource)| (action.to_owned(), resource)).collect())
}

fn note_answer(call: &mut Recorded, answer: &[u8]) {
    call.answer_bytes = answer.len();
    // To whoever may not list a bucket, S3 says of a missing blob that it is forbidden.
    if call.operation == "GetObject" && answer.starts_with(b"HTTP/1.1 404") {
        let buckets: Vec<Need> = call
            .needs
            .iter()
            .filter_map(|(_, blob)| Some(("s3:ListBucket".to_owned(), blob.split_once('/')?.0.to_owned())))
            .collect();
        call.needs.extend(buckets);
    }
    if call.operation == "Query" || call.operation == "Scan" {
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
        let body: Value = serde_json::from_slice(&answer[head..]).unwrap_or_default();
        call.scanned = body["ScannedCount"].as_u64().unwrap_or_default();
    }
}
