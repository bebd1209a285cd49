//! The record of uploaded files, by content: an append-only file of lines that is valid after a crash at any moment.
//!
//! Each line is a JSON object, written with one call. A crash of the system may tear the last line, which is then dropped. The
//! next run recovers what a lost line said: a registration by repeating its batch with the same `Idempotency-Key`, whose line
//! is written before the request is sent; an upload because S3 accepts each file once; readiness by asking the service.
//!
//! In memory an entry takes about 120 bytes, so 100,000 files take 12 MB.

mod format;
mod index;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use reqwest::Url;
use sha2::{Digest, Sha256};
use tintype_model::{ImageId, Title};

use crate::config::ConfigDir;
use crate::error::{Error, Result};
use crate::session::now;

pub(crate) use format::{Batch, hex, unhex};
use format::{Event, Line};
use index::Index;
pub(crate) use index::{Content, FileState, KnownFile, Stamp, TitleDigest, first_16, title_digest};

/// The service remembers a batch for 24 hours. In seconds.
const REPEATABLE: u64 = 23 * 3600;

/// The file is compacted when it has more obsolete lines than this, and than valid ones.
const WASTE: usize = 4096;

pub(crate) struct Journal {
    file: File,
    /// Held while this journal is open.
    _lock: File,
    index: Index,
    unanswered: Vec<Batch>,
}

/// The journal of one user at one service.
pub(crate) fn path(folder: &ConfigDir, url: &Url, user: &str) -> PathBuf {
    let name = Sha256::digest(format!("{url} {user}"));
    folder.path(format!("journals/{}.jsonl", BASE64URL_NOPAD.encode(&name[..12])))
}

/// Marks images as deleted, so that their files can be uploaded again.
pub(crate) fn gone(folder: &ConfigDir, url: &Url, user: &str, ids: &[String]) -> Result<()> {
    let path = path(folder, url, user);
    if ids.is_empty() || !path.exists() {
        return Ok(());
    }
    let text: String = ids
        .iter()
        .map(|id| {
            let line = Line { id: Some(id.clone()), ..Line::new(Event::Gone) };
            serde_json::to_string(&line).expect("lines have text keys") + "\n"
        })
        .collect();
    let append = || OpenOptions::new().append(true).open(&path)?.write_all(text.as_bytes());
    append().map_err(|error| Error::file(path.display(), error))
}

/// Deletes the journal.
pub(crate) fn forget(folder: &ConfigDir, url: &Url, user: &str) {
    fs::remove_file(path(folder, url, user)).ok();
}

impl Journal {
    pub(crate) fn open(folder: &ConfigDir, url: &Url, user: &str, copies: bool) -> Result<Self> {
        folder.make("journals")?;
        Self::open_at(&path(folder, url, user), copies)
    }

    pub(crate) fn open_at(path: &Path, copies: bool) -> Result<Self> {
        let wrong = |error| Error::file(path.display(), error);
        let options = |append: bool| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).append(append).create(true).mode(0o600);
            options
        };
        let lock_path = path.with_extension("lock");
        let lock = options(false).open(&lock_path).map_err(wrong)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::AlreadyRunning(
                    "Another `tintype upload` of this account is running: wait for it, or stop it.".into(),
                ));
            }
            Err(fs::TryLockError::Error(error)) => return Err(Error::file(lock_path.display(), error)),
        }
        let mut journal = Self {
            file: options(true).open(path).map_err(wrong)?,
            _lock: lock,
            index: Index::new(copies),
            unanswered: Vec::new(),
        };
        let lines = journal.read().map_err(wrong)?;
        if lines > 2 * journal.index.entries.len() + WASTE {
            journal.write_anew(path).map_err(wrong)?;
        }
        Ok(journal)
    }

    /// Reads the file and returns the number of its lines. Cuts off a torn line at the end, and skips invalid lines, whose
    /// content can be recovered.
    fn read(&mut self) -> io::Result<usize> {
        let mut reader = BufReader::with_capacity(1 << 16, self.file.try_clone()?);
        reader.seek(SeekFrom::Start(0))?;
        let (mut line, mut lines, mut whole) = (Vec::new(), 0, 0);
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            if length == 0 || line.last() != Some(&b'\n') {
                break;
            }
            whole += length as u64;
            lines += 1;
            if let Ok(line) = serde_json::from_slice(&line) {
                self.take(line);
            }
        }
        if self.file.metadata()?.len() > whole {
            self.file.set_len(whole)?;
        }
        self.unanswered.retain(|batch| batch.at + REPEATABLE > now());
        Ok(lines)
    }

    /// Applies a line.
    fn take(&mut self, line: Line) {
        let id: Option<ImageId> = line.id.as_deref().and_then(|id| id.parse().ok());
        let content = line.sha256.as_deref().and_then(unhex);
        let title = line.title.as_deref().and_then(unhex);
        let stamp = line.stamp.as_deref().and_then(unhex);
        let state = match line.op {
            Event::Batch => {
                if let (Some(key), Some(at), Some(body)) = (line.key, line.at, line.body) {
                    let stamps = line.stamps.unwrap_or_default();
                    let stamps = stamps.iter().map(|stamp| stamp.as_deref().and_then(unhex)).collect();
                    self.unanswered.push(Batch { key, at, body: Box::<str>::from(body).into(), stamps });
                }
                return;
            }
            Event::Answered => {
                self.unanswered.retain(|batch| Some(&batch.key) != line.key.as_ref());
                return;
            }
            Event::Seen => {
                if let (Some(content), Some(title), Some(stamp)) = (content, title, stamp)
                    && let Some(index) = self.index.index_of(content, title)
                {
                    self.index.set_stamp(index, stamp);
                }
                return;
            }
            Event::Registered => FileState::Registered,
            Event::Uploaded => FileState::Uploaded,
            Event::Ready => FileState::Ready,
            Event::Rejected => FileState::Rejected,
            Event::Gone => FileState::Gone,
        };
        let index = match (content, title) {
            (Some(content), Some(title)) => Some(self.index.put(content, title, stamp, id)),
            _ => id.and_then(|id| self.index.index_of_image(id)),
        };
        if let Some(index) = index {
            self.index.set(index, state, line.reason);
        }
    }

    fn write_anew(&mut self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut writer = BufWriter::with_capacity(
            1 << 16,
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?,
        );
        for batch in &self.unanswered {
            serde_json::to_writer(&mut writer, &Line::of_batch(batch)?)?;
            writer.write_all(b"\n")?;
        }
        for (index, entry) in self.index.entries.iter().enumerate() {
            if matches!(entry.state, FileState::Planned | FileState::Gone) {
                continue;
            }
            let reason = self.index.reasons.get(&(index as u32)).cloned();
            serde_json::to_writer(
                &mut writer,
                &Line { reason, ..Line::of_entry(Event::leading_to(entry.state), entry) },
            )?;
            writer.write_all(b"\n")?;
        }
        writer.flush()?;
        writer.get_ref().sync_all()?;
        fs::rename(&new, path)?;
        self.file = OpenOptions::new().read(true).append(true).open(path)?;
        Ok(())
    }

    fn append(&mut self, lines: &[Line]) -> Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).expect("lines have text keys");
            text.push(b'\n');
        }
        self.file.write_all(&text).map_err(|error| Error::file("the journal", error))
    }

    /// Returns the state of a content under this title or, unless copies are allowed, under another.
    pub(crate) fn known(&self, content: Content, title: &Title) -> Option<KnownFile> {
        self.index.known(content, title)
    }

    /// Returns the content of an uploaded file by its stamp.
    pub(crate) fn finished(&self, stamp: Stamp) -> Option<Content> {
        self.index.finished(stamp)
    }

    /// Marks a content as planned, so that this run uploads no other file with the same content.
    pub(crate) fn plan(&mut self, content: Content, title: &Title) {
        let index = self.index.put(content, title_digest(title), None, None);
        self.index.set(index, FileState::Planned, None);
        self.index.entries[index as usize].seen = true;
    }

    /// Marks a planned upload as abandoned.
    pub(crate) fn abandon(&mut self, content: Content, title: &Title) {
        if let Some(index) = self.index.index_of(content, title_digest(title))
            && self.index.entries[index as usize].state == FileState::Planned
        {
            self.index.set(index, FileState::Gone, None);
        }
    }

    /// Marks an image's file as seen by this run. Returns true if it was already.
    pub(crate) fn mark_seen(&mut self, id: ImageId) -> bool {
        self.index
            .index_of_image(id)
            .is_some_and(|index| std::mem::replace(&mut self.index.entries[index as usize].seen, true))
    }

    /// Starts the next pass of `--watch`.
    pub(crate) fn forget_seen(&mut self) {
        self.index.entries.iter_mut().for_each(|entry| entry.seen = false);
    }

    pub(crate) fn is_seen(&self, id: ImageId) -> bool {
        self.index.index_of_image(id).is_some_and(|index| self.index.entries[index as usize].seen)
    }

    pub(crate) fn state_of(&self, id: ImageId) -> Option<FileState> {
        self.index.index_of_image(id).map(|index| self.index.entries[index as usize].state)
    }

    pub(crate) fn saw(&mut self, content: Content, title: &Title, stamp: Stamp) -> Result<()> {
        let Some(index) = self.index.index_of(content, title_digest(title)) else { return Ok(()) };
        if self.index.entries[index as usize].stamp == Some(stamp) {
            return Ok(());
        }
        self.index.set_stamp(index, stamp);
        let mut line = Line::of_entry(Event::Seen, &self.index.entries[index as usize]);
        line.id = None;
        self.append(&[line])
    }

    /// Records a batch. Call this before sending it.
    pub(crate) fn begin(&mut self, batch: &Batch) -> Result<()> {
        let line = Line::of_batch(batch).map_err(|error| Error::file("the journal", error))?;
        self.append(&[line])?;
        self.file.sync_data().map_err(|error| Error::file("the journal", error))
    }

    /// Records the response to a batch: the images that were registered.
    pub(crate) fn answered(
        &mut self,
        key: &str,
        made: &[(Content, TitleDigest, Option<Stamp>, ImageId)],
    ) -> Result<()> {
        let mut lines = Vec::with_capacity(made.len() + 1);
        for &(content, title, stamp, id) in made {
            let index = self.index.put(content, title, stamp, Some(id));
            self.index.set(index, FileState::Registered, None);
            lines.push(Line::of_entry(Event::Registered, &self.index.entries[index as usize]));
        }
        lines.push(Line { key: Some(key.to_owned()), ..Line::new(Event::Answered) });
        self.unanswered.retain(|batch| batch.key != key);
        self.append(&lines)
    }

    /// Records an image of this user that the journal does not have.
    pub(crate) fn found(&mut self, content: Content, title: &Title, id: ImageId, state: FileState) -> Result<()> {
        let index = self.index.put(content, title_digest(title), None, Some(id));
        self.index.set(index, state, None);
        self.index.entries[index as usize].seen = true;
        let op = if state == FileState::Registered { Event::Registered } else { Event::Uploaded };
        let line = Line::of_entry(op, &self.index.entries[index as usize]);
        self.append(&[line])
    }

    /// Records the new state of an image.
    pub(crate) fn became(&mut self, id: ImageId, state: FileState, reason: Option<&str>) -> Result<()> {
        let Some(index) = self.index.index_of_image(id) else { return Ok(()) };
        if self.index.entries[index as usize].state == state {
            return Ok(());
        }
        self.index.set(index, state, reason.map(str::to_owned));
        let reason = reason.map(str::to_owned);
        self.append(&[Line { id: Some(id.to_string()), reason, ..Line::new(Event::leading_to(state)) }])
    }

    pub(crate) fn take_unanswered(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.unanswered)
    }

    /// Marks uploaded images as gone unless `keep` returns true for them.
    pub(crate) fn keep_only(&mut self, keep: impl Fn(ImageId) -> bool) -> Result<usize> {
        let lost: Vec<ImageId> = self
            .index
            .entries
            .iter()
            .filter(|entry| entry.is_uploaded())
            // Rejected files are tried again.
            .filter(|entry| entry.state == FileState::Rejected || !entry.image.is_some_and(&keep))
            .filter_map(|entry| entry.image)
            .collect();
        for &id in &lost {
            self.became(id, FileState::Gone, None)?;
        }
        Ok(lost.len())
    }
}
