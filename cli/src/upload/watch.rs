//! Watches folders for changes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::files::{SearchPath, is_left_out};
use crate::error::{Error, Result};

/// A file counts as complete after this time without an event ...
const QUIET: Duration = Duration::from_secs(2);

/// ... or this time after its writer has closed it.
const CLOSED: Duration = Duration::from_millis(300);

/// Paths that are remembered one by one. If more change at once, the roots are searched again.
const MOST: usize = 1000;

pub(super) struct Watcher {
    /// As the user named them, and absolute, as events name them.
    roots: Vec<(PathBuf, PathBuf)>,
    /// Dropping it ends the watch.
    _watcher: RecommendedWatcher,
    events: UnboundedReceiver<notify::Result<Event>>,
    /// Changed paths, and when each counts as complete.
    waiting: HashMap<SearchPath, Instant>,
}

impl Watcher {
    /// Begins to watch.
    pub(super) fn new(roots: &[PathBuf]) -> Result<Self> {
        let (send, events) = unbounded_channel();
        let failed = |error: notify::Error| Error::Other(format!("The folders cannot be watched: {error}."));
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, |event| event.need_rescan() || wait_after(&event.kind).is_some()) {
                // The receiver may have been dropped.
                send.send(event).ok();
            }
        })
        .map_err(failed)?;
        let mut known = Vec::new();
        for root in roots {
            watcher.watch(root, RecursiveMode::Recursive).map_err(failed)?;
            let absolute = std::path::absolute(root).map_err(|error| Error::file(root.display(), error))?;
            known.push((root.clone(), absolute));
        }
        Ok(Self { roots: known, _watcher: watcher, events, waiting: HashMap::new() })
    }

    /// Waits for changed files that are complete.
    pub(super) async fn changed(&mut self) -> Result<Vec<SearchPath>> {
        loop {
            let now = Instant::now();
            let complete = |at: &Instant| *at <= now;
            let mut ready: Vec<SearchPath> =
                self.waiting.extract_if(|_, at| complete(at)).map(|(place, _)| place).collect();
            ready.retain(|place| place.path.exists());
            if !ready.is_empty() {
                return Ok(ready);
            }
            let next = self.waiting.values().min().copied();
            let event = match next {
                None => self.events.recv().await,
                Some(at) => match tokio::time::timeout_at(at.into(), self.events.recv()).await {
                    Ok(event) => event,
                    Err(_) => continue,
                },
            };
            match event {
                None => return Err(Error::Other("The folders can no longer be watched.".into())),
                Some(Ok(event)) if !event.need_rescan() && self.waiting.len() < MOST => {
                    if let Some(wait) = wait_after(&event.kind) {
                        event.paths.iter().for_each(|path| self.note(path, Instant::now() + wait));
                    }
                }
                // Events were lost, or there are too many: search the roots.
                Some(_) => {
                    self.waiting.clear();
                    let at = Instant::now() + QUIET;
                    self.waiting.extend(self.roots.iter().map(|(root, _)| (SearchPath::root(root), at)));
                }
            }
        }
    }

    fn note(&mut self, path: &Path, at: Instant) {
        for (root, absolute) in &self.roots {
            let Ok(below) = path.strip_prefix(absolute) else { continue };
            if below.components().any(|part| is_left_out(part.as_os_str())) {
                continue;
            }
            let path = if below.as_os_str().is_empty() { root.clone() } else { root.join(below) };
            self.waiting.insert(SearchPath { root: root.clone(), path }, at);
        }
    }
}

/// The time after an event after which the file counts as complete, if no other event follows.
fn wait_after(kind: &EventKind) -> Option<Duration> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Name(_)) => {
            Some(CLOSED)
        }
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => Some(QUIET),
        _ => None,
    }
}
