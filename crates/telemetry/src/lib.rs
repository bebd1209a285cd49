//! What an invocation reports: its calls to AWS, its metrics and, if it is traced, its X-Ray subsegments.
//!
//! Lambda gives a process one invocation at a time, so the state is one for the process.

mod xray;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fmt};

use serde::Serialize;
use tracing_subscriber::filter::LevelFilter;

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

/// The calls of an invocation.
#[derive(Debug, Clone, Default)]
pub struct Calls {
    /// Attempts by operation.
    operations: BTreeMap<String, u32>,
    retries: u32,
    duration: Duration,
}

#[derive(Default)]
struct State {
    calls: Calls,
    counters: BTreeMap<Counter, u32>,
    trace: Option<Trace>,
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
    *state() = Some(State { trace: trace.and_then(Trace::parse), ..State::default() });
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

/// Returns the calls of the invocation so far.
pub fn calls() -> Calls {
    state().as_ref().map(|state| state.calls.clone()).unwrap_or_default()
}

/// Ends an invocation: writes its metrics to the log, in CloudWatch's embedded metric format.
/// `stack`: the dimension of the metrics.
pub fn report(stack: &str, route: &str, request_id: &str, duration: Duration) {
    let Some(State { calls, counters, .. }) = state().take() else { return };
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    println!("{}", metrics(stack, route, request_id, duration, &calls, &counters, at));
}

/// A line of the log that is also metrics:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>.
/// Route and request id are properties and no dimensions: CloudWatch bills each metric for each combination of dimensions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MetricsLine<'a> {
    #[serde(rename = "level")]
    level: &'static str,
    stack: &'a str,
    #[serde(rename = "route")]
    route: &'a str,
    #[serde(rename = "request_id")]
    request_id: &'a str,
    latency: f64,
    aws_calls: u32,
    aws_latency: f64,
    aws_retries: u32,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    images_built: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images_rejected: Option<u32>,
    #[serde(rename = "_aws")]
    metadata: Metadata,
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

/// Returns the line as JSON.
fn metrics(
    stack: &str,
    route: &str,
    request_id: &str,
    duration: Duration,
    calls: &Calls,
    counters: &BTreeMap<Counter, u32>,
    at: Duration,
) -> String {
    let counter = |counter| counters.get(&counter).copied();
    let (images_built, images_rejected) = (counter(Counter::ImagesBuilt), counter(Counter::ImagesRejected));
    let always = [
        ("Latency", "Milliseconds"),
        ("AwsCalls", "Count"),
        ("AwsLatency", "Milliseconds"),
        ("AwsRetries", "Count"),
        ("Failures", "Count"),
    ];
    let built = images_built.map(|_| ("ImagesBuilt", "Count"));
    let rejected = images_rejected.map(|_| ("ImagesRejected", "Count"));
    let metrics = always.into_iter().chain(built).chain(rejected).map(|(name, unit)| Metric { name, unit }).collect();
    let line = MetricsLine {
        level: "INFO",
        stack,
        route,
        request_id,
        latency: milliseconds(duration),
        aws_calls: calls.count(),
        aws_latency: milliseconds(calls.duration),
        aws_retries: calls.retries,
        failures: counter(Counter::Failures).unwrap_or_default(),
        images_built,
        images_rejected,
        metadata: Metadata {
            timestamp: u64::try_from(at.as_millis()).unwrap_or_default(),
            cloud_watch_metrics: [Directive { namespace: NAMESPACE, dimensions: [["Stack"]], metrics }],
        },
    };
    serde_json::to_string(&line).expect("its keys are strings")
}

/// Milliseconds with three decimals.
pub fn milliseconds(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

impl Calls {
    /// The number of attempts.
    pub fn count(&self) -> u32 {
        self.operations.values().sum()
    }

    /// The time from the start of each attempt to its end, added up.
    pub fn duration(&self) -> Duration {
        self.duration
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
    fn metrics_are_in_the_embedded_metric_format() {
        let operations = [("BatchGetItem", 2), ("GetObject", 1)].map(|(name, count)| (name.to_owned(), count));
        let calls = Calls { operations: operations.into(), retries: 1, duration: Duration::from_micros(4500) };
        assert_eq!(calls.to_string(), "BatchGetItem 2, GetObject 1");
        let counters = BTreeMap::from([(Counter::ImagesBuilt, 1)]);
        let (duration, at) = (Duration::from_micros(12_340), Duration::from_secs(1_700_000_000));
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
            "level": "INFO", "Stack": "tintype", "route": "build_thumbnails", "request_id": "r",
            "Latency": 12.34, "AwsCalls": 3, "AwsLatency": 4.5, "AwsRetries": 1, "Failures": 0, "ImagesBuilt": 1,
        });
        let line = metrics("tintype", "build_thumbnails", "r", duration, &calls, &counters, at);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
    }
}
