//! `get`: originals, each into a `.part` file that takes its place when it is whole and right.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::api::{self, Image};
use crate::args;
use crate::client::{Client, causes};
use crate::error::{Error, Result, exit};
use crate::images::{find, missing};
use crate::journal::hex;
use crate::output::{Output, line, plain};
use crate::retry::{Backoff, retry_after};

/// How long a download that does not move is tried again.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long nothing may come before a connection is given up.
const STALLED: Duration = Duration::from_secs(30);

pub(crate) async fn run(client: &Client, out: Output, arguments: &args::Get) -> Result<u8> {
    let single = arguments.images.len() == 1;
    if arguments.output.as_deref().is_some_and(|path| path == Path::new("-")) {
        if !single {
            return Err(Error::Usage("Only one image goes to standard output.".into()));
        }
        let image = find(client, &arguments.images[0]).await?;
        let mut stdout = io::stdout();
        fetch(client, image, &mut stdout, 0, &ProgressBar::hidden()).await?;
        return Ok(exit::DONE);
    }
    let into = arguments.output.as_deref().filter(|path| path.is_dir());
    if !single && into.is_none() && arguments.output.is_some() {
        return Err(Error::Usage("Several images go into a folder: --output must be one.".into()));
    }
    let mut failed = 0;
    for name in &arguments.images {
        match one(client, out, arguments, into, name).await {
            Ok(()) => {}
            // It concerns this one alone.
            Err(error @ (Error::Other(_) | Error::File { .. })) if !single => {
                failed += 1;
                if out.json {
                    line(&json!({"image": name, "error": error.to_string()}).to_string());
                }
                eprintln!("tintype: {}: {error}", plain(name));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(if failed == 0 { exit::DONE } else { exit::SOME_FAILED })
}

async fn one(client: &Client, out: Output, arguments: &args::Get, into: Option<&Path>, name: &str) -> Result<()> {
    let image = find(client, name).await?;
    let target = match (into, &arguments.output) {
        (Some(folder), _) => folder.join(file_name(&image)),
        (None, Some(path)) => path.clone(),
        (None, None) => PathBuf::from(file_name(&image)),
    };
    if target.exists() && !arguments.force {
        if is_right(&target, &image) {
            give(out, &image, &target, "is there already");
            return Ok(());
        }
        return Err(Error::Other(format!("{} is there, with other content: --force replaces it.", target.display())));
    }
    let part = part_of(&target, &image);
    let bar = if out.quiet || out.json { ProgressBar::hidden() } else { ProgressBar::new(image.size) };
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {msg}")
            .expect("a template known to be right")
            .progress_chars("=> "),
    );
    bar.set_message(plain(&image.title));
    let wrong = |error| Error::file(part.display(), error);
    let open = || OpenOptions::new().append(true).create(true).open(&part);
    let mut file = open().map_err(wrong)?;
    let mut have = file.metadata().map_err(wrong)?.len();
    if have > image.size {
        file.set_len(0).map_err(wrong)?;
        have = 0;
    }
    let resumed = have > 0;
    fetch(client, image.clone(), &mut file, have, &bar).await?;
    file.sync_all().map_err(wrong)?;
    if !is_right(&part, &image) {
        // Of an earlier try, perhaps: once more, from the beginning.
        file.set_len(0).map_err(wrong)?;
        if resumed {
            fetch(client, image.clone(), &mut file, 0, &bar).await?;
            file.sync_all().map_err(wrong)?;
        }
        if !is_right(&part, &image) {
            fs::remove_file(&part).ok();
            return Err(Error::Other(format!(
                "What came for {} is not what was uploaded: try again.",
                plain(&image.title)
            )));
        }
    }
    bar.finish_and_clear();
    fs::rename(&part, &target).map_err(|error| Error::file(target.display(), error))?;
    give(out, &image, &target, "downloaded");
    Ok(())
}

fn give(out: Output, image: &Image, target: &Path, what: &str) {
    let path = target.to_string_lossy();
    out.give(&json!({"image": image.id, "title": image.title, "path": path, "size": image.size}), || {
        if out.quiet { String::new() } else { format!("{}  {what} ({})", target.display(), HumanBytes(image.size)) }
    });
}

/// The last part of its title, fit for a file, with its type's extension where it has none of them.
fn file_name(image: &Image) -> String {
    let last = image.title.rsplit('/').next().unwrap_or_default();
    let name = plain(last).replace('\u{fffd}', "_");
    let name = name.trim_start_matches('.');
    let name = if name.is_empty() { &image.id } else { name };
    let known = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif"];
    let extension = Path::new(name).extension().and_then(|it| it.to_str()).unwrap_or_default().to_lowercase();
    if known.contains(&extension.as_str()) {
        return name.to_owned();
    }
    let kind = tintype_model::ContentType::parse(&image.content_type).map_or("bin", |kind| kind.extension());
    format!("{name}.{kind}")
}

/// Names the image too, so that a download never goes on with another's beginning.
fn part_of(target: &Path, image: &Image) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    // The random end of the id.
    let end: String = image.id.chars().rev().take(8).collect();
    name.push(format!(".{end}.part"));
    target.with_file_name(name)
}

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

/// Writes an original from its byte `have` on, over as many connections as it takes.
async fn fetch(client: &Client, mut image: Image, to: &mut impl Write, mut have: u64, bar: &ProgressBar) -> Result<()> {
    let mut backoff = Backoff::new(PATIENCE);
    let mut renewed = 0;
    while have < image.size {
        bar.set_position(have);
        let url = url_of(&image)?;
        let before = have;
        let (asked, why) = match piece(client, url, to, &mut have, bar).await? {
            Piece::End => continue,
            Piece::Stale if renewed < 3 => {
                renewed += 1;
                let id = image.id.clone();
                image = client.ask(api::GET_IMAGE).at(&id).send().await.map_err(|error| missing(error, &id))?;
                continue;
            }
            Piece::Stale => return Err(Error::Other("The service gives no URL that works: try again later.".into())),
            Piece::Broken(asked, why) => (asked, why),
        };
        if have > before {
            (backoff, renewed) = (Backoff::new(PATIENCE), 0);
        }
        let wait = backoff.next(asked);
        let wait = wait
            .ok_or_else(|| Error::Unreachable(format!("The download was cut off: {why}. The same command goes on.")))?;
        tokio::time::sleep(wait).await;
    }
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

enum Piece {
    /// The connection ended in order.
    End,
    Stale,
    Broken(Option<Duration>, String),
}

/// What one connection gives.
async fn piece(client: &Client, url: &str, to: &mut impl Write, have: &mut u64, bar: &ProgressBar) -> Result<Piece> {
    let mut request = client.http.get(url);
    if *have > 0 {
        request = request.header("range", format!("bytes={have}-"));
    }
    let sent = tokio::time::timeout(STALLED, request.send()).await;
    let mut answer = match sent {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Ok(Piece::Broken(None, causes(&error))),
        Err(_) => return Ok(Piece::Broken(None, "no answer came".into())),
    };
    let mut skip = match answer.status() {
        StatusCode::PARTIAL_CONTENT => 0,
        // It gives everything from the beginning.
        StatusCode::OK => *have,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => return Ok(Piece::Stale),
        status => return Ok(Piece::Broken(retry_after(answer.headers()), status.to_string())),
    };
    loop {
        let bytes = match tokio::time::timeout(STALLED, answer.chunk()).await {
            Ok(Ok(Some(bytes))) => bytes,
            Ok(Ok(None)) => return Ok(Piece::End),
            Ok(Err(error)) => return Ok(Piece::Broken(None, causes(&error))),
            Err(_) => return Ok(Piece::Broken(None, "the connection stands still".into())),
        };
        let passed = skip.min(bytes.len() as u64);
        skip -= passed;
        let rest = &bytes[usize::try_from(passed).unwrap_or(bytes.len())..];
        to.write_all(rest).map_err(|error| Error::file("the file", error))?;
        *have += rest.len() as u64;
        bar.set_position(*have);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(title: &str) -> String {
        file_name(&Image {
            id: "id".into(),
            title: title.into(),
            content_type: "image/jpeg".into(),
            ..Default::default()
        })
    }

    #[test]
    fn a_title_becomes_a_name_that_stays_in_its_folder() {
        assert_eq!(named("2024/Caf\u{e9}.JPG"), "Caf\u{e9}.JPG");
        assert_eq!(named("Harbour at dawn"), "Harbour at dawn.jpg");
        assert_eq!(named("../.."), "id.jpg");
        assert_eq!(named("a/.bashrc"), "bashrc.jpg");
        assert_eq!(named("v1.2"), "v1.2.jpg");
    }
}
