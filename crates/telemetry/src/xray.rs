//! X-Ray subsegments of calls, sent to the daemon that Lambda runs beside a traced function.
//! <https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html>

use std::env;
use std::net::UdpSocket;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::Call;

/// The trace of an invocation that is sampled.
#[derive(Debug)]
pub(crate) struct Trace {
    root: String,
    /// The id of the function's own segment.
    parent: String,
    daemon: String,
    socket: UdpSocket,
}

impl Trace {
    /// Returns `None` if the invocation is not sampled, or there is no daemon.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (root, parent) = sampled(header)?;
        let daemon = env::var("AWS_XRAY_DAEMON_ADDRESS").ok()?;
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        Some(Self { root: root.to_owned(), parent: parent.to_owned(), daemon, socket })
    }

    pub(crate) fn send(&self, call: &Call<'_>) {
        let id = Uuid::new_v4().simple().to_string();
        let document = subsegment(&self.root, &self.parent, &id[..16], call);
        let datagram = format!("{{\"format\": \"json\", \"version\": 1}}\n{document}");
        // A subsegment that is lost is missing in the trace, and nothing else.
        let _ = self.socket.send_to(datagram.as_bytes(), &self.daemon);
    }
}

/// The root and the parent of a header whose trace is sampled.
pub(crate) fn sampled(header: &str) -> Option<(&str, &str)> {
    let field = |name: &str| header.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
    (field("Sampled") == Some("1")).then_some((field("Root")?, field("Parent")?))
}

fn subsegment(root: &str, parent: &str, id: &str, call: &Call<'_>) -> Value {
    let start = call.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "type": "subsegment",
        "trace_id": root,
        "parent_id": parent,
        "id": id,
        "name": call.service,
        "namespace": "aws",
        "start_time": start.as_secs_f64(),
        "end_time": (start + call.duration).as_secs_f64(),
        "fault": call.failed,
        "aws": {"operation": call.operation},
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_sampled_invocations_are_traced() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:a:0";
        assert_eq!(sampled(header), Some(("1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8")));
        for header in ["", "Root=1-0-0", "Root=1-0-0;Parent=1;Sampled=0", "Parent=1;Sampled=1", "Root=1-0-0;Sampled=1"]
        {
            assert_eq!(sampled(header), None, "{header}");
        }
    }

    #[test]
    fn subsegment_has_the_times_and_the_operation_of_its_call() {
        let started_at = UNIX_EPOCH + Duration::from_millis(1_500);
        let duration = Duration::from_millis(250);
        let call = Call {
            service: "DynamoDB",
            operation: "BatchGetItem",
            started_at,
            duration,
            is_retry: false,
            failed: true,
        };
        let document = subsegment("1-0-0", "p", "i", &call);
        assert_eq!((&document["start_time"], &document["end_time"]), (&json!(1.5), &json!(1.75)));
        assert_eq!((&document["aws"]["operation"], &document["fault"]), (&json!("BatchGetItem"), &json!(true)));
    }
}
