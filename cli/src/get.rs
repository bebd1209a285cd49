//! `get`: downloads each original to a `.part` file, which is renamed when its checksum is right.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use sha2::{Digest, Sha256};
use tintype_model::ContentType;

use crate::api::{self, Image};
use crate::args;
use crate::client::{Client, causes};
use crate::error::{Error, Result, exit};
use crate::images::{find, missing};
use crate::journal::{first_16, hex};
use crate::output::{Output, complain, escape_control, line};
use crate::retry::{Backoff, retry_after};

/// For how long a download without progress is retried.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection without data for this long is closed.
const STALLED: Duration = Duration::from_secs(30);

/// Bytes of the longest file name on common file systems.
const LONGEST_NAME: usize = 255;

/// The destination of originals.
#[derive(Debug)]
enum Target {
    Stdout,
    File(PathBuf),
    Folder { root: PathBuf, flat: bool },
}

pub(crate) async fn run(client: &Client, out: Output, arguments: &args::Get) -> Result<u8> {
    let single = arguments.images.len() == 1;
    let target = target(arguments, single)?;
    let mut failed = 0;
    for name in &arguments.images {
        match one(client, out, arguments.force, &target, name).await {
            Ok(()) => {}
            // The other images are not affected.
            Err(error @ (Error::Other(_) | Error::File { .. } | Error::Usage(_))) if !single => {
                failed += 1;
                if out.json {
                    line(&json!({"image": name, "error": error.to_string()}).to_string());
                }
                complain(&format!("tintype: {}: {error}", escape_control(name)));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(if failed == 0 { exit::DONE } else { exit::SOME_FAILED })
}

fn target(arguments: &args::Get, single: bool) -> Result<Target> {
    let folder = |root: &Path| Target::Folder { root: root.to_owned(), flat: arguments.flat };
    let Some(path) = &arguments.output else { return Ok(folder(Path::new("."))) };
    if path == Path::new("-") {
        return if single {
            Ok(Target::Stdout)
        } else {
            Err(Error::Usage("Only one image goes to standard output.".into()))
        };
    }
    let meant = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if meant || !single {
        if path.exists() && !path.is_dir() {
            return Err(Error::Usage(format!("--output {} is a file, not a folder.", path.display())));
        }
        return Ok(folder(path));
    }
    Ok(Target::File(path.clone()))
}

async fn one(client: &Client, out: Output, force: bool, target: &Target, name: &str) -> Result<()> {
    let image = find(client, name).await?;
    let (root, path) = match target {
        Target::Stdout => {
            return match fetch(client, image, &mut io::stdout(), 0, &mut |_| {}, &renewed(client)).await {
                // The reader has enough.
                Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                result => result.map_err(|error| error.in_file("standard output")),
            };
        }
        Target::File(path) => (path.parent(), path.clone()),
        Target::Folder { root, flat } => (Some(root.as_path()), root.join(path_of(&image, *flat))),
    };
    if path.is_dir() {
        return Err(Error::Other(format!("{} is a folder.", path.display())));
    }
    if path.symlink_metadata().is_ok() && !force {
        if is_original(&path, &image) {
            print_download(out, &image, &path, "there already");
            return Ok(());
        }
        let why = match image.sha256 {
            Some(_) => "exists with different content",
            None => "exists, and the original has no checksum to compare it with",
        };
        return Err(Error::Other(format!("{} {why}: --force replaces it.", path.display())));
    }
    // Checked before folders are created.
    url_of(&image)?;
    let root = root.filter(|root| !root.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut made = Vec::new();
    let part = part_of(&path, &image.id);
    let result = match make_folders(root, path.parent().unwrap_or(root), &mut made) {
        Ok(()) => {
            let bar = bar(client, out, &image);
            let moved = &mut |have| bar.set_position(have);
            let result = download(client, &image, &part, &path, moved, &renewed(client)).await;
            bar.finish_and_clear();
            result
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => print_download(out, &image, &path, "downloaded"),
        Err(error) => {
            drop_part(&part, &error);
            // Fails for folders that are not empty.
            made.iter().rev().for_each(|folder| drop(fs::remove_dir(folder)));
            return Err(error);
        }
    }
    Ok(())
}

/// Returns the bar of a download.
fn bar(client: &Client, out: Output, image: &Image) -> ProgressBar {
    if out.quiet || out.json {
        return ProgressBar::hidden();
    }
    let bars = MultiProgress::new();
    let bar = bars.add(ProgressBar::new(image.size));
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {msg}")
            .expect("a template known to be right")
            .progress_chars("=> "),
    );
    bar.set_message(escape_control(&image.title));
    client.waiting.print_above(&bars);
    bar
}

/// Reads an image again, for a new URL.
fn renewed(client: &Client) -> impl AsyncFn(&Image) -> Result<Image> {
    async |image| {
        let id = &image.id;
        client.request(api::GET_IMAGE).path_param(id).send().await.map_err(|error| missing(error, id))
    }
}

/// Deletes a partial download that failed, unless the next run can resume it.
pub(crate) fn drop_part(part: &Path, error: &Error) {
    let resumable = matches!(error, Error::Unreachable(_));
    if !resumable || part.metadata().is_ok_and(|part| part.len() == 0) {
        fs::remove_file(part).ok();
    }
}

/// Creates a root and a folder below it, unless the folder leads out of the root. Adds what it created to `made`.
pub(crate) fn make_folders(root: &Path, folder: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
    let mut make = |path: &Path| match fs::create_dir(path) {
        Ok(()) => {
            made.push(path.to_owned());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::file(path.display(), error)),
    };
    let missing: Vec<&Path> =
        root.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    missing.into_iter().rev().try_for_each(&mut make)?;
    let real = |path: &Path| path.canonicalize().map_err(|error| Error::file(path.display(), error));
    let real_root = real(root)?;
    let mut path = root.to_owned();
    for part in folder.strip_prefix(root).unwrap_or(Path::new("")) {
        path.push(part);
        make(&path)?;
        if !path.is_dir() {
            return Err(Error::Other(format!("{} is a file, not a folder.", path.display())));
        }
        if !real(&path)?.starts_with(&real_root) {
            return Err(Error::Other(format!("{} leads out of {}.", path.display(), root.display())));
        }
    }
    Ok(())
}

/// Downloads an original to `part`, continuing where `part` ends, and renames it to `path`. Calls `moved` with the number of
/// bytes that are there. `renew` gives the image a new URL.
pub(crate) async fn download(
    client: &Client,
    image: &Image,
    part: &Path,
    path: &Path,
    moved: &mut impl FnMut(u64),
    renew: &impl AsyncFn(&Image) -> Result<Image>,
) -> Result<()> {
    let wrong = |error| Error::file(part.display(), error);
    let mut file = OpenOptions::new().append(true).create(true).open(part).map_err(wrong)?;
    let mut have = file.metadata().map_err(wrong)?.len();
    if have > image.size {
        file.set_len(0).map_err(wrong)?;
        have = 0;
    }
    let resumed = have > 0;
    let in_part = |error: Error| error.in_file(part.display());
    fetch(client, image.clone(), &mut file, have, moved, renew).await.map_err(in_part)?;
    file.sync_all().map_err(wrong)?;
    if !is_right(part, image) {
        // The bytes of an earlier run may be wrong: download it again from the beginning.
        file.set_len(0).map_err(wrong)?;
        if resumed {
            fetch(client, image.clone(), &mut file, 0, moved, renew).await.map_err(in_part)?;
            file.sync_all().map_err(wrong)?;
        }
        if !is_right(part, image) {
            let title = escape_control(&image.title);
            return Err(Error::Other(format!("The download of {title} does not match its checksum: try again.")));
        }
    }
    fs::rename(part, path).map_err(|error| Error::file(path.display(), error))
}

fn print_download(out: Output, image: &Image, target: &Path, what: &str) {
    let path = target.to_string_lossy();
    out.print_result(&json!({"image": image.id, "title": image.title, "path": path, "size": image.size}), || {
        if out.quiet { String::new() } else { format!("{}  {what} ({})", target.display(), HumanBytes(image.size)) }
    });
}

/// Makes a relative path of an image's title, or with `flat` of the last part of the title. No part of the path leads out of
/// its folder. Adds the extension of the image's type unless the title ends with that of an image.
pub(crate) fn path_of(image: &Image, flat: bool) -> PathBuf {
    let (folders, last) = image.title.rsplit_once('/').unwrap_or(("", &image.title));
    let folders = if flat { "" } else { folders };
    let mut path: PathBuf = folders
        .split('/')
        .map(name_of)
        .filter(|folder| !folder.is_empty())
        .map(|folder| shortened(&folder, "", image))
        .collect();
    let name = name_of(last);
    let name = if name.is_empty() { image.id.clone() } else { name };
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if ContentType::of_extension(extension).is_some() => (stem, extension),
        _ => {
            let kind = ContentType::parse(&image.content_type).map_or("bin", |kind| kind.extension());
            (name.as_str(), kind)
        }
    };
    path.push(shortened(stem, &format!(".{extension}"), image));
    path
}

/// Makes a file name of a part of a title: removes control characters, and dots at the beginning, which would hide the file or
/// lead out of its folder.
fn name_of(part: &str) -> String {
    let part = escape_control(part).replace('\u{fffd}', "_");
    part.trim_start_matches(|letter: char| letter == '.' || letter.is_whitespace()).trim_end().to_owned()
}

/// Joins a name and its extension. Shortens a name that is too long for a file system, and adds a part of the image's id.
fn shortened(name: &str, end: &str, image: &Image) -> String {
    if name.len() + end.len() <= LONGEST_NAME {
        return format!("{name}{end}");
    }
    let id: String = image.id.chars().rev().take(8).collect();
    let cut = name.floor_char_boundary(LONGEST_NAME - end.len() - id.len() - 1);
    format!("{}~{id}{end}", &name[..cut])
}

/// Returns the path of the partial download, beside the target. The name is a hash of target and image, so that no download
/// continues another one. `upload` skips files of this name.
pub(crate) fn part_of(target: &Path, id: &str) -> PathBuf {
    let mut hash = Sha256::new_with_prefix(id);
    hash.update(target.file_name().unwrap_or_default().as_encoded_bytes());
    target.with_file_name(format!(".tintype-{}.part", hex(&first_16(&hash.finalize()))))
}

/// Returns true if any file at this path is the image's original: it has its hash, which must have been declared.
pub(crate) fn is_original(path: &Path, image: &Image) -> bool {
    image.sha256.is_some() && is_right(path, image)
}

/// Returns true if a download has the image's size and, if declared, its hash.
fn is_right(path: &Path, image: &Image) -> bool {
    let check = || -> io::Result<bool> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() != image.size {
            return Ok(false);
        }
        let Some(sha256) = &image.sha256 else { return Ok(true) };
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 128 * 1024]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hex(&hash.finalize()) == *sha256),
                count => hash.update(&buffer[..count]),
            }
        }
    };
    check().unwrap_or(false)
}

/// Downloads an original from byte `have` on, with retries.
async fn fetch(
    client: &Client,
    mut image: Image,
    to: &mut impl Write,
    mut have: u64,
    moved: &mut impl FnMut(u64),
    renew: &impl AsyncFn(&Image) -> Result<Image>,
) -> Result<()> {
    let mut backoff = Backoff::new(PATIENCE);
    let mut renewed = 0;
    while have < image.size {
        moved(have);
        let url = url_of(&image)?;
        let before = have;
        let (asked, why) = match piece(client, url, to, &mut have, moved).await? {
            ChunkEnd::End => continue,
            ChunkEnd::Stale if renewed < 3 => {
                renewed += 1;
                image = renew(&image).await?;
                continue;
            }
            ChunkEnd::Stale => return Err(Error::Other("Could not get a valid download URL: try again later.".into())),
            ChunkEnd::Broken(asked, why) => (asked, why),
        };
        if have > before {
            (backoff, renewed) = (Backoff::new(PATIENCE), 0);
        }
        let wait = backoff.next(asked).ok_or_else(|| {
            Error::Unreachable(format!("The download was cut off: {why} Run the same command again to resume."))
        })?;
        client.waiting.retrying(&why, &backoff, asked);
        tokio::time::sleep(wait).await;
    }
    client.waiting.over();
    to.flush().map_err(|error| Error::file("the file", error))
}

fn url_of(image: &Image) -> Result<&str> {
    match (image.status.as_str(), &image.image_url) {
        ("ready", Some(url)) => Ok(url),
        ("ready", None) => Err(Error::Other(
            "Its owner's plan does not include originals, only thumbnails, which `tintype show` lists.".into(),
        )),
        ("rejected", _) => Err(Error::Other("It was rejected, and its file is gone.".into())),
        (status, _) => Err(Error::Other(format!("It is not ready yet but {status}: try again in a moment."))),
    }
}

enum ChunkEnd {
    /// The response is complete.
    End,
    Stale,
    /// The bucket may ask for a wait. Why, as a sentence.
    Broken(Option<Duration>, String),
}

/// Downloads over one connection.
async fn piece(
    client: &Client,
    url: &str,
    to: &mut impl Write,
    have: &mut u64,
    moved: &mut impl FnMut(u64),
) -> Result<ChunkEnd> {
    let mut request = client.http.get(url);
    if *have > 0 {
        request = request.header("range", format!("bytes={have}-"));
    }
    let sent = tokio::time::timeout(STALLED, request.send()).await;
    let mut answer = match sent {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            return Ok(ChunkEnd::Broken(None, client.unreachable("The bucket of originals", url, &error)));
        }
        Err(_) => return Ok(ChunkEnd::Broken(None, "The bucket of originals does not answer.".into())),
    };
    let mut skip = match answer.status() {
        StatusCode::PARTIAL_CONTENT => 0,
        // The response begins with the first byte.
        StatusCode::OK => *have,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => return Ok(ChunkEnd::Stale),
        status => {
            let why = format!("The bucket of originals answered {status}.");
            return Ok(ChunkEnd::Broken(retry_after(answer.headers()), why));
        }
    };
    loop {
        let bytes = match tokio::time::timeout(STALLED, answer.chunk()).await {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) => return Ok(ChunkEnd::End),
            Ok(Err(error)) => return Ok(ChunkEnd::Broken(None, format!("The connection broke: {}.", causes(&error)))),
            Err(_) => return Ok(ChunkEnd::Broken(None, "The connection stalled.".into())),
        };
        let passed = skip.min(bytes.len() as u64);
        skip -= passed;
        let rest = &bytes[usize::try_from(passed).unwrap_or(bytes.len())..];
        to.write_all(rest).map_err(|error| Error::file("the file", error))?;
        *have += rest.len() as u64;
        moved(*have);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(title: &str) -> Image {
        Image { id: "0123456789".into(), title: title.into(), content_type: "image/jpeg".into(), ..Default::default() }
    }

    fn named(title: &str) -> String {
        path_of(&image(title), false).to_str().unwrap().to_owned()
    }

    #[test]
    fn a_title_becomes_a_path_below_its_folder() {
        assert_eq!(named("2024/Caf\u{e9}.JPG"), "2024/Caf\u{e9}.JPG");
        assert_eq!(path_of(&image("2024/Caf\u{e9}.JPG"), true), Path::new("Caf\u{e9}.JPG"));
        assert_eq!(named("Harbour at dawn"), "Harbour at dawn.jpg");
        assert_eq!(named("../../.."), "0123456789.jpg");
        assert_eq!(named("/etc//../passwd/./.a"), "etc/passwd/a.jpg");
        assert_eq!(named("a/.bashrc"), "a/bashrc.jpg");
        assert_eq!(named("v1.2"), "v1.2.jpg");
        assert_eq!(named(".../ ../.jpg"), "jpg.jpg");
    }

    #[test]
    fn names_are_short_enough_for_a_file_system() {
        assert_eq!(named(&format!("{}.jpg", "x".repeat(251))), format!("{}.jpg", "x".repeat(251)));
        for title in ["x".repeat(256), "\u{1f5bc}".repeat(256), format!("{}.jpg", "\u{e9}".repeat(150))] {
            for title in [title.clone(), format!("{title}/{title}")] {
                for part in Path::new(&named(&title)) {
                    assert!(part.len() <= 255 && part.to_str().unwrap().contains("~98765432"), "{part:?}");
                }
            }
            let part = part_of(Path::new(&named(&title)), "0123456789");
            assert!(part.file_name().unwrap().len() < 64);
        }
    }
}
