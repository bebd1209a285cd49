//! The audit, run by a process of its own: of everything, or of what is one user's.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Body, FunctionUnderTest, Stack, User, eventually, parts};

/// Items or blobs of a page. Most users have fewer; larger pages would check more of other users.
const FEW: u16 = 20;

pub(crate) type Counts = BTreeMap<String, u64>;

/// The findings and repairs of an audit, by kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Audited {
    pub(crate) found: Counts,
    pub(crate) mended: Counts,
}

impl Audited {
    pub(crate) fn add(&mut self, report: &Value) {
        for (counts, part) in [(&mut self.found, "findings"), (&mut self.mended, "mended")] {
            // Any test's pending images may expire meanwhile.
            for (kind, count) in report[part].as_object().expect("counts").iter().filter(|(kind, _)| *kind != "expired")
            {
                *counts.entry(kind.clone()).or_default() += count.as_u64().expect("a count");
            }
        }
    }
}

impl Stack {
    /// Audits everything, with nothing too young for it.
    pub(crate) async fn audit(&self, mend: bool) -> Audited {
        self.audit_by(&self.function("audit").await, mend).await
    }

    pub(crate) async fn audit_by(&self, function: &FunctionUnderTest, mend: bool) -> Audited {
        self.audit_older_than(0, function, mend).await
    }

    /// Leaves out what changed in the last seconds.
    pub(crate) async fn audit_older_than(&self, seconds: u64, function: &FunctionUnderTest, mend: bool) -> Audited {
        let mut audited = Audited::default();
        let mut place = Value::Null;
        loop {
            // The function's time lasts for one page, so this goes on from place to place.
            let report = look(function, mend, seconds, &place, None).await;
            audited.add(&report);
            place = report["next"].clone();
            if place.is_null() {
                return audited;
            }
        }
    }

    /// Waits until an audit finds nothing of this user's that does not agree.
    pub(crate) async fn agrees(&self, user: &User) {
        let function = self.function("audit").await;
        let mut found = Vec::new();
        eventually("an audit that finds nothing", async || {
            found = findings_of(&function, &user.id).await;
            if !found.is_empty() {
                println!("found of {}: {found:?}", user.id);
            }
            found.is_empty().then_some(())
        })
        .await;
    }
}

async fn look(function: &FunctionUnderTest, mend: bool, seconds: u64, place: &Value, page_size: Option<u16>) -> Value {
    let page = json!({"mend": mend, "grace_seconds": seconds, "place": place, "page_size": page_size});
    function.invoke(page).await.expect("the audit runs")
}

/// Looks where a user's items and blobs stand: the emulator scans, as S3 lists, by key.
async fn findings_of(function: &FunctionUnderTest, user: &str) -> Vec<String> {
    let owner: Uuid = user.parse().expect("a user's id is a UUID");
    let is_theirs = |subject: &str| {
        subject.contains(user) || (subject.len() == 52 && !subject.contains('/') && parts(subject).0 == owner)
    };
    let mut found = Vec::new();
    let starts = ["PROFILE#", "TITLE#", "USER#"].map(|kind| format!("{kind}{user}"));
    let of_items = starts.map(|pk| (pk.clone(), json!({"in": "items", "after": [pk, " "]})));
    let of_blobs = ["originals", "thumbnails"].map(|bucket| {
        let start = format!("{bucket}/{user}/");
        (start.clone(), json!({"in": bucket, "after": start}))
    });
    for (start, mut place) in of_items.into_iter().chain(of_blobs) {
        loop {
            let report = look(function, false, 0, &place, Some(FEW)).await;
            for named in report.list("named").iter().filter(|named| is_theirs(named.str("subject"))) {
                found.push(format!("{} {}", named.str("kind"), named.str("subject")));
            }
            let next = report["next"].clone();
            let after = match &next["after"] {
                Value::Array(key) => key[0].as_str().expect("a key").to_owned(),
                Value::String(key) => key.clone(),
                _ => String::new(),
            };
            if next["in"] != place["in"] || !after.starts_with(&start) {
                break;
            }
            place = next;
        }
    }
    found
}
