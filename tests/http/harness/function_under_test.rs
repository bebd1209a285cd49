//! A function of one's own: its executable, with its environment, behind a [`Proxy`] that meets nobody else's calls.
//! This plays Lambda for it, as the Runtime API has it.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex as SyncMutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::wire;
use super::{Answer, Proxy, Rule, Stack, User, eventually, unique};

/// The time limit of a function in milliseconds. Those who work pages until a minute before, as the audit, get
/// one page; jobs get the time they have.
fn time(operation: &str) -> u128 {
    if operation == "run_job" { 300_000 } else { 60_000 }
}

/// The trace of each invocation. A function sends subsegments only if its environment names a daemon.
pub(crate) const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

pub(crate) struct FunctionUnderTest {
    pub(crate) proxy: Proxy,
    pub(crate) operation: String,
    /// Its standard output.
    log: File,
    process: SyncMutex<Child>,
    events: mpsc::Sender<Value>,
    results: Mutex<mpsc::Receiver<Result<Value, Value>>>,
    lambda: JoinHandle<()>,
}

impl Stack {
    /// A function of its own for this operation of the API, or this worker.
    pub(crate) async fn function(&self, operation: &str) -> FunctionUnderTest {
        self.function_with(operation, &[]).await
    }

    /// Like [`Self::function`], with more in its environment, or something else.
    pub(crate) async fn function_with(&self, operation: &str, more: &[(&str, &str)]) -> FunctionUnderTest {
        let upstream = std::env::var("AWS_ENDPOINT_URL").expect("checked when the stack was found");
        let proxy = Proxy::start(&upstream).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback can be listened on");
        let address = listener.local_addr().expect("it has an address").to_string();
        let (events, to_run) = mpsc::channel(1);
        let (done, results) = mpsc::channel(1);
        let lambda = tokio::spawn(lambda(listener, time(operation), Arc::new(Mutex::new(to_run)), done));
        let executable = executable(operation);
        let told = |name| std::env::var(name).expect("the stack's environment says it");
        let folder = told("TINTYPE_EXECUTABLES");
        let environment = [
            ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
            ("AWS_LAMBDA_FUNCTION_NAME", operation),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_ENDPOINT_URL", &proxy.url),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("SSL_CERT_FILE", &told("SSL_CERT_FILE")),
            ("_HANDLER", operation),
            ("TABLE", &self.table),
            ("ORIGINALS_BUCKET", &self.originals),
            ("THUMBNAILS_BUCKET", &self.thumbnails),
            ("JOBS_QUEUE_URL", &self.jobs_queue),
            ("USER_POOL_ID", &self.user_pool),
            ("USER_POOL_URL", &format!("https://cognito-idp.us-east-1.amazonaws.com/{}", self.user_pool)),
            ("CLIENT_ID", &self.client_id),
            ("SIGNING_KEYS", self.environments[operation]["SIGNING_KEYS"].as_str().unwrap_or_default()),
            ("CDN_SECRET", self.environments[operation]["CDN_SECRET"].as_str().unwrap_or_default()),
            ("DEFAULT_PLAN", "Basic"),
            ("STACK", "tintype"),
            ("PUBLIC_URL", &self.url),
            ("PASSWORD_MIN_LENGTH", "10"),
        ];
        let log = tempfile::tempfile().expect("a temporary file");
        let process = Command::new(format!("{folder}/{executable}"))
            .env_clear()
            .envs(environment)
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file has any number of handles"))
            .spawn()
            .expect("the executable runs");
        FunctionUnderTest {
            proxy,
            log,
            operation: operation.to_owned(),
            process: SyncMutex::new(process),
            events,
            results: Mutex::new(results),
            lambda,
        }
    }
}

fn executable(operation: &str) -> &'static str {
    match operation {
        "build_thumbnails" | "sweep" | "run_job" | "audit" | "operate" => "workers",
        "page" | "image_page" => "web",
        _ => "api",
    }
}

impl FunctionUnderTest {
    /// Runs the function once. `Err`: it failed.
    pub(crate) async fn invoke(&self, event: Value) -> Result<Value, Value> {
        self.send(event).await;
        self.ends().await
    }

    /// The end of what was sent.
    pub(crate) async fn ends(&self) -> Result<Value, Value> {
        let mut results = self.results.lock().await;
        tokio::select! {
            biased;
            result = results.recv() => result.expect("the function runs"),
            status = self.dies() => panic!("{} ended without an answer: {status}", self.operation),
        }
    }

    /// The events that the function has logged. A function has written those of an invocation before it ends it.
    pub(crate) fn log(&self) -> Vec<Value> {
        let mut log = vec![0; self.log.metadata().expect("an open file").len() as usize];
        self.log.read_exact_at(&mut log, 0).expect("nobody shortens it");
        let log = String::from_utf8(log).expect("UTF-8");
        // The last line may still be being written.
        let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
    }

    /// Waits for an event of the function's log that has this level and this text in its cause.
    pub(crate) async fn logs(&self, level: &str, cause: &str) -> Value {
        eventually(&format!("{} to log {level} with {cause}", self.operation), async || {
            self.log().into_iter().find(|event| {
                // The line that ends an invocation has no other fields.
                let logged = event["cause"].as_str().or(event["fields"]["cause"].as_str());
                event["level"] == level && logged.is_some_and(|logged| logged.contains(cause))
            })
        })
        .await
    }

    async fn dies(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.process.lock().expect("nobody panicked").try_wait().expect("it is a child") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Has the function run, without waiting for it.
    pub(crate) async fn send(&self, event: Value) {
        self.events.send(event).await.expect("the function runs");
    }

    /// Sends a request as the gateway would, after its authorizer where there is a user.
    pub(crate) async fn call(&self, user: Option<&User>, method: &str, target: &str, body: Option<Value>) -> Answer {
        self.call_with(user, method, target, json_headers(), body).await
    }

    pub(crate) async fn call_with(
        &self,
        user: Option<&User>,
        method: &str,
        target: &str,
        headers: HashMap<String, String>,
        body: Option<Value>,
    ) -> Answer {
        let asked = format!("{} {method} {target}", self.operation);
        let event = self.event_with(user, method, target, headers, body);
        let answer = self.invoke(event).await.unwrap_or_else(|error| panic!("{asked}: it failed: {error}"));
        let status = answer["statusCode"].as_u64().unwrap_or_default() as u16;
        let headers = answer["headers"].as_object().into_iter().flatten();
        let headers = headers.filter_map(|(name, value)| {
            let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, http::HeaderValue::from_str(value.as_str()?).ok()?))
        });
        let cookies =
            answer["cookies"].as_array().into_iter().flatten().filter_map(|cookie| {
                Some((http::header::SET_COOKIE, http::HeaderValue::from_str(cookie.as_str()?).ok()?))
            });
        let headers = headers.chain(cookies).collect();
        let body = answer["body"].as_str().unwrap_or_default();
        let body = match answer["isBase64Encoded"].as_bool() {
            Some(true) => STANDARD.decode(body).expect("base64"),
            _ => body.as_bytes().to_vec(),
        };
        Answer { asked, status, headers, body }
    }

    /// A request as the gateway hands it on.
    pub(crate) fn event(&self, user: Option<&User>, method: &str, target: &str, body: Option<Value>) -> Value {
        self.event_with(user, method, target, json_headers(), body)
    }

    pub(crate) fn event_with(
        &self,
        user: Option<&User>,
        method: &str,
        target: &str,
        headers: HashMap<String, String>,
        body: Option<Value>,
    ) -> Value {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut event = json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "function",
                "domainName": "127.0.0.2",
                "stage": "$default",
                "requestId": unique(),
                "timeEpoch": 0,
                "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            },
            "isBase64Encoded": false,
        });
        if let Some(body) = body {
            event["body"] = body.to_string().into();
        }
        if let Some(user) = user {
            event["requestContext"]["authorizer"] =
                json!({"jwt": {"claims": claims(&user.access_token), "scopes": null}});
        }
        event
    }

    /// Runs the function until a call that this rule meets, and kills it there (SIGKILL). `Err`: it ended before, with these
    /// calls.
    pub(crate) async fn kill_at(self, death: Rule, event: Value) -> Result<(), Vec<String>> {
        self.proxy.add(death);
        self.send(event).await;
        let mut results = self.results.lock().await;
        tokio::select! {
            () = self.proxy.hangs() => Ok(()),
            _ = results.recv() => Err(self.proxy.take_operations()),
            status = self.dies() => panic!("{} ended without an answer: {status}", self.operation),
        }
    }
}

fn json_headers() -> HashMap<String, String> {
    HashMap::from([("content-type".to_owned(), "application/json".to_owned())])
}

impl Drop for FunctionUnderTest {
    fn drop(&mut self) {
        self.lambda.abort();
        // SIGKILL; it may have ended already.
        let process = self.process.get_mut().expect("nobody panicked");
        process.kill().ok();
        process.wait().ok();
    }
}

/// A token's claims as the gateway gives them: all texts.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).expect("a JWT");
    let claims: HashMap<String, Value> = serde_json::from_slice(&payload).expect("claims");
    let text = |value: Value| match value {
        Value::String(text) => text,
        Value::Array(parts) => {
            format!("[{}]", parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    };
    claims.into_iter().map(|(name, value)| (name, Value::String(text(value)))).collect::<serde_json::Map<_, _>>().into()
}

/// The Runtime API: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.
async fn lambda(
    listener: TcpListener,
    time: u128,
    events: Arc<Mutex<mpsc::Receiver<Value>>>,
    done: mpsc::Sender<Result<Value, Value>>,
) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (events, done) = (Arc::clone(&events), done.clone());
        tokio::spawn(async move {
            let Ok(Some(request)) = wire::read(&mut client).await else { return };
            if request.method == "GET" {
                let Some(event) = events.lock().await.recv().await else { return };
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis();
                let headers = [
                    ("content-type", "application/json".to_owned()),
                    ("lambda-runtime-aws-request-id", uuid::Uuid::new_v4().to_string()),
                    ("lambda-runtime-deadline-ms", (now + time).to_string()),
                    (
                        "lambda-runtime-invoked-function-arn",
                        "arn:aws:lambda:us-east-1:000000000000:function:test".to_owned(),
                    ),
                    ("lambda-runtime-trace-id", TRACE.to_owned()),
                ];
                wire::answer(&mut client, 200, &headers, event.to_string().as_bytes()).await.ok();
                return;
            }
            let body = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
            wire::answer(&mut client, 202, &[], b"").await.ok();
            let result = if request.target.ends_with("/response") { Ok(body) } else { Err(body) };
            done.send(result).await.ok();
        });
    }
}
