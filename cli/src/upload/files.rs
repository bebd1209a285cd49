//! Files on the disk: which there are, what they are called, and what is in them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tintype_model::{ContentType, Title};
use walkdir::WalkDir;

use crate::journal::{Content, Stamp, half};
use crate::output::plain;

/// Bytes read at a time.
pub(crate) const CHUNK: usize = 128 * 1024;

/// A file changed more recently than this may change again without a difference that one sees from outside.
const YOUNG: Duration = Duration::from_secs(2);

/// Where to look: a root, which titles are paths below, and what to look at of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) path: PathBuf,
}

impl Place {
    pub(crate) fn root(root: &Path) -> Self {
        Self { root: root.to_owned(), path: root.to_owned() }
    }
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) title: Title,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) stamp: Stamp,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) file: Found,
    pub(crate) kind: ContentType,
    pub(crate) content: Content,
    /// Whether it may be recognised by its stamp alone.
    pub(crate) settled: bool,
}

/// Why a file is not uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) path: String,
    /// A stable word for programs.
    pub(crate) code: &'static str,
    pub(crate) reason: String,
}

impl Failure {
    pub(crate) fn new(path: &Path, code: &'static str, reason: impl Into<String>) -> Self {
        Self { path: plain(&path.to_string_lossy()), code, reason: reason.into() }
    }

    fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::new(path, "unreadable", format!("it cannot be read: {error}"))
    }
}

/// Gives every file at these places as it is met, in no order, until `give` has had enough. Nothing is kept.
pub(crate) fn walk(places: &[Place], give: &mut dyn FnMut(Result<Found, Failure>) -> bool) {
    for Place { root, path } in places {
        // Links are followed, but not in circles.
        let walk = WalkDir::new(path).follow_links(true).into_iter();
        let shown =
            |entry: &walkdir::DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
        for entry in walk.filter_entry(shown) {
            let found = match entry {
                Ok(entry) if entry.file_type().is_dir() => continue,
                Ok(entry) => look(root, &entry),
                Err(error) => {
                    let path = error.path().unwrap_or(root).to_owned();
                    let reason = match error.io_error() {
                        Some(error) => format!("it cannot be read: {error}"),
                        None => "it leads back to a folder above it".to_owned(),
                    };
                    Err(Failure::new(&path, "unreadable", reason))
                }
            };
            if !give(found) {
                return;
            }
        }
    }
}

fn look(root: &Path, entry: &walkdir::DirEntry) -> Result<Found, Failure> {
    let path = entry.path();
    let metadata = match entry.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return Err(Failure::new(path, "unreadable", format!("it cannot be read: {error}"))),
    };
    if !metadata.is_file() {
        return Err(Failure::new(path, "no_file", "it is no ordinary file"));
    }
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    let below = below.or_else(|| path.file_name().map(Path::new)).unwrap_or(path);
    let Some(name) = below.to_str() else {
        return Err(Failure::new(path, "bad_name", "its name is not in Unicode: rename it"));
    };
    let title = Title::parse(name).map_err(|error| {
        Failure::new(path, "bad_name", format!("its path below the folder, which is its title, {error}"))
    })?;
    Ok(Found { path: path.to_owned(), title, size: metadata.len(), stamp: stamp(&metadata) })
}

/// What a file looks like from outside.
pub(crate) fn stamp(metadata: &Metadata) -> Stamp {
    let mut hash = Sha256::new();
    for number in [metadata.dev(), metadata.ino(), metadata.size()] {
        hash.update(number.to_le_bytes());
    }
    for number in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        hash.update(number.to_le_bytes());
    }
    half(&hash.finalize())
}

/// Reads a file once, from beginning to end, in pieces. `most`: bytes that the user's plan takes.
pub(crate) fn read(found: Found, most: u64) -> Result<Item, Failure> {
    let (path, size) = (&found.path, found.size);
    if size == 0 {
        return Err(Failure::new(path, "empty", "it is empty"));
    }
    if size > most {
        let most = indicatif::HumanBytes(most);
        return Err(Failure::new(path, "too_large", format!("it is larger than the {most} that your plan takes")));
    }
    let unreadable = |error: io::Error| Failure::unreadable(path, &error);
    let changed = || Failure::new(path, "changed", "it changed while it was read: run the same command again");
    let mut file = File::open(path).map_err(unreadable)?;
    let mut buffer = vec![0; CHUNK.min(usize::try_from(size).unwrap_or(CHUNK))];
    let mut hash = Sha256::new();
    let (mut length, mut kind) = (0_u64, None);
    loop {
        let count = fill(&mut file, &mut buffer).map_err(unreadable)?;
        if count == 0 {
            break;
        }
        if length == 0 {
            kind = sniff(&buffer[..count]);
            if kind.is_none() {
                let reason = "it is not an image that the service takes: JPEG, PNG, WebP or GIF";
                return Err(Failure::new(path, "not_an_image", reason));
            }
        }
        hash.update(&buffer[..count]);
        length += count as u64;
    }
    let metadata = file.metadata().map_err(unreadable)?;
    let Some(kind) = kind.filter(|_| length == size && stamp(&metadata) == found.stamp) else { return Err(changed()) };
    let settled = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    let settled = settled.is_some_and(|age| age > YOUNG);
    Ok(Item { kind, content: hash.finalize().into(), settled, file: found })
}

fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What a file begins with says what it is, whatever its name. The service looks further.
fn sniff(start: &[u8]) -> Option<ContentType> {
    if start.starts_with(&[0xff, 0xd8, 0xff]) {
        Some(ContentType::Jpeg)
    } else if start.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(ContentType::Png)
    } else if start.starts_with(b"GIF87a") || start.starts_with(b"GIF89a") {
        Some(ContentType::Gif)
    } else if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP") {
        Some(ContentType::WebP)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn found(roots: &[PathBuf]) -> Vec<Result<Found, Failure>> {
        let mut all = Vec::new();
        let places: Vec<Place> = roots.iter().map(|root| Place::root(root)).collect();
        walk(&places, &mut |one| {
            all.push(one);
            true
        });
        all
    }

    #[test]
    fn titles_are_paths_below_the_folder_in_nfc() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("Cafe\u{301}/Ω");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("1.jpg"), b"x").unwrap();
        fs::write(folder.path().join(".hidden.jpg"), b"x").unwrap();
        let file = deep.join("1.jpg");
        let titles: Vec<String> =
            found(&[folder.path().to_owned(), file]).into_iter().map(|one| one.unwrap().title.to_string()).collect();
        assert_eq!(titles, ["Caf\u{e9}/Ω/1.jpg", "1.jpg"]);
    }

    #[test]
    fn what_is_no_file_and_has_no_title_is_named_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &[u8]| folder.path().join(std::ffi::OsStr::from_bytes(name));
        fs::write(at(b"good.jpg"), b"x").unwrap();
        fs::write(at(b"bad \xff.jpg"), b"x").unwrap();
        fs::write(at(b"two\nlines.jpg"), b"x").unwrap();
        std::os::unix::fs::symlink("nowhere", at(b"dangling.jpg")).unwrap();
        std::os::unix::fs::symlink(folder.path(), at(b"circle")).unwrap();
        let (good, bad): (Vec<_>, Vec<_>) = found(&[folder.path().to_owned()]).into_iter().partition(Result::is_ok);
        assert_eq!(good.len(), 1);
        let mut codes: Vec<&str> = bad.into_iter().map(|one| one.unwrap_err().code).collect();
        codes.sort_unstable();
        assert_eq!(codes, ["bad_name", "bad_name", "unreadable", "unreadable"]);
    }

    #[test]
    fn a_file_is_what_its_bytes_say() {
        let folder = tempfile::tempdir().unwrap();
        let read_of = |bytes: &[u8]| {
            let path = folder.path().join("file.jpg");
            fs::write(&path, bytes).unwrap();
            let found = found(std::slice::from_ref(&path)).remove(0).unwrap();
            read(found, 1000).map(|item| (item.kind, item.content)).map_err(|failure| failure.code)
        };
        let png = b"\x89PNG\r\n\x1a\nrest";
        assert_eq!(read_of(png), Ok((ContentType::Png, Sha256::digest(png).into())));
        assert_eq!(read_of(b"RIFF????WEBPVP8 ").map(|read| read.0), Ok(ContentType::WebP));
        assert_eq!(read_of(b"GIF89a...").map(|read| read.0), Ok(ContentType::Gif));
        assert_eq!(read_of(b"%PDF-1.7"), Err("not_an_image"));
        assert_eq!(read_of(b""), Err("empty"));
        assert_eq!(read_of(&[0xff; 1001]), Err("too_large"));
    }
}
