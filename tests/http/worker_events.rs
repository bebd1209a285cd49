//! Events of the queues and of the table's stream, as the workers get them. The files are also for `cargo lambda invoke`.

use serde_json::{Value, json};

use crate::harness::on_stack;

/// The image and the job that the event files name. No stack has them.
const IMAGE: &str = "fn24gg4xr10x3cj5bzywwx7tt80shg6yf9dqrfcekw0j6hb7h6ng";
const JOB: &str = "fn24gg4xr10x3cj5bzywwx7tt8zjq30xks3mmtwd41e7x7r1795g";

#[test]
fn workers_read_the_events_in_the_files() {
    on_stack(async |stack| {
        for (worker, file, field, id, response) in [
            (
                "build_thumbnails",
                include_str!("../events/uploads-queue.json"),
                "image",
                IMAGE,
                json!({"batchItemFailures": []}),
            ),
            ("run_job", include_str!("../events/jobs-queue.json"), "job", JOB, json!({"batchItemFailures": []})),
            ("sweep", include_str!("../events/table-stream.json"), "image", IMAGE, Value::Null),
        ] {
            let function = stack.function(worker).await;
            let event = serde_json::from_str(file).expect("JSON");
            assert_eq!(function.invoke(event).await, Ok(response), "{worker}");
            let named = function
                .log()
                .into_iter()
                .any(|event| event["spans"].as_array().is_some_and(|spans| spans.iter().any(|span| span[field] == id)));
            assert!(named, "{worker}: {:?}", function.log());
        }
        let audit = stack.function("audit").await;
        let event = serde_json::from_str(include_str!("../events/audit.json")).expect("JSON");
        let report = audit.invoke(event).await.expect("a report");
        assert!(report["seen"].is_u64(), "{report}");
    });
}
