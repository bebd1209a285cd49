//! What was uploaded, by content: a file of lines, only ever added to, that is right after a crash at any moment.
//!
//! Each line is a JSON object and each is written at once. The last may be torn by a crash of the system, and is dropped then.
//! What a lost line said is found out again: a registration by repeating its batch under the same `Idempotency-Key`, whose
//! line is written before the request is sent; an upload because S3 takes each file once; readiness by asking.
//!
//! In memory an entry takes some 120 bytes, so that 100,000 files take 12 MB.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashbrown::HashTable;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tintype_model::{ImageId, Title};

use crate::config::Folder;
use crate::error::{Error, Result};
use crate::session::now;

/// SHA-256 of a file.
pub(crate) type Content = [u8; 32];

/// Half of the SHA-256 of a title.
type TitleHash = [u8; 16];

/// What a file looked like from outside when it was read: as long as it looks the same, it need not be read again.
pub(crate) type Stamp = [u8; 16];

/// A batch may be repeated for 24 hours.
const REPEATABLE: u64 = 23 * 3600;

/// Lines that may lie there in vain before the file is written anew, beside as many as are needed.
const WASTE: usize = 4096;

pub(crate) struct Journal {
    file: File,
    /// Held while this journal is open.
    _lock: File,
    entries: Vec<Entry>,
    by_content: HashTable<u32>,
    by_stamp: HashTable<u32>,
    by_image: HashTable<u32>,
    reasons: HashMap<u32, String>,
    /// Whether contents may be there once for each title.
    copies: bool,
    unanswered: Vec<Batch>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    content: Content,
    title: TitleHash,
    stamp: Option<Stamp>,
    image: Option<ImageId>,
    state: State,
    /// Whether this run has met its file.
    met: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// In this run alone: about to be registered.
    Planned,
    Registered,
    Uploaded,
    Ready,
    Rejected,
    /// There is no such image, or not any more.
    Gone,
}

/// What is known of a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) state: State,
    pub(crate) image: Option<ImageId>,
    pub(crate) same_title: bool,
    pub(crate) reason: Option<String>,
}

/// A registration whose answer nobody has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) key: String,
    pub(crate) at: u64,
    /// As it was sent, to the byte.
    pub(crate) body: String,
    pub(crate) stamps: Vec<Option<Stamp>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Event {
    Batch,
    Answered,
    Registered,
    Uploaded,
    Ready,
    Rejected,
    Gone,
    /// The same content, seen with another stamp.
    Seen,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    op: Event,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamps: Option<Vec<Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

impl Line {
    fn new(op: Event) -> Self {
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

    fn of_entry(op: Event, entry: &Entry) -> Self {
        Self {
            sha256: Some(hex(&entry.content)),
            title: Some(hex(&entry.title)),
            stamp: entry.stamp.map(|stamp| hex(&stamp)),
            id: entry.image.map(|id| id.to_string()),
            ..Self::new(op)
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.is_ascii() {
        return None;
    }
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

pub(crate) fn title_hash(title: &Title) -> TitleHash {
    half(&Sha256::digest(title.as_str()))
}

pub(crate) fn half(hash: &[u8]) -> [u8; 16] {
    hash[..16].try_into().expect("a hash has more")
}

/// Contents, stamps and the ends of UUIDs are as random as any hash of them.
fn spread(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

fn spread_image(id: ImageId) -> u64 {
    spread(&id.key.uuid().as_bytes()[8..])
}

/// The journal of one user at one service.
pub(crate) fn path(folder: &Folder, url: &Url, user: &str) -> PathBuf {
    let name = Sha256::digest(format!("{url} {user}"));
    folder.path(format!("journals/{}.jsonl", URL_SAFE_NO_PAD.encode(&name[..12])))
}

/// Notes that images were deleted, so that their files may be uploaded again.
pub(crate) fn gone(folder: &Folder, url: &Url, user: &str, ids: &[String]) -> Result<()> {
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

/// Forgets everything.
pub(crate) fn forget(folder: &Folder, url: &Url, user: &str) {
    fs::remove_file(path(folder, url, user)).ok();
}

impl Journal {
    pub(crate) fn open(folder: &Folder, url: &Url, user: &str, copies: bool) -> Result<Self> {
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
                return Err(Error::Usage(
                    "Another `tintype upload` of this account is running: wait for it, or stop it.".into(),
                ));
            }
            Err(fs::TryLockError::Error(error)) => return Err(Error::file(lock_path.display(), error)),
        }
        let mut journal = Self {
            file: options(true).open(path).map_err(wrong)?,
            _lock: lock,
            entries: Vec::new(),
            by_content: HashTable::new(),
            by_stamp: HashTable::new(),
            by_image: HashTable::new(),
            reasons: HashMap::new(),
            copies,
            unanswered: Vec::new(),
        };
        let lines = journal.read().map_err(wrong)?;
        if lines > 2 * journal.entries.len() + WASTE {
            journal.write_anew(path).map_err(wrong)?;
        }
        Ok(journal)
    }

    /// Gives how many lines there are. A torn one at the end is cut off; one that makes no sense is passed over, as
    /// what it said can be found out again.
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

    /// Takes what a line says.
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
                    && let Some(index) = self.index_of(content, title)
                {
                    self.set_stamp(index, stamp);
                }
                return;
            }
            Event::Registered => State::Registered,
            Event::Uploaded => State::Uploaded,
            Event::Ready => State::Ready,
            Event::Rejected => State::Rejected,
            Event::Gone => State::Gone,
        };
        let index = match (content, title) {
            (Some(content), Some(title)) => Some(self.put(content, title, stamp, id)),
            _ => id.and_then(|id| self.index_of_image(id)),
        };
        if let Some(index) = index {
            self.set(index, state, line.reason);
        }
    }

    fn index_of(&self, content: Content, title: TitleHash) -> Option<u32> {
        let is = |index: &&u32| {
            let entry = &self.entries[**index as usize];
            entry.content == content && entry.title == title
        };
        self.by_content.iter_hash(spread(&content)).find(is).copied()
    }

    fn index_of_image(&self, id: ImageId) -> Option<u32> {
        self.by_image.find(spread_image(id), |&index| self.entries[index as usize].image == Some(id)).copied()
    }

    /// The entry of a content under a title, made if need be, with what is new about it.
    fn put(&mut self, content: Content, title: TitleHash, stamp: Option<Stamp>, image: Option<ImageId>) -> u32 {
        let index = self.index_of(content, title).unwrap_or_else(|| {
            let index = u32::try_from(self.entries.len()).expect("fewer than four billion files");
            self.entries.push(Entry { content, title, stamp: None, image: None, state: State::Gone, met: false });
            let entries = &self.entries;
            self.by_content.insert_unique(spread(&content), index, |&index| spread(&entries[index as usize].content));
            index
        });
        if let Some(stamp) = stamp {
            self.set_stamp(index, stamp);
        }
        if let Some(image) = image.filter(|_| self.entries[index as usize].image != image) {
            self.entries[index as usize].image = Some(image);
            let entries = &self.entries;
            let spread_of = |&index: &u32| entries[index as usize].image.map_or(0, spread_image);
            self.by_image.insert_unique(spread_image(image), index, spread_of);
        }
        index
    }

    fn set_stamp(&mut self, index: u32, stamp: Stamp) {
        if self.entries[index as usize].stamp != Some(stamp) {
            self.entries[index as usize].stamp = Some(stamp);
            let entries = &self.entries;
            let spread_of = |&index: &u32| entries[index as usize].stamp.map_or(0, |stamp| spread(&stamp));
            self.by_stamp.insert_unique(spread(&stamp), index, spread_of);
        }
    }

    fn set(&mut self, index: u32, state: State, reason: Option<String>) {
        self.entries[index as usize].state = state;
        match reason {
            Some(reason) => self.reasons.insert(index, reason),
            None => self.reasons.remove(&index),
        };
    }

    fn write_anew(&mut self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut writer = BufWriter::with_capacity(
            1 << 16,
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?,
        );
        for batch in &self.unanswered {
            serde_json::to_writer(&mut writer, &batch_line(batch)?)?;
            writer.write_all(b"\n")?;
        }
        for (index, entry) in self.entries.iter().enumerate() {
            let op = match entry.state {
                State::Registered => Event::Registered,
                State::Uploaded => Event::Uploaded,
                State::Ready => Event::Ready,
                State::Rejected => Event::Rejected,
                State::Planned | State::Gone => continue,
            };
            let reason = self.reasons.get(&(index as u32)).cloned();
            serde_json::to_writer(&mut writer, &Line { reason, ..Line::of_entry(op, entry) })?;
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

    /// What is known of a content, under this title or, unless copies are wanted, another.
    pub(crate) fn known(&self, content: Content, title: &Title) -> Option<Known> {
        let title = title_hash(title);
        let mut other = None;
        for &index in self.by_content.iter_hash(spread(&content)) {
            let entry = &self.entries[index as usize];
            if entry.content != content || entry.state == State::Gone {
                continue;
            }
            if entry.title == title {
                return Some(self.told(index, true));
            }
            if !self.copies && entry.state != State::Rejected {
                other = Some(self.told(index, false));
            }
        }
        other
    }

    fn told(&self, index: u32, same_title: bool) -> Known {
        let entry = &self.entries[index as usize];
        Known { state: entry.state, image: entry.image, same_title, reason: self.reasons.get(&index).cloned() }
    }

    /// The content of a file that looks as it did when it was uploaded.
    pub(crate) fn finished(&self, stamp: Stamp) -> Option<Content> {
        let is = |&index: &u32| self.entries[index as usize].stamp == Some(stamp);
        let entry = &self.entries[*self.by_stamp.find(spread(&stamp), is)? as usize];
        matches!(entry.state, State::Uploaded | State::Ready | State::Rejected).then_some(entry.content)
    }

    /// Marks a content as on its way, so that no other file of this run with the same goes there too.
    pub(crate) fn plan(&mut self, content: Content, title: &Title) {
        let index = self.put(content, title_hash(title), None, None);
        self.set(index, State::Planned, None);
        self.entries[index as usize].met = true;
    }

    /// It came to nothing.
    pub(crate) fn unplan(&mut self, content: Content, title: &Title) {
        if let Some(index) = self.index_of(content, title_hash(title))
            && self.entries[index as usize].state == State::Planned
        {
            self.set(index, State::Gone, None);
        }
    }

    /// Whether this run has met the file of an image.
    pub(crate) fn meet(&mut self, id: ImageId) -> bool {
        self.index_of_image(id).is_some_and(|index| std::mem::replace(&mut self.entries[index as usize].met, true))
    }

    /// Another round begins.
    pub(crate) fn forget_met(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.met = false);
    }

    pub(crate) fn is_met(&self, id: ImageId) -> bool {
        self.index_of_image(id).is_some_and(|index| self.entries[index as usize].met)
    }

    pub(crate) fn state_of(&self, id: ImageId) -> Option<State> {
        self.index_of_image(id).map(|index| self.entries[index as usize].state)
    }

    pub(crate) fn saw(&mut self, content: Content, title: &Title, stamp: Stamp) -> Result<()> {
        let Some(index) = self.index_of(content, title_hash(title)) else { return Ok(()) };
        if self.entries[index as usize].stamp == Some(stamp) {
            return Ok(());
        }
        self.set_stamp(index, stamp);
        let mut line = Line::of_entry(Event::Seen, &self.entries[index as usize]);
        line.id = None;
        self.append(&[line])
    }

    /// To be called before the batch is sent.
    pub(crate) fn begin(&mut self, batch: &Batch) -> Result<()> {
        let line = batch_line(batch).map_err(|error| Error::file("the journal", error))?;
        self.append(&[line])?;
        self.file.sync_data().map_err(|error| Error::file("the journal", error))
    }

    /// A batch's answer: what was registered.
    pub(crate) fn answered(&mut self, key: &str, made: &[(Content, TitleHash, Option<Stamp>, ImageId)]) -> Result<()> {
        let mut lines = Vec::with_capacity(made.len() + 1);
        for &(content, title, stamp, id) in made {
            let index = self.put(content, title, stamp, Some(id));
            self.set(index, State::Registered, None);
            lines.push(Line::of_entry(Event::Registered, &self.entries[index as usize]));
        }
        lines.push(Line { key: Some(key.to_owned()), ..Line::new(Event::Answered) });
        self.unanswered.retain(|batch| batch.key != key);
        self.append(&lines)
    }

    /// An image of ours that no line of this journal names.
    pub(crate) fn found(&mut self, content: Content, title: &Title, id: ImageId, state: State) -> Result<()> {
        let index = self.put(content, title_hash(title), None, Some(id));
        self.set(index, state, None);
        self.entries[index as usize].met = true;
        let op = if state == State::Registered { Event::Registered } else { Event::Uploaded };
        let line = Line::of_entry(op, &self.entries[index as usize]);
        self.append(&[line])
    }

    /// What became of an image.
    pub(crate) fn became(&mut self, id: ImageId, state: State, reason: Option<&str>) -> Result<()> {
        let Some(index) = self.index_of_image(id) else { return Ok(()) };
        if self.entries[index as usize].state == state {
            return Ok(());
        }
        self.set(index, state, reason.map(str::to_owned));
        let op = match state {
            State::Planned | State::Registered => Event::Registered,
            State::Uploaded => Event::Uploaded,
            State::Ready => Event::Ready,
            State::Rejected => Event::Rejected,
            State::Gone => Event::Gone,
        };
        let reason = reason.map(str::to_owned);
        self.append(&[Line { id: Some(id.to_string()), reason, ..Line::new(op) }])
    }

    pub(crate) fn take_unanswered(&mut self) -> Vec<Batch> {
        std::mem::take(&mut self.unanswered)
    }

    /// Images that were uploaded, whatever became of them: all that `keep` does not hold are noted as gone.
    pub(crate) fn keep_only(&mut self, keep: impl Fn(ImageId) -> bool) -> Result<usize> {
        let known = |entry: &Entry| matches!(entry.state, State::Uploaded | State::Ready | State::Rejected);
        let lost: Vec<ImageId> = self
            .entries
            .iter()
            .filter(|entry| known(entry))
            // What was rejected gets another chance.
            .filter(|entry| entry.state == State::Rejected || !entry.image.is_some_and(&keep))
            .filter_map(|entry| entry.image)
            .collect();
        for &id in &lost {
            self.became(id, State::Gone, None)?;
        }
        Ok(lost.len())
    }
}

fn batch_line(batch: &Batch) -> io::Result<Line> {
    Ok(Line {
        key: Some(batch.key.clone()),
        at: Some(batch.at),
        stamps: Some(batch.stamps.iter().map(|stamp| stamp.map(|stamp| hex(&stamp))).collect()),
        body: Some(RawValue::from_string(batch.body.clone())?),
        ..Line::new(Event::Batch)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use tintype_model::{ImageKey, UserId};
    use uuid::Uuid;

    use super::*;

    const STATES: [State; 5] = [State::Registered, State::Uploaded, State::Ready, State::Rejected, State::Gone];

    fn content(number: u8) -> Content {
        Sha256::digest([number]).into()
    }

    fn title(number: u8) -> Title {
        Title::parse(&format!("folder/{number}.jpg")).unwrap()
    }

    fn image(number: u16) -> ImageId {
        let uuid = |number: u128| Uuid::from_u128(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        ImageId { owner: UserId::from_uuid(uuid(1)), key: ImageKey::from_uuid(uuid(u128::from(number) + 2)) }
    }

    fn stamp_of(number: u8) -> Stamp {
        half(&Sha256::digest([number, 1]))
    }

    fn batch(key: &str) -> Batch {
        Batch { key: key.into(), at: now(), body: r#"{"images": [ ]}"#.into(), stamps: vec![None, Some([1; 16])] }
    }

    /// What a run does to the file of this number.
    #[derive(Debug, Clone, Copy)]
    enum Act {
        Register(u8),
        Become(u8, State),
        See(u8),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let one = prop_oneof![
            (0..6_u8).prop_map(Act::Register),
            (0..6_u8, 1..5_usize).prop_map(|(file, state)| Act::Become(file, STATES[state])),
            (0..6_u8).prop_map(Act::See),
        ];
        prop::collection::vec(one, 1..40)
    }

    /// Does it to a journal, and notes after each line how long the file is and what is known then.
    type Told = BTreeMap<u8, Option<Known>>;

    fn told(journal: &Journal) -> Told {
        (0..6).map(|file| (file, journal.known(content(file), &title(file)))).collect()
    }

    fn act(journal: &mut Journal, acts: &[Act]) -> Vec<(u64, Told)> {
        let mut after = vec![(0, Told::new())];
        after[0].1 = told(journal);
        let mut ids: BTreeMap<u8, ImageId> = BTreeMap::new();
        for (number, one) in acts.iter().enumerate() {
            match *one {
                Act::Register(file) => {
                    let id = image(number as u16);
                    ids.insert(file, id);
                    let made = [(content(file), title_hash(&title(file)), Some(stamp_of(file)), id)];
                    journal.answered("key", &made).unwrap();
                }
                Act::Become(file, state) => {
                    let Some(&id) = ids.get(&file) else { continue };
                    let reason = (state == State::Rejected).then_some("why\nnot");
                    journal.became(id, state, reason).unwrap();
                }
                Act::See(file) => journal.saw(content(file), &title(file), stamp_of(file + 100)).unwrap(),
            }
            after.push((journal.file.metadata().unwrap().len(), told(journal)));
        }
        after
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_journal_cut_off_anywhere_knows_what_its_whole_lines_say(acts in acts(), cut in 0.0..1.0_f64) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal.jsonl");
            let after = act(&mut Journal::open_at(&path, false).unwrap(), &acts);
            let length = after.last().unwrap().0;
            let cut = (length as f64 * cut) as u64;
            OpenOptions::new().write(true).open(&path).unwrap().set_len(cut).unwrap();
            let mut journal = Journal::open_at(&path, false).unwrap();
            // Registrations take two lines, of which the second says nothing more of the image.
            let known = after.iter().rev().find(|(length, _)| *length <= cut).unwrap();
            let next = after.iter().find(|(length, _)| *length > cut);
            let now = told(&journal);
            prop_assert!(now == known.1 || next.is_some_and(|next| now == next.1), "{now:?}");
            // And it goes on.
            journal.answered("key", &[(content(9), [9; 16], None, image(999))]).unwrap();
            drop(journal);
            prop_assert_eq!(Journal::open_at(&path, false).unwrap().state_of(image(999)), Some(State::Registered));
        }

        #[test]
        fn a_journal_written_anew_says_the_same(acts in acts()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal.jsonl");
            let mut journal = Journal::open_at(&path, false).unwrap();
            act(&mut journal, &acts);
            journal.begin(&batch("open")).unwrap();
            let before = told(&journal);
            drop(journal);
            let mut journal = Journal::open_at(&path, false).unwrap();
            journal.write_anew(&path).unwrap();
            prop_assert_eq!(told(&journal), before.clone());
            drop(journal);
            let mut journal = Journal::open_at(&path, false).unwrap();
            prop_assert_eq!(told(&journal), before);
            let unanswered = journal.take_unanswered();
            prop_assert_eq!(unanswered.len(), 1);
            prop_assert_eq!(&unanswered[0].body, &batch("open").body);
            prop_assert_eq!(&unanswered[0].stamps, &batch("open").stamps);
        }

        #[test]
        fn any_bytes_are_a_journal(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("journal.jsonl");
            fs::write(&path, bytes).unwrap();
            let mut journal = Journal::open_at(&path, false).unwrap();
            journal.answered("key", &[(content(1), title_hash(&title(1)), None, image(1))]).unwrap();
            drop(journal);
            let journal = Journal::open_at(&path, false).unwrap();
            prop_assert_eq!(journal.state_of(image(1)), Some(State::Registered));
        }
    }

    fn open(copies: bool) -> (tempfile::TempDir, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open_at(&folder.path().join("journal.jsonl"), copies).unwrap();
        (folder, journal)
    }

    #[test]
    fn a_content_is_known_under_any_title_unless_copies_are_wanted() {
        for copies in [false, true] {
            let (_folder, mut journal) = open(copies);
            journal.answered("key", &[(content(1), title_hash(&title(1)), None, image(1))]).unwrap();
            assert!(journal.known(content(1), &title(1)).is_some_and(|known| known.same_title));
            assert_eq!(journal.known(content(1), &title(2)).map(|known| known.same_title), (!copies).then_some(false));
            assert_eq!(journal.known(content(2), &title(1)), None);
        }
    }

    #[test]
    fn a_file_is_recognised_from_outside_once_it_is_uploaded_and_until_its_image_goes() {
        let (_folder, mut journal) = open(false);
        journal.answered("key", &[(content(1), title_hash(&title(1)), Some(stamp_of(1)), image(1))]).unwrap();
        assert_eq!(journal.finished(stamp_of(1)), None);
        for state in [State::Uploaded, State::Ready, State::Rejected] {
            journal.became(image(1), state, None).unwrap();
            assert_eq!(journal.finished(stamp_of(1)), Some(content(1)));
        }
        assert_eq!(journal.finished(stamp_of(2)), None);
        journal.became(image(1), State::Gone, None).unwrap();
        assert_eq!(journal.finished(stamp_of(1)), None);
    }

    #[test]
    fn a_batch_is_repeated_until_its_answer_is_noted_or_a_day_has_passed() {
        let (folder, mut journal) = open(false);
        let path = folder.path().join("journal.jsonl");
        journal.begin(&batch("answered")).unwrap();
        journal.begin(&batch("open")).unwrap();
        journal.begin(&Batch { at: now() - 24 * 3600, ..batch("old") }).unwrap();
        journal.answered("answered", &[]).unwrap();
        drop(journal);
        let mut journal = Journal::open_at(&path, false).unwrap();
        let keys: Vec<String> = journal.take_unanswered().into_iter().map(|batch| batch.key).collect();
        assert_eq!(keys, ["open"]);
    }

    #[test]
    fn a_journal_is_open_once() {
        let (folder, journal) = open(false);
        let path = folder.path().join("journal.jsonl");
        assert!(matches!(Journal::open_at(&path, false), Err(Error::Usage(_))));
        drop(journal);
        Journal::open_at(&path, false).unwrap();
    }
}
