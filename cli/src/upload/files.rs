//! Finds and reads the files to upload.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use sha2::{Digest, Sha256};
use tintype_model::{ContentType, SNIFFED_BYTES, Title, other_format};
use unicode_normalization::UnicodeNormalization;
use walkdir::{DirEntry, WalkDir};

use crate::args;
use crate::error::{Error, reason};
use crate::journal::{Content, Stamp, first_16};
use crate::output::escape_control;

/// Bytes read at a time.
pub(crate) const CHUNK: usize = 128 * 1024;

/// A file changed more recently than this may change again without another stamp.
const YOUNG: Duration = Duration::from_secs(2);

/// Folders that systems and network drives make for themselves: previews, recycle bins, resource forks.
const SYSTEM_FOLDERS: [&str; 7] =
    ["@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "System Volume Information", "__MACOSX", "lost+found"];

/// Extensions of images of other types than [`ContentType`]s.
const OTHER_IMAGES: [&str; 2] = ["jxl", "jp2"];

/// Extensions of the RAW files of cameras.
const RAW_IMAGES: [&str; 12] = ["dng", "cr2", "cr3", "nef", "nrw", "arw", "orf", "rw2", "raf", "pef", "srw", "3fr"];

/// A path to search. Titles are paths below the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SearchPath {
    pub(crate) root: PathBuf,
    pub(crate) path: PathBuf,
}

impl SearchPath {
    pub(crate) fn root(root: &Path) -> Self {
        Self { root: root.to_owned(), path: root.to_owned() }
    }
}

/// Which files of a folder to upload, and what to put before their titles.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// Empty: all.
    include: Globs,
    exclude: Globs,
    prefix: String,
}

/// Patterns for paths below a root.
#[derive(Debug, Clone)]
struct Globs {
    folders: GlobSet,
    files: GlobSet,
}

impl Selection {
    pub(crate) fn new(arguments: &args::Upload) -> Result<Self, Error> {
        let globs = |patterns: &[String]| {
            Globs::new(patterns).map_err(|error| Error::Usage(format!("Invalid pattern {error}.")))
        };
        Ok(Self {
            include: globs(&arguments.include)?,
            exclude: globs(&arguments.exclude)?,
            prefix: arguments.prefix.clone().unwrap_or_default(),
        })
    }

    fn takes(&self, below: &str) -> bool {
        (self.include.files.is_empty() || self.include.files.is_match(below)) && !self.exclude.files.is_match(below)
    }
}

impl Globs {
    /// A pattern with a slash, other than at its end, is one for the whole path, any other one for a name at any depth.
    /// A pattern that matches a folder matches all files in it.
    fn new(patterns: &[String]) -> Result<Self, globset::Error> {
        let (mut folders, mut files) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let glob = |text: &str| GlobBuilder::new(text).literal_separator(true).build();
        for pattern in patterns {
            let pattern: String = pattern.nfc().collect();
            let path = pattern.trim_end_matches('/').trim_start_matches("./");
            let path = if path.contains('/') { path.trim_start_matches('/').to_owned() } else { format!("**/{path}") };
            folders.add(glob(&path)?);
            files.add(glob(&format!("{path}/**"))?);
            if !pattern.ends_with('/') {
                files.add(glob(&path)?);
            }
        }
        Ok(Self { folders: folders.build()?, files: files.build()? })
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
    /// The user named this file, not a folder that it is in.
    pub(crate) named: bool,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageFile {
    pub(crate) file: Found,
    pub(crate) kind: ContentType,
    pub(crate) content: Content,
    /// True if the stamp alone identifies the content.
    pub(crate) settled: bool,
}

/// Why a file is not uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileFailure {
    pub(crate) path: String,
    /// Stable, for programs.
    pub(crate) code: &'static str,
    pub(crate) reason: String,
    /// Not a failure: the file is not an image, or is excluded by a rule or an option.
    pub(crate) skipped: bool,
}

impl FileFailure {
    pub(crate) fn new(path: &Path, code: &'static str, reason: impl Into<String>) -> Self {
        Self { path: escape_control(&path.to_string_lossy()), code, reason: reason.into(), skipped: false }
    }

    pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::new(path, "unreadable", format!("cannot be read: {}", reason(error)))
    }

    fn skipped(path: &Path, code: &'static str, reason: &str) -> Self {
        Self { skipped: true, ..Self::new(path, code, reason) }
    }

    /// A file whose bytes are not those of an image: skipped, unless the user named it or its name says that it is one.
    fn no_image(path: &Path, named: bool, code: &'static str, reason: &str) -> Self {
        Self { skipped: !named && !has_image_extension(path), ..Self::new(path, code, reason) }
    }
}

/// A file with such a name that cannot be uploaded is a failure, also in a folder.
fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    ContentType::of_extension(extension).is_some()
        || OTHER_IMAGES.contains(&&*extension.to_ascii_lowercase())
        || is_raw(path)
}

/// The RAW files of cameras, most of which begin like TIFF.
fn is_raw(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    RAW_IMAGES.contains(&&*extension.to_ascii_lowercase())
}

/// The reason for which a file that begins so is not uploaded.
fn not_an_image(path: &Path, start: &[u8], kinds: &[ContentType]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    let Some((last, names)) = names.split_last() else { return "the service takes no images".to_owned() };
    let found = ContentType::sniff(start).map(ContentType::name).filter(|_| !is_raw(path));
    let found = found.or_else(|| is_raw(path).then_some("RAW")).or_else(|| other_format(start));
    let found = found.map(|name| format!("{name}, ")).unwrap_or_default();
    format!("{found}not an image of a type that the service takes ({} or {last})", names.join(", "))
}

/// Files and folders of such a name are left out, unless the user names them.
pub(crate) fn is_left_out(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".") || SYSTEM_FOLDERS.iter().any(|it| name == *it)
}

/// Calls `give` with every file at these places, in no order, until it returns false. A folder that is left out counts as one
/// skipped file.
pub(crate) fn walk(
    places: &[SearchPath],
    selection: &Selection,
    give: &mut dyn FnMut(Result<Found, FileFailure>) -> bool,
) {
    for SearchPath { root, path } in places {
        // Symlinks are followed; a loop is an error.
        let mut walk = WalkDir::new(path).follow_links(true).into_iter();
        while let Some(entry) = walk.next() {
            let found = match entry {
                Ok(entry) if entry.file_type().is_dir() => match left_out(root, &entry, &selection.exclude.folders) {
                    None => continue,
                    Some(skipped) => {
                        walk.skip_current_dir();
                        Err(skipped)
                    }
                },
                Ok(entry) => look(root, selection, &entry),
                Err(error) => Err(unreadable(error.path().unwrap_or(root), &error)),
            };
            if !give(found) {
                return;
            }
        }
    }
}

fn unreadable(path: &Path, error: &walkdir::Error) -> FileFailure {
    match error.io_error() {
        Some(error) => FileFailure::unreadable(path, error),
        None => FileFailure::new(path, "unreadable", "symlink loop"),
    }
}

/// The reason to skip an entry of a folder by its name alone.
fn left_out(root: &Path, entry: &DirEntry, excluded: &GlobSet) -> Option<FileFailure> {
    let (path, name) = (entry.path(), entry.file_name());
    if entry.depth() > 0 && is_left_out(name) {
        let hidden = name.as_encoded_bytes().starts_with(b".");
        return Some(if hidden {
            FileFailure::skipped(path, "hidden", "its name begins with a dot")
        } else {
            FileFailure::skipped(path, "system", "a folder of the system")
        });
    }
    (path != root && excluded.is_match(&*name_below(root, path)))
        .then(|| FileFailure::skipped(path, "excluded", "not selected"))
}

/// A file's path below the root that it was found under; of a file that is the root, its name.
fn below<'a>(root: &Path, path: &'a Path) -> &'a Path {
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    below.or_else(|| path.file_name().map(Path::new)).unwrap_or(path)
}

/// The same as text in NFC.
fn name_below(root: &Path, path: &Path) -> String {
    below(root, path).to_string_lossy().nfc().collect()
}

fn look(root: &Path, selection: &Selection, entry: &DirEntry) -> Result<Found, FileFailure> {
    let (path, named) = (entry.path(), entry.path() == root);
    if let Some(skipped) = left_out(root, entry, &GlobSet::empty()) {
        return Err(skipped);
    }
    let name = name_below(root, path);
    if !selection.takes(&name) {
        return Err(FileFailure::skipped(path, "excluded", "not selected"));
    }
    let metadata = entry.metadata().map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        return Err(FileFailure::no_image(path, named, "no_file", "not a regular file"));
    }
    let bad_name = |reason: &str| {
        let mut failure = FileFailure::no_image(path, named, "bad_name", reason);
        failure.skipped &= is_no_image(path);
        failure
    };
    if below(root, path).to_str().is_none() {
        return Err(bad_name("its name is not valid Unicode: rename it"));
    }
    let title = Title::parse(&format!("{}{name}", selection.prefix))
        .map_err(|error| bad_name(&format!("its relative path, used as the title, {error}")))?;
    Ok(Found { path: path.to_owned(), title, size: metadata.len(), stamp: stamp(&metadata), named })
}

/// True if a file can be read and does not begin as an image does.
fn is_no_image(path: &Path) -> bool {
    let mut start = [0; SNIFFED_BYTES];
    File::open(path)
        .and_then(|mut file| fill(&mut file, &mut start))
        .is_ok_and(|count| ContentType::sniff(&start[..count]).is_none())
}

/// Returns the stamp of a file.
pub(crate) fn stamp(metadata: &Metadata) -> Stamp {
    let mut hash = Sha256::new();
    for number in [metadata.dev(), metadata.ino(), metadata.size()] {
        hash.update(number.to_le_bytes());
    }
    for number in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        hash.update(number.to_le_bytes());
    }
    first_16(&hash.finalize())
}

/// What the service takes.
#[derive(Debug, Clone)]
pub(crate) struct FileLimits {
    /// The plan's limit for a file, in bytes.
    pub(crate) most: u64,
    pub(crate) kinds: Vec<ContentType>,
}

/// Reads and hashes a file.
pub(crate) fn read(found: Found, limits: &FileLimits) -> Result<ImageFile, FileFailure> {
    let (path, size) = (&found.path, found.size);
    let unreadable = |error: io::Error| FileFailure::unreadable(path, &error);
    let changed = || FileFailure::new(path, "changed", "changed while it was read: run the same command again");
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
            kind = ContentType::sniff(&buffer[..count]).filter(|kind| limits.kinds.contains(kind));
            if kind.is_none() || is_raw(path) {
                let reason = not_an_image(path, &buffer[..count], &limits.kinds);
                return Err(FileFailure::no_image(path, found.named, "not_an_image", &reason));
            }
            if size > limits.most {
                let most = indicatif::HumanBytes(limits.most);
                return Err(FileFailure::new(path, "too_large", format!("larger than your plan's limit of {most}")));
            }
        }
        hash.update(&buffer[..count]);
        length += count as u64;
    }
    if length == 0 && size == 0 {
        return Err(FileFailure::no_image(path, found.named, "empty", "empty"));
    }
    let metadata = file.metadata().map_err(unreadable)?;
    let Some(kind) = kind.filter(|_| length == size && stamp(&metadata) == found.stamp) else { return Err(changed()) };
    let settled = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    let settled = settled.is_some_and(|age| age > YOUNG);
    Ok(ImageFile { kind, content: hash.finalize().into(), settled, file: found })
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn selection(include: &[&str], exclude: &[&str], prefix: &str) -> Selection {
        let globs = |all: &[&str]| Globs::new(&all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()).unwrap();
        Selection { include: globs(include), exclude: globs(exclude), prefix: prefix.into() }
    }

    #[test]
    fn a_pattern_matches_a_name_at_any_depth_or_with_a_slash_a_path() {
        let takes = |include: &[&str], exclude: &[&str], path: &str| selection(include, exclude, "").takes(path);
        assert!(takes(&["*.jpg"], &[], "a/b/c.jpg") && !takes(&["*.jpg"], &[], "c.png"));
        assert!(takes(&["2024"], &[], "2024/c.jpg") && takes(&["2024/"], &[], "a/2024/c.jpg"));
        assert!(!takes(&["2024/"], &[], "2024"));
        assert!(takes(&["2024/*"], &[], "2024/c.jpg") && !takes(&["2024/*"], &[], "a/2024/c.jpg"));
        assert!(takes(&["/*.jpg"], &[], "c.jpg") && !takes(&["/*.jpg"], &[], "a/c.jpg"));
        assert!(!takes(&["*.jpg"], &["draft*"], "a/draft 1.jpg") && !takes(&[], &["raw"], "a/raw/b/c.jpg"));
        assert!(takes(&["cafe\u{301}*"], &[], "caf\u{e9}.jpg"));
        assert!(Globs::new(&["[".into()]).is_err());
    }

    fn found(roots: &[PathBuf]) -> Vec<Result<Found, FileFailure>> {
        let mut all = Vec::new();
        let places: Vec<SearchPath> = roots.iter().map(|root| SearchPath::root(root)).collect();
        walk(&places, &selection(&[], &[], ""), &mut |one| {
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
        fs::write(at(b"two\nlines.txt"), b"text").unwrap();
        fs::write(at(b".hidden.jpg"), b"x").unwrap();
        fs::create_dir_all(at(b"@eaDir/good.jpg")).unwrap();
        fs::write(at(b"@eaDir/good.jpg/SYNOPHOTO_THUMB_XL.jpg"), b"x").unwrap();
        let (good, bad): (Vec<_>, Vec<_>) = found(&[folder.path().to_owned()]).into_iter().partition(Result::is_ok);
        assert_eq!(good.len(), 1);
        let mut codes: Vec<_> = bad.into_iter().map(Result::unwrap_err).map(|one| (one.skipped, one.code)).collect();
        codes.sort_unstable();
        let failed = ["bad_name", "bad_name", "unreadable", "unreadable"].map(|code| (false, code));
        assert_eq!(codes, [&failed[..], &[(true, "bad_name"), (true, "hidden"), (true, "system")]].concat());
    }

    #[test]
    fn a_file_is_what_its_bytes_say() {
        let folder = tempfile::tempdir().unwrap();
        let read_of = |bytes: &[u8]| {
            let path = folder.path().join("file.jpg");
            fs::write(&path, bytes).unwrap();
            let found = found(std::slice::from_ref(&path)).remove(0).unwrap();
            let limits = FileLimits {
                most: 1000,
                kinds: vec![ContentType::Png, ContentType::WebP, ContentType::Gif, ContentType::Jpeg],
            };
            read(found, &limits).map(|item| (item.kind, item.content)).map_err(|failure| failure.code)
        };
        let png = b"\x89PNG\r\n\x1a\nrest";
        assert_eq!(read_of(png), Ok((ContentType::Png, Sha256::digest(png).into())));
        assert_eq!(read_of(b"RIFF????WEBPVP8 ").map(|read| read.0), Ok(ContentType::WebP));
        assert_eq!(read_of(b"GIF89a...").map(|read| read.0), Ok(ContentType::Gif));
        assert_eq!(read_of(b"%PDF-1.7"), Err("not_an_image"));
        // Switched off.
        assert_eq!(read_of(b"II*\0"), Err("not_an_image"));
        assert_eq!(read_of(b""), Err("empty"));
        assert_eq!(read_of(&[&[0xff, 0xd8][..], &[0xff; 999]].concat()), Err("too_large"));
        assert_eq!(read_of(&[7; 1001]), Err("not_an_image"));
    }
}
