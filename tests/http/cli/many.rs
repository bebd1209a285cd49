//! Uploads of many files.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use futures_util::future::join_all;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::gate::Gate;
use super::tool::{EXTENSIONS, Tool, name, photo, write};
use crate::harness::{Body, on_stack, parts};

pub(super) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes `count` photographs with names in several scripts and both forms of Unicode. Returns their hashes by title.
fn tree(root: &Path, count: u32) -> HashMap<String, String> {
    // Decomposed on the disk, composed as titles.
    let folders = [
        ("2024/Zu\u{308}rich", "2024/Z\u{fc}rich"),
        ("2024/\u{65e5}\u{672c}/\u{6771}\u{4eac}", "2024/\u{65e5}\u{672c}/\u{6771}\u{4eac}"),
        (
            "\u{41c}\u{43e}\u{441}\u{43a}\u{432}\u{430} \u{1f4f7}",
            "\u{41c}\u{43e}\u{441}\u{43a}\u{432}\u{430} \u{1f4f7}",
        ),
        ("plain", "plain"),
    ];
    let mut titles = HashMap::new();
    for number in 0..count {
        let (on_disk, title) = folders[number as usize / 7 % folders.len()];
        let bytes = photo(number);
        write(&root.join(on_disk).join(format!("cafe\u{301} {}", name(number))), &bytes);
        titles.insert(format!("{title}/caf\u{e9} {}", name(number)), sha256(&bytes));
    }
    assert_eq!(titles.values().collect::<HashSet<_>>().len(), count as usize, "each is different");
    titles
}

/// Twenty that are no images, each with a word about it in the report.
fn broken(root: &Path) -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    let mut put = |name: &str, bytes: &[u8], code| {
        write(&root.join("broken").join(name), bytes);
        all.push((name.to_owned(), code));
    };
    for (number, start) in ["hello", "%PDF-1.7", "8BPS", "BM", "<svg/>"].into_iter().enumerate() {
        put(&format!("text {number}.jpg"), start.as_bytes(), "not_an_image");
    }
    for number in 0..3 {
        put(&format!("empty {number}.png"), b"", "empty");
    }
    for number in 0..4 {
        let bytes = photo(10_000 + number);
        put(&format!("torn {number}.{}", EXTENSIONS[number as usize]), &bytes[..bytes.len() / 2], "rejected");
    }
    for number in 0..2 {
        // A beginning that could be one's, and nothing after it: more than any plan takes.
        put(&format!("large {number}.jpg"), &[0xff, 0xd8, 0xff, number], "too_large");
        let path = root.join(format!("broken/large {number}.jpg"));
        fs::OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(60 << 20)).expect("a sparse file");
    }
    put("two\nlines.jpg", &photo(20_000), "bad_name");
    let long = format!("{}.jpg", "long ".repeat(49));
    write(&root.join(format!("broken/{}", "deep ".repeat(10).trim())).join(&long), &photo(20_001));
    all.push((long, "bad_name"));
    let raw = std::ffi::OsStr::from_bytes(b"not unicode \xff.jpg");
    write(&root.join("broken").join(raw), &photo(20_002));
    all.push(("not unicode \u{fffd}.jpg".into(), "bad_name"));
    for number in 0..2 {
        let name = format!("dangling {number}.jpg");
        std::os::unix::fs::symlink("nowhere", root.join("broken").join(&name)).expect("a link");
        all.push((name, "unreadable"));
    }
    let taken = photo(30_000);
    write(&root.join("broken/taken.png"), &taken);
    all.push(("taken.png".into(), "title_taken"));
    assert_eq!(all.len(), 20);
    all
}

#[test]
#[ignore = "keeps the builder busy, so that others would wait: runs when they are done"]
fn upload_of_300_files_survives_three_interruptions() {
    upload_survives_interruptions(300, [40, 120, 210]);
}

/// Uploads `count` files and some broken ones; the command is ended when the journal notes each of the numbers of uploads.
pub(super) fn upload_survives_interruptions(count: u32, at: [usize; 3]) {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let gate = Gate::open().await;
        let tool = Tool::of(&user).await.through(&gate);
        let root = tempfile::tempdir().expect("a temporary folder");
        let titles = tree(root.path(), count);
        let broken = broken(root.path());
        user.pending("broken/taken.png").await;
        let upload = || {
            let arguments = [Path::new("upload"), root.path(), Path::new("--json"), Path::new("--private")];
            tool.start(arguments)
        };

        for (uploads, (how, status)) in at.into_iter().zip([("INT", Some(130)), ("KILL", None), ("KILL", None)]) {
            let running = upload();
            tool.has_noted(uploads, "uploaded").await;
            running.signal(how);
            let ran = running.ends().await;
            assert_eq!(ran.status, status, "{}", ran.err);
        }
        let finished: HashSet<String> = tool.noted("uploaded").into_iter().collect();
        assert!(finished.len() < titles.len(), "there is nothing left to do");
        let before = gate.puts().len();
        let ran = upload().ends().await.assert_status(4);
        let summary = ran.summary();
        assert_eq!((summary.number("failed"), summary.number("unsettled")), (20, 0), "{summary}");

        // Each of the broken is reported, by its path or title, with why.
        let failed: Vec<Value> = ran.json().into_iter().filter(|line| line["event"] == "failed").collect();
        for (name, code) in &broken {
            let name = name.replace('\n', "\u{fffd}");
            let told = failed.iter().any(|line| line.str("path").ends_with(&name) && line["code"] == *code);
            assert!(told, "{name} {code} is not among {failed:#?}");
        }

        // Finished uploads are not sent again, and no file is accepted twice.
        let puts = gate.puts();
        for put in &puts[before..] {
            let id = finished.iter().find(|id| put.path.contains(&parts(id).1.to_string()));
            assert!(id.is_none(), "{id:?} was uploaded before");
        }
        let mut taken: HashMap<&str, usize> = HashMap::new();
        for put in puts.iter().filter(|put| put.status == Some(200)) {
            *taken.entry(&put.path).or_default() += 1;
        }
        assert!(taken.values().all(|count| *count == 1));

        // Exactly these are there, private, with these bytes.
        let there = user.pages("/api/images?limit=100").await;
        let ready: Vec<&Value> = there.iter().filter(|image| image["status"] == "ready").collect();
        assert_eq!(ready.len(), titles.len());
        let listed: HashMap<&str, &str> = ready.iter().map(|image| (image.str("title"), image.str("sha256"))).collect();
        assert_eq!(listed.len(), titles.len());
        assert!(listed.iter().all(|(title, hash)| titles.get(*title).is_some_and(|it| it == hash)));
        assert!(there.iter().all(|image| image["visibility"] == "private" || image["title"] == "broken/taken.png"));
        let others = there.iter().filter(|image| image["status"] != "ready").map(|image| image.str("status"));
        let mut others: Vec<&str> = others.collect();
        others.sort_unstable();
        assert_eq!(others, ["pending", "rejected", "rejected", "rejected", "rejected"]);
        for images in ready.chunks(32) {
            join_all(images.iter().map(async |image| {
                let answer = stack.call(http::Method::GET, image.str("image_url")).await.assert_status(200);
                assert_eq!(sha256(&answer.body), image.str("sha256"), "{}", image["title"]);
            }))
            .await;
        }

        // Once more there is nothing to do but to say what failed.
        let before = gate.puts().len();
        let summary = upload().ends().await.assert_status(4).summary();
        assert_eq!((summary.number("already"), summary.number("uploaded")), (u64::from(count), 0), "{summary}");
        assert_eq!(gate.puts().len(), before);
    });
}
