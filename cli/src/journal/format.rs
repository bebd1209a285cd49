//! The lines of the file.

use std::io;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::index::{Entry, FileState, Stamp};

/// A registration without a known response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) key: String,
    pub(crate) at: u64,
    /// Exactly the bytes that were sent.
    pub(crate) body: String,
    pub(crate) stamps: Vec<Option<Stamp>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    Batch,
    Answered,
    Registered,
    Uploaded,
    Ready,
    Rejected,
    Gone,
    /// A known content has another stamp.
    Seen,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) op: Event,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stamp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stamps: Option<Vec<Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<Box<RawValue>>,
}

impl Event {
    /// The event after which an image has this state.
    pub(super) fn leading_to(state: FileState) -> Self {
        match state {
            FileState::Planned | FileState::Registered => Self::Registered,
            FileState::Uploaded => Self::Uploaded,
            FileState::Ready => Self::Ready,
            FileState::Rejected => Self::Rejected,
            FileState::Gone => Self::Gone,
        }
    }
}

impl Line {
    pub(super) fn new(op: Event) -> Self {
        Self {
            op,
            sha256: None,
            title: None,
            stamp: None,
            id: None,
            reason: None,
            key: None,
            at: None,
            stamps: None,
            body: None,
        }
    }

    pub(super) fn of_entry(op: Event, entry: &Entry) -> Self {
        Self {
            sha256: Some(hex(&entry.content)),
            title: Some(hex(&entry.title)),
            stamp: entry.stamp.map(|stamp| hex(&stamp)),
            id: entry.image.map(|id| id.to_string()),
            ..Self::new(op)
        }
    }

    pub(super) fn of_batch(batch: &Batch) -> io::Result<Self> {
        Ok(Self {
            key: Some(batch.key.clone()),
            at: Some(batch.at),
            stamps: Some(batch.stamps.iter().map(|stamp| stamp.map(|stamp| hex(&stamp))).collect()),
            body: Some(RawValue::from_string(batch.body.clone())?),
            ..Self::new(Event::Batch)
        })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}
