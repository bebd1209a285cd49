//! What changes in folders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::files::Place;
use crate::error::{Error, Result};

/// A file is taken for complete when nothing has happened to it for so long ...
const QUIET: Duration = Duration::from_secs(2);

/// ... or for so long after who wrote it has closed it.
const CLOSED: Duration = Duration::from_millis(300);

/// Paths that are remembered one by one; where more change at once, everything is looked at anew.
const MOST: usize = 1000;

pub(super) struct Watcher {
    /// As they were named, and absolute, as events name them.
    roots: Vec<(PathBuf, PathBuf)>,
    /// Watches as long as it lives.
    _watcher: RecommendedWatcher,
    events: UnboundedReceiver<notify::Result<Event>>,
    /// What has changed, and when it is taken for complete.
    waiting: HashMap<Place, Instant>,
}

impl Watcher {
    /// Watches from now on.
    pub(super) fn new(roots: &[PathBuf]) -> Result<Self> {
        let (send, events) = unbounded_channel();
        let failed = |error: notify::Error| Error::Other(format!("The folders cannot be watched: {error}."));
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, |event| event.need_rescan() || wait_after(&event.kind).is_some()) {
                // Whoever listened may be gone.
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

    /// Waits until something has changed and is complete.
    pub(super) async fn changed(&mut self) -> Result<Vec<Place>> {
        loop {
            let now = Instant::now();
            let complete = |at: &Instant| *at <= now;
            let mut ready: Vec<Place> = self.waiting.extract_if(|_, at| complete(at)).map(|(place, _)| place).collect();
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
                None => return Err(Error::Other("The folders cannot be watched any more.".into())),
                Some(Ok(event)) if !event.need_rescan() && self.waiting.len() < MOST => {
                    if let Some(wait) = wait_after(&event.kind) {
                        event.paths.iter().for_each(|path| self.note(path, Instant::now() + wait));
                    }
                }
                // Events were lost, or there are too many: everything is looked at.
                Some(_) => {
                    self.waiting.clear();
                    let at = Instant::now() + QUIET;
                    self.waiting.extend(self.roots.iter().map(|(root, _)| (Place::root(root), at)));
                }
            }
        }
    }

    fn note(&mut self, path: &Path, at: Instant) {
        for (root, absolute) in &self.roots {
            let Ok(below) = path.strip_prefix(absolute) else { continue };
            if below.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            let path = if below.as_os_str().is_empty() { root.clone() } else { root.join(below) };
            self.waiting.insert(Place { root: root.clone(), path }, at);
        }
    }
}

/// How long after an event nothing more must have happened.
fn wait_after(kind: &EventKind) -> Option<Duration> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Name(_)) => {
            Some(CLOSED)
        }
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => Some(QUIET),
        _ => None,
    }
}
