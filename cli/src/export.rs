//! `export`: downloads all originals and records of the account into a folder.
//!
//! ```text
//! pages of the export ─▶ place (a path for each image) ─▶ download (side by side) ─▶ records.jsonl
//! ```
//!
//! `.tintype-export.jsonl` in the folder has the path of each image, from before its download, so that the next run finds the
//! same paths whatever images there are by then. A file at its path with the image's size is complete: a download is checked
//! before it gets that name. URLs are signed when their page is read, and each page is read when its images are next, so few
//! expire.

use std::cell::{RefCell, RefMut};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use futures_util::{TryStreamExt, stream};
use indicatif::{HumanBytes, HumanCount};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tintype_model::ImageId;

use crate::api::{self, ExportPage, Image};
use crate::args;
use crate::client::Client;
use crate::config::Config;
use crate::error::{Error, Result, exit};
use crate::get::{download, drop_part, is_original, make_folders, part_of, path_of};
use crate::output::{Output, escape_control, line};
use crate::progress::Progress;
use crate::upload::interrupted;

const RECORDS: &str = "records.jsonl";
/// Files that are downloaded at the same time, unless the user chose.
const CONCURRENCY: usize = 8;

/// The records, until all are there.
const NEW_RECORDS: &str = ".tintype-records.part";
const JOURNAL: &str = ".tintype-export.jsonl";

/// Images in a page: with 8 downloads at a time of photos of 5 MB, its URLs last for a connection of 2 Mbit/s.
const PAGE: u64 = 40;

struct Run<'a> {
    client: &'a Client,
    out: Output,
    folder: &'a Path,
    progress: Progress,
    places: RefCell<Places>,
    records: RefCell<BufWriter<File>>,
    report: RefCell<Report>,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    downloaded: u64,
    downloaded_bytes: u64,
    /// Downloaded by an earlier run.
    already: u64,
    /// Images without an original: pending, processing or rejected.
    without_file: u64,
    links: u64,
    failed: u64,
}

/// An image, and the cursor of its page.
struct Item {
    image: Image,
    cursor: Rc<Option<String>>,
}

/// The paths of images below the folder.
struct Places {
    folder: PathBuf,
    /// Locked while it is open.
    journal: File,
    paths: HashMap<ImageId, Place>,
    /// Paths in lower case, as some file systems compare them.
    files: HashSet<String>,
    folders: HashSet<String>,
}

struct Place {
    path: Box<str>,
    /// True if the service still has the image.
    seen: bool,
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Account { service: String, user: String },
    Path { id: String, path: String },
}

pub(crate) async fn run(client: &Client, config: &Config, out: Output, arguments: &args::Export) -> Result<u8> {
    let me = client.request(api::GET_ME).send().await?;
    let folder = &arguments.folder;
    fs::create_dir_all(folder).map_err(|error| Error::file(folder.display(), error))?;
    let places = Places::open(folder, client.url.as_str(), &me.id)?;
    client.request(api::BEGIN_EXPORT).idempotent().send().await?;
    let new = folder.join(NEW_RECORDS);
    let records = File::create(&new).map_err(|error| Error::file(new.display(), error))?;
    let run = Run {
        client,
        out,
        folder,
        progress: Progress::new(out.quiet, &client.waiting),
        places: RefCell::new(places),
        records: RefCell::new(BufWriter::new(records)),
        report: RefCell::default(),
    };
    let concurrency = arguments.concurrency.map(usize::from).or(config.concurrency).unwrap_or(CONCURRENCY).clamp(1, 64);
    let result = tokio::select! {
        result = run.all(concurrency) => result,
        () = run.progress.report() => unreachable!("it never returns"),
        () = interrupted() => {
            run.conclude(true);
            out.note("Interrupted. Run the same command again to resume.");
            return Ok(exit::INTERRUPTED);
        }
    };
    let status = run.conclude(result.is_err());
    match result {
        Ok(()) => Ok(status),
        Err(error) => {
            out.note("Run the same command again to resume.");
            Err(error)
        }
    }
}

impl Run<'_> {
    async fn all(&self, concurrency: usize) -> Result<()> {
        let pages = stream::try_unfold(Some(None), async |next| {
            let Some(cursor) = next else { return Ok(None) };
            let page = self.page(&cursor).await?;
            self.note_account_and_links(&page)?;
            let next = page.next_cursor.map(Some);
            let cursor = Rc::new(cursor);
            let items = page.images.into_iter().map(move |image| Ok(Item { image, cursor: Rc::clone(&cursor) }));
            Ok(Some((stream::iter(items), next)))
        });
        pages
            .try_flatten()
            .map_ok(|item| self.one(item))
            .try_buffer_unordered(concurrency)
            .try_for_each(async |()| Ok(()))
            .await?;
        let wrong = |error| Error::file(RECORDS, error);
        let mut records = self.records.borrow_mut();
        records.flush().map_err(wrong)?;
        records.get_ref().sync_all().map_err(wrong)?;
        fs::rename(self.folder.join(NEW_RECORDS), self.folder.join(RECORDS)).map_err(wrong)?;
        self.places.borrow().drop_parts_of_deleted();
        Ok(())
    }

    async fn page(&self, cursor: &Option<String>) -> Result<ExportPage> {
        let query = api::GetExport { cursor: cursor.clone(), limit: Some(PAGE) };
        let ask = || self.client.request(api::GET_EXPORT).query(&query).send();
        match ask().await {
            Err(error) if error.refused_with("no_export") => {
                // It ended while this command ran.
                self.client.request(api::BEGIN_EXPORT).idempotent().send().await?;
                ask().await
            }
            page => page,
        }
    }

    fn note_account_and_links(&self, page: &ExportPage) -> Result<()> {
        if let Some(account) = &page.account {
            self.progress.count(account.usage.images, account.usage.bytes);
            self.progress.counting(false);
            self.record(&json!({"account": account, "service": self.client.url.as_str()}))?;
        }
        self.report().links += page.links.len() as u64;
        page.links.iter().try_for_each(|link| self.record(&json!({"link": link})))
    }

    fn record(&self, record: &Value) -> Result<()> {
        writeln!(self.records.borrow_mut(), "{record}").map_err(|error| Error::file(RECORDS, error))
    }

    /// Brings one image into the folder.
    async fn one(&self, item: Item) -> Result<()> {
        let image = &item.image;
        let ready = image.image_url.is_some();
        let result = if ready { self.original(&item).await } else { Ok(None) };
        let (file, error) = match result {
            Ok(file) => (file, None),
            Err(error) if stops(&error) => return Err(error),
            Err(error) => (None, Some(error.to_string())),
        };
        if ready {
            self.progress.over(image.size, error.is_some());
        } else {
            self.report().without_file += 1;
        }
        if let Some(error) = &error {
            self.report().failed += 1;
            if self.out.json {
                line(&json!({"event": "failed", "image": image.id, "title": image.title, "reason": error}).to_string());
            } else {
                self.client.waiting.print_failure(&format!("{}: {error}", escape_control(&image.title)));
            }
        }
        // The URL expires soon.
        let image = Image { image_url: None, url_expires_at: None, ..image.clone() };
        let mut record = json!({"image": image, "file": file});
        if let Some(error) = error {
            record["error"] = error.into();
        }
        self.record(&record)
    }

    /// Downloads an original unless it is there. Returns its path below the folder.
    async fn original(&self, item: &Item) -> Result<Option<Box<str>>> {
        let image = &item.image;
        let place = self.places.borrow_mut().place(image)?;
        let path = self.folder.join(&*place);
        match path.symlink_metadata() {
            Ok(there) if there.is_file() && there.len() == image.size => {
                self.report().already += 1;
                self.event("already", image, &place);
                return Ok(Some(place));
            }
            Ok(_) => {
                return Err(Error::Other(format!(
                    "{} was changed: move it away, and run the same command again.",
                    path.display()
                )));
            }
            Err(_) => {}
        }
        let part = part_of(&path, &image.id);
        let bar = self.progress.one(&image.title, image.size);
        let mut last = part.metadata().map_or(0, |part| part.len());
        let mut moved = |have: u64| {
            bar.set(have);
            bar.sent(have.saturating_sub(last));
            last = have;
        };
        let renew = async |image: &Image| {
            let page = self.page(&item.cursor).await?;
            let found = page.images.into_iter().find(|found| found.id == image.id && found.image_url.is_some());
            found.ok_or_else(|| Error::Other("It was deleted meanwhile.".into()))
        };
        make_folders(self.folder, path.parent().unwrap_or(self.folder), &mut Vec::new())?;
        download(self.client, image, &part, &path, &mut moved, &renew).await.inspect_err(|error| {
            drop_part(&part, error);
        })?;
        let mut report = self.report();
        report.downloaded += 1;
        report.downloaded_bytes += image.size;
        self.event("downloaded", image, &place);
        Ok(Some(place))
    }

    fn report(&self) -> RefMut<'_, Report> {
        self.report.borrow_mut()
    }

    fn event(&self, event: &str, image: &Image, place: &str) {
        if self.out.json {
            line(&json!({"event": event, "image": image.id, "path": place, "size": image.size}).to_string());
        }
    }

    /// Prints the summary and returns the exit status. `stopped`: before all images were there.
    fn conclude(&self, stopped: bool) -> u8 {
        self.progress.clear();
        let report = self.report();
        let left = if stopped { self.progress.left() } else { 0 };
        if self.out.json {
            let mut summary = json!(*report);
            summary["event"] = "summary".into();
            summary["left"] = left.into();
            line(&summary.to_string());
        } else if !self.out.quiet {
            let mut parts = vec![format!(
                "{} images downloaded ({})",
                HumanCount(report.downloaded),
                HumanBytes(report.downloaded_bytes)
            )];
            for (count, text) in [
                (report.already, "there already"),
                (report.without_file, "without a file (pending or rejected)"),
                (report.failed, "failed"),
                (left, "left"),
            ] {
                if count > 0 {
                    parts.push(format!("{} {text}", HumanCount(count)));
                }
            }
            let text = parts.join(", ");
            let records = if stopped { "" } else { "; the records are in records.jsonl" };
            line(&format!("{}: {text}{records}", self.folder.display()));
        }
        if report.failed > 0 { exit::SOME_FAILED } else { exit::DONE }
    }
}

/// Returns true for an error that the other images would meet too.
fn stops(error: &Error) -> bool {
    match error {
        Error::Other(_) => false,
        Error::File { source, .. } => {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        }
        _ => true,
    }
}

impl Places {
    fn open(folder: &Path, service: &str, user: &str) -> Result<Self> {
        let path = folder.join(JOURNAL);
        let wrong = |error| Error::file(path.display(), error);
        let journal = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(wrong)?;
        match journal.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("Another `tintype export` to {} is running.", folder.display());
                return Err(Error::AlreadyRunning(text));
            }
            Err(TryLockError::Error(error)) => return Err(wrong(error)),
        }
        let (mut paths, mut whole, mut account) = (HashMap::new(), 0, None);
        let mut reader = BufReader::new(journal.try_clone().map_err(wrong)?);
        let mut text = Vec::new();
        loop {
            text.clear();
            let length = reader.read_until(b'\n', &mut text).map_err(wrong)?;
            if text.last() != Some(&b'\n') {
                break;
            }
            whole += length as u64;
            match serde_json::from_slice(&text) {
                Ok(Line::Account { service, user }) => account = Some((service, user)),
                Ok(Line::Path { id, path }) => {
                    if let Ok(id) = id.parse() {
                        paths.insert(id, Place { path: path.into(), seen: false });
                    }
                }
                // The image gets a path anew.
                Err(_) => {}
            }
        }
        // A line that a crash tore.
        journal.set_len(whole).map_err(wrong)?;
        let mut places = Self {
            folder: folder.to_owned(),
            journal,
            paths: HashMap::new(),
            files: HashSet::new(),
            folders: HashSet::new(),
        };
        paths.values().for_each(|place: &Place| places.take(&place.path));
        places.paths = paths;
        match account {
            None => places.append(&Line::Account { service: service.to_owned(), user: user.to_owned() })?,
            Some((known, of)) if known != service || of != user => {
                return Err(Error::Usage(format!(
                    "{} has the export of another account, of {known}: choose another folder.",
                    folder.display()
                )));
            }
            Some(_) => {}
        }
        Ok(places)
    }

    fn append(&mut self, line: &Line) -> Result<()> {
        let text = serde_json::to_string(line).expect("lines have text keys") + "\n";
        self.journal.write_all(text.as_bytes()).map_err(|error| Error::file(JOURNAL, error))
    }

    /// Returns the path of an image, the same in each run.
    fn place(&mut self, image: &Image) -> Result<Box<str>> {
        let id: ImageId = image.id.parse().map_err(|_| Error::Other(format!("{} is no id.", image.id)))?;
        if let Some(place) = self.paths.get_mut(&id) {
            place.seen = true;
            return Ok(place.path.clone());
        }
        let of_title = path_of(image, false);
        let extension = of_title.extension().unwrap_or_default().to_owned();
        let of_id = PathBuf::from(&image.id).with_extension(extension);
        let candidates = [of_title.clone(), with_id(&of_title, &image.id), of_id];
        let path = candidates.iter().filter_map(|path| path.to_str()).find(|path| self.is_free(path, image));
        let path: Box<str> = path.ok_or_else(|| Error::Other("All paths for it are taken.".into()))?.into();
        self.append(&Line::Path { id: image.id.clone(), path: path.to_string() })?;
        self.take(&path);
        self.paths.insert(id, Place { path: path.clone(), seen: true });
        Ok(path)
    }

    fn take(&mut self, path: &str) {
        let path = path.to_lowercase();
        self.folders.extend(folders_of(&path).map(str::to_owned));
        self.files.insert(path);
    }

    /// Returns true if the path is no other image's, and no other file is there.
    fn is_free(&self, path: &str, image: &Image) -> bool {
        let known = path.to_lowercase();
        let taken = self.files.contains(&known) || self.folders.contains(&known);
        let below_a_file = folders_of(&known).any(|folder| self.files.contains(folder));
        let not_a_folder = |folder: &str| {
            let path = self.folder.join(folder);
            path.exists() && !path.is_dir()
        };
        if taken || below_a_file || folders_of(path).any(not_a_folder) {
            return false;
        }
        let path = self.folder.join(path);
        path.symlink_metadata().is_err() || is_original(&path, image)
    }

    /// Deletes the partial downloads of images that the service no longer has.
    fn drop_parts_of_deleted(&self) {
        for (id, place) in self.paths.iter().filter(|(_, place)| !place.seen) {
            fs::remove_file(part_of(&self.folder.join(&*place.path), &id.to_string())).ok();
        }
    }
}

/// The folders above a path, the outermost first.
fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(move |(at, _)| &path[..at])
}

/// Adds a part of an image's id to the name of a path.
fn with_id(path: &Path, id: &str) -> PathBuf {
    const MARK: usize = 12;
    let name = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = (name(path.file_stem()), name(path.extension()));
    let mark = &id[id.len().saturating_sub(MARK)..];
    // Names have at most 255 bytes.
    let most = 255 - extension.len() - MARK - 2;
    let stem = &stem[..stem.floor_char_boundary(most.min(stem.len()))];
    path.with_file_name(format!("{stem}~{mark}.{extension}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(number: u8, title: &str) -> Image {
        let id = ImageId {
            owner: "7d444840-9dc0-11d1-b245-5ffdce74fad2".parse().unwrap(),
            key: tintype_model::ImageKey::from_uuid(uuid::Uuid::from_u128(number.into())),
        };
        Image {
            id: id.to_string(),
            title: title.into(),
            content_type: "image/jpeg".into(),
            size: 3,
            ..Default::default()
        }
    }

    #[test]
    fn each_image_has_a_path_of_its_own_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine.jpg"), "other").unwrap();
        fs::write(folder.path().join("same.jpg"), "abc").unwrap();
        let titles_in_order =
            ["a.jpg", "A.jpg", "a", "a.jpg/b", "c/d", "c/d.jpg/e", "c.jpg", "C", "mine", "same", "../a.jpg"];
        let open = || Places::open(folder.path(), "https://images.example.org/", "u").unwrap();
        let placed = |places: &mut Places, titles: &[&str]| -> Vec<String> {
            let number = |title| titles_in_order.iter().position(|known| *known == title).unwrap();
            let image = |title| image(u8::try_from(number(title)).unwrap(), title);
            titles.iter().map(|title| places.place(&image(*title)).unwrap().into()).collect()
        };
        let first = placed(&mut open(), &titles_in_order);
        let distinct: HashSet<String> = first.iter().map(|path| path.to_lowercase()).collect();
        assert_eq!(distinct.len(), titles_in_order.len(), "{first:?}");
        assert_eq!(first[0], "a.jpg");
        assert!(first[1].starts_with("A~") && first[1].ends_with(".jpg"), "{first:?}");
        assert!(!first[3].contains('/'), "below a file: {first:?}");
        assert_eq!(first[4], "c/d.jpg");
        assert!(first[8].starts_with("mine~"), "{first:?}");
        assert!(first[9].starts_with("same~"), "the right size alone: {first:?}");
        // The order and other images do not matter later, nor does a line that a crash tore.
        let journal = folder.path().join(JOURNAL);
        OpenOptions::new().append(true).open(&journal).unwrap().write_all(b"{\"id\": \"torn").unwrap();
        let mut reversed = titles_in_order;
        reversed.reverse();
        let mut again = placed(&mut open(), &reversed);
        again.reverse();
        assert_eq!(again, first);
        assert!(fs::read_to_string(&journal).unwrap().lines().all(|line| serde_json::from_str::<Line>(line).is_ok()));
    }

    #[test]
    fn a_folder_has_one_export_of_one_account_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let open = |user| Places::open(folder.path(), "https://images.example.org/", user).map(drop);
        let running = Places::open(folder.path(), "https://images.example.org/", "u").unwrap();
        assert!(matches!(open("u"), Err(Error::AlreadyRunning(_))));
        drop(running);
        assert!(open("u").is_ok());
        assert!(matches!(open("v"), Err(Error::Usage(_))));
    }

    #[test]
    fn long_names_stay_short_enough_with_a_part_of_the_id() {
        let path = with_id(Path::new(&format!("x/{}.jpeg", "\u{e9}".repeat(125))), &"0".repeat(52));
        assert!(path.file_name().unwrap().len() <= 255, "{path:?}");
        assert!(path.to_str().unwrap().ends_with("~000000000000.jpeg"));
    }
}
