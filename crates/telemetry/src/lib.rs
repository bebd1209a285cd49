//! What an invocation reports: how it ended, its calls to AWS, its metrics and, if it is traced, its X-Ray subsegments.
//!
//! Lambda gives a process one invocation at a time, so the state is one for the process.

mod xray;

use std::collections::BTreeMap;
use std::env;
use std::fmt::{self, Display};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tracing::Span;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::xray::Trace;

/// The namespace of the metrics. `template.yaml` names them in the dashboard.
const NAMESPACE: &str = "Tintype";

/// What is counted besides the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// A message that failed, or an invocation that failed or was answered with a server error.
    Failures,
    ImagesBuilt,
    ImagesRejected,
}

/// An attempt of a call to AWS.
#[derive(Debug)]
pub struct Call<'a> {
    pub service: &'a str,
    pub operation: &'a str,
    pub started_at: SystemTime,
    pub duration: Duration,
    /// True for every attempt but the first.
    pub is_retry: bool,
    pub failed: bool,
}

/// How an invocation ended.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// A request was answered. `cause`: why it failed.
    Answered {
        method: &'a str,
        status: u16,
        cause: Option<&'a str>,
    },
    Done,
    Failed,
}

/// An invocation that has ended.
#[derive(Debug)]
pub struct Invocation<'a> {
    /// The dimension of the metrics.
    pub stack: &'a str,
    /// The function: a route of the API, or a worker.
    pub route: &'a str,
    pub request_id: &'a str,
    pub duration: Duration,
    pub outcome: Outcome<'a>,
}

/// The calls of an invocation.
#[derive(Debug, Default)]
struct Calls {
    /// Attempts by operation.
    operations: BTreeMap<String, u32>,
    retries: u32,
    /// From the start of each attempt to its end, added up.
    duration: Duration,
}

#[derive(Default)]
struct State {
    calls: Calls,
    counters: BTreeMap<Counter, u32>,
    /// The X-Ray header, if it is sampled.
    trace_header: Option<String>,
    trace: Option<Trace>,
    image: Option<String>,
    job: Option<String>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

fn state() -> MutexGuard<'static, Option<State>> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes `tracing`'s events to the log, each as a line of JSON, from the level on that `LoggingConfig` in `template.yaml` gives.
/// Lambda takes a line without a timestamp for INFO, so it would drop errors where the level is higher (Lambda developer
/// guide, "Log-level filtering").
pub fn init_log() {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt().json().with_target(false).with_max_level(level).init();
}

/// Begins an invocation. `trace`: its X-Ray header, of the form `Root=...;Parent=...;Sampled=1`.
pub fn begin(trace: Option<&str>) {
    let trace_header = trace.filter(|header| xray::sampled(header).is_some()).map(str::to_owned);
    *state() = Some(State { trace: trace.and_then(Trace::parse), trace_header, ..State::default() });
}

/// Names the image that a request is about, in its log.
pub fn record_image(id: impl Display) {
    record("image", id, |state| &mut state.image);
}

/// Names the job that a request began or asks for, in its log.
pub fn record_job(id: impl Display) {
    record("job", id, |state| &mut state.job);
}

fn record(name: &str, id: impl Display, place: impl Fn(&mut State) -> &mut Option<String>) {
    let id = id.to_string();
    Span::current().record(name, &id);
    if let Some(state) = state().as_mut() {
        *place(state) = Some(id);
    }
}

pub fn record_call(call: &Call<'_>) {
    let mut state = state();
    // Calls before the first invocation belong to none.
    let Some(state) = state.as_mut() else { return };
    *state.calls.operations.entry(call.operation.to_owned()).or_default() += 1;
    state.calls.retries += u32::from(call.is_retry);
    state.calls.duration += call.duration;
    if let Some(trace) = &state.trace {
        trace.send(call);
    }
}

pub fn count(counter: Counter) {
    if let Some(state) = state().as_mut() {
        *state.counters.entry(counter).or_default() += 1;
    }
}

/// Ends an invocation: writes a line to the log, without tokens, addresses or content, which is also its metrics, in
/// CloudWatch's embedded metric format.
pub fn report(invocation: &Invocation<'_>) {
    let Some(state) = state().take() else { return };
    println!("{}", line(invocation, &state, SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), &time()));
}

/// The present time in the format of `tracing`'s events.
fn time() -> String {
    let mut time = String::new();
    // Writing to a string cannot fail.
    let _ = tracing_subscriber::fmt::time::SystemTime.format_time(&mut Writer::new(&mut time));
    time
}

/// A line of the log that is also metrics:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
/// Metrics have names in Pascal case. The others are properties and no dimensions: CloudWatch bills each metric for each
/// combination of dimensions.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: &'a str,
    level: &'static str,
    message: &'static str,
    route: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    calls: &'a str,
    /// As in the span of the Lambda runtime.
    #[serde(rename = "xrayTraceId", skip_serializing_if = "Option::is_none")]
    trace: Option<&'a str>,
    #[serde(rename = "Stack")]
    stack: &'a str,
    #[serde(flatten)]
    metrics: Metrics,
    #[serde(rename = "_aws")]
    metadata: Metadata,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    /// Milliseconds, as `aws_latency`.
    latency: f64,
    aws_calls: u32,
    aws_latency: f64,
    aws_retries: u32,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    images_built: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images_rejected: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    /// Milliseconds since 1970.
    timestamp: u64,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Metric>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

/// Returns the line as JSON. `at`: since 1970.
fn line(invocation: &Invocation<'_>, state: &State, at: Duration, timestamp: &str) -> String {
    let Invocation { stack, route, request_id, duration, ref outcome } = *invocation;
    let (method, status, cause) = match *outcome {
        Outcome::Answered { method, status, cause } => (Some(method), Some(status), cause),
        _ => (None, None, None),
    };
    let failed = matches!(outcome, Outcome::Answered { status: 500.., .. } | Outcome::Failed);
    let (level, message, outcome) = match (outcome, failed) {
        (Outcome::Answered { .. }, false) => ("INFO", "Request answered", None),
        (Outcome::Answered { .. }, true) => ("ERROR", "Request failed", None),
        (_, false) => ("INFO", "Invocation ended", Some("done")),
        // The runtime logs the error.
        (_, true) => ("INFO", "Invocation ended", Some("failed")),
    };
    let counter = |counter| state.counters.get(&counter).copied();
    let metrics = Metrics {
        latency: milliseconds(duration),
        aws_calls: state.calls.count(),
        aws_latency: milliseconds(state.calls.duration),
        aws_retries: state.calls.retries,
        failures: counter(Counter::Failures).unwrap_or_default() + u32::from(failed),
        images_built: counter(Counter::ImagesBuilt),
        images_rejected: counter(Counter::ImagesRejected),
    };
    let always = [
        ("Latency", "Milliseconds"),
        ("AwsCalls", "Count"),
        ("AwsLatency", "Milliseconds"),
        ("AwsRetries", "Count"),
        ("Failures", "Count"),
    ];
    let built = metrics.images_built.map(|_| ("ImagesBuilt", "Count"));
    let rejected = metrics.images_rejected.map(|_| ("ImagesRejected", "Count"));
    let names = always.into_iter().chain(built).chain(rejected).map(|(name, unit)| Metric { name, unit }).collect();
    let line = Line {
        timestamp,
        level,
        message,
        route,
        request_id,
        image: state.image.as_deref(),
        job: state.job.as_deref(),
        method,
        status,
        outcome,
        cause,
        calls: &state.calls.to_string(),
        trace: state.trace_header.as_deref(),
        stack,
        metrics,
        metadata: Metadata {
            timestamp: u64::try_from(at.as_millis()).unwrap_or_default(),
            cloud_watch_metrics: [Directive { namespace: NAMESPACE, dimensions: [["Stack"]], metrics: names }],
        },
    };
    serde_json::to_string(&line).expect("its keys are strings")
}

/// Milliseconds with three decimals.
fn milliseconds(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

impl Calls {
    /// The number of attempts.
    fn count(&self) -> u32 {
        self.operations.values().sum()
    }
}

/// The operations, each followed by the number of its attempts: `BatchGetItem 2, GetObject 1`.
impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (operation, count)) in self.operations.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{operation} {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn line_is_in_the_embedded_metric_format() {
        let operations = [("BatchGetItem", 2), ("GetObject", 1)].map(|(name, count)| (name.to_owned(), count));
        let calls = Calls { operations: operations.into(), retries: 1, duration: Duration::from_micros(4500) };
        let state = State { calls, counters: [(Counter::ImagesBuilt, 1)].into(), ..State::default() };
        let (duration, at) = (Duration::from_micros(12_340), Duration::from_secs(1_700_000_000));
        let invocation = |outcome| Invocation { stack: "tintype", route: "r", request_id: "id", duration, outcome };
        let said = |invocation: &Invocation, state: &State| {
            serde_json::from_str::<Value>(&line(invocation, state, at, "2026-01-01T00:00:00Z")).unwrap()
        };
        let count = |name| json!({"Name": name, "Unit": "Count"});
        let time = |name| json!({"Name": name, "Unit": "Milliseconds"});
        let expected = json!({
            "_aws": {
                "Timestamp": 1_700_000_000_000_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "Tintype",
                    "Dimensions": [["Stack"]],
                    "Metrics": [
                        time("Latency"), count("AwsCalls"), time("AwsLatency"), count("AwsRetries"), count("Failures"),
                        count("ImagesBuilt"),
                    ],
                }],
            },
            "timestamp": "2026-01-01T00:00:00Z", "level": "INFO", "message": "Invocation ended", "outcome": "done",
            "Stack": "tintype", "route": "r", "request_id": "id", "calls": "BatchGetItem 2, GetObject 1",
            "Latency": 12.34, "AwsCalls": 3, "AwsLatency": 4.5, "AwsRetries": 1, "Failures": 0, "ImagesBuilt": 1,
        });
        assert_eq!(said(&invocation(Outcome::Done), &state), expected);

        let answered = |status| Outcome::Answered { method: "GET", status, cause: Some("why") };
        for (outcome, level, message, failures) in [
            (answered(404), "INFO", "Request answered", 0),
            (answered(500), "ERROR", "Request failed", 1),
            (Outcome::Failed, "INFO", "Invocation ended", 1),
        ] {
            let said = said(&invocation(outcome), &State::default());
            let found = (&said["level"], &said["message"], &said["Failures"], &said["image"]);
            assert_eq!(found, (&level.into(), &message.into(), &failures.into(), &Value::Null), "{said}");
        }
    }
}
