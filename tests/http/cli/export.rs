//! `export`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::gate::{Do, Gate, Seen};
use super::tool::{Tool, name, photo, photos};
use crate::fixtures::Picture;
use crate::harness::{Body, User, on_stack, parts};

/// A folder to export to.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("export")
    }

    fn arguments(&self) -> [PathBuf; 2] {
        ["export".into(), self.path()]
    }

    /// The lines of its records of one kind.
    fn records(&self, kind: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path().join("records.jsonl")).expect("the records are there");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
        lines.filter(|line| line.get(kind).is_some()).collect()
    }

    /// The title of each image with a file, and the file's bytes.
    fn originals(&self) -> BTreeMap<String, Vec<u8>> {
        let records = self.records("image");
        let with_file = records.iter().filter(|record| record["file"].is_string());
        let read = |file: &str| fs::read(self.path().join(file)).expect("the file is there");
        with_file.map(|record| (record["image"].str("title").to_owned(), read(record.str("file")))).collect()
    }

    /// The names of the hidden files that downloads leave.
    fn parts(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let names = entries.map(|name| name.into_string().expect("it is text"));
        names.filter(|name| name.ends_with(".part")).collect()
    }
}

/// Uploads that many photographs and returns their bytes by title.
async fn uploaded(tool: &Tool, count: u32) -> BTreeMap<String, Vec<u8>> {
    let folder = photos(count);
    tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
    (0..count).map(|number| (name(number), photo(number))).collect()
}

fn is_of_bucket(seen: &Seen) -> bool {
    seen.method == "GET" && !seen.path.starts_with("/api/")
}

/// The downloads of originals that succeeded.
fn downloads(gate: &Gate) -> Vec<Seen> {
    gate.seen().into_iter().filter(|seen| is_of_bucket(seen) && seen.status.is_some()).collect()
}

/// The UUID by which an image's blobs are named.
async fn blob_of(user: &User, title: &str) -> String {
    let images = user.pages("/api/images").await;
    let image = images.iter().find(|image| image["title"] == title).expect("it is there");
    parts(image.str("id")).1.to_string()
}

#[test]
fn all_originals_and_records_are_exported_whatever_the_plan() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let gate = Gate::open().await;
        let tool = Tool::of(&user).await.through(&gate);
        let (small, large) = (Picture::small(), Picture::png(50, 40));
        let harbour = user.publish("Harbour", small).await;
        user.hide("harbour", &large).await;
        user.hide("2024/Pier.png", &large).await;
        user.hide("../../outside.png", &Picture::png(60, 40)).await;
        user.pending("Quay").await;
        let link = user.link(&harbour, serde_json::json!({"description": "for Ada"})).await;
        stack.set_plan(&user.id, Some("Basic")).await;

        let folder = Folder::new();
        let ran = tool.run(folder.arguments()).await.assert_status(0);
        ran.says("4 images downloaded").says("1 without a file").says("records.jsonl");
        let expected: BTreeMap<String, Vec<u8>> = [
            ("Harbour", small.bytes.clone()),
            ("harbour", large.bytes.clone()),
            ("2024/Pier.png", large.bytes.clone()),
            ("../../outside.png", Picture::png(60, 40).bytes),
        ]
        .map(|(title, bytes)| (title.to_owned(), bytes))
        .into();
        assert_eq!(folder.originals(), expected);
        let files: BTreeSet<String> =
            folder.records("image").iter().filter_map(|record| Some(record["file"].as_str()?.to_lowercase())).collect();
        assert_eq!(files.len(), 4, "on systems that tell no upper case too: {files:?}");
        assert!(files.contains("2024/pier.png") && files.contains("outside.png"), "{files:?}");
        assert_eq!(folder.records("account")[0]["account"], user.get("/api/me").await.assert_json(200));
        assert_eq!(folder.records("link")[0]["link"], link);
        let images = folder.records("image");
        assert_eq!(images.len(), 5);
        assert!(images.iter().all(|record| record["image"]["image_url"].is_null()), "no URL that expires: {images:?}");

        // Again: nothing is downloaded twice, and what is new comes.
        let before = downloads(&gate).len();
        tool.run(folder.arguments()).await.assert_status(0).says("0 images downloaded").says("4 there already");
        assert_eq!(downloads(&gate).len(), before);
        user.hide("HARBOUR", small).await;
        let [export, into] = folder.arguments();
        let again = [export.clone(), into.clone(), "--json".into()];
        let summary = tool.run(again).await.assert_status(0).summary();
        assert_eq!((summary.number("downloaded"), summary.number("already")), (1, 4), "{summary}");
        assert_eq!(folder.originals().len(), 5);
        assert_eq!(folder.parts(), [""; 0]);

        // A file that somebody changed is kept.
        let file = folder
            .records("image")
            .iter()
            .find_map(|record| Some(record["file"].as_str()?.to_owned()))
            .expect("a file");
        fs::write(folder.path().join(&file), "mine").expect("it can be written");
        tool.run(folder.arguments()).await.assert_status(4).says("was changed").says("1 failed");
        assert_eq!(fs::read(folder.path().join(&file)).expect("it is there"), b"mine");

        // Another account's folder.
        let other = Tool::of(&stack.user().await).await;
        other.run(folder.arguments()).await.assert_status(2).says("another account");
    });
}

#[test]
fn an_export_that_is_killed_or_interrupted_goes_on_where_it_was() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let originals = uploaded(&Tool::of(&user).await, 12).await;
        for (signal, status) in [("KILL", None), ("INT", Some(130))] {
            let (mut count, hangs) = (0, Arc::new(AtomicBool::new(true)));
            let hanging = Arc::clone(&hangs);
            let gate = Gate::with(move |seen| {
                count += usize::from(is_of_bucket(seen));
                if is_of_bucket(seen) && count > 5 && hanging.load(Ordering::SeqCst) { Do::Hang } else { Do::Pass }
            })
            .await;
            let tool = Tool::of(&user).await.through(&gate);
            let folder = Folder::new();
            let running = tool.start(folder.arguments());
            gate.hangs().await;
            running.signal(signal);
            let ran = running.ends().await;
            assert_eq!(ran.status, status, "{ran:?}");
            if status.is_some() {
                ran.says("Run the same command again to resume");
            }
            assert!(!folder.path().join("records.jsonl").exists());

            hangs.store(false, Ordering::SeqCst);
            let there: Vec<&String> = originals.keys().filter(|name| folder.path().join(name).exists()).collect();
            let before = gate.seen().len();
            tool.run(folder.arguments()).await.assert_status(0).says(&format!("{} images", 12 - there.len()));
            assert_eq!(folder.originals(), originals);
            assert_eq!(folder.parts(), [""; 0]);
            for name in there {
                let blob = blob_of(&user, name).await;
                let again = gate.seen()[before..].iter().any(|seen| is_of_bucket(seen) && seen.path.contains(&blob));
                assert!(!again, "{name} was there");
            }
        }
    });
}

#[test]
fn a_download_that_breaks_is_resumed_and_an_expired_url_replaced() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let originals = uploaded(&Tool::of(&user).await, 4).await;
        let (broken, expired) = (blob_of(&user, "0.png").await, blob_of(&user, "1.webp").await);
        let (mut cut, mut refused) = (false, 0);
        let of_broken = broken.clone();
        let gate = Gate::with(move |seen| {
            if is_of_bucket(seen) && seen.path.contains(&of_broken) && !std::mem::replace(&mut cut, true) {
                return Do::Cut(100);
            }
            if is_of_bucket(seen) && seen.path.contains(&expired) && refused < 2 {
                refused += 1;
                return Do::Answer(403, Vec::new(), "<Error><Code>AccessDenied</Code></Error>".into());
            }
            Do::Pass
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = Folder::new();
        tool.run(folder.arguments()).await.assert_status(0).says("4 images downloaded");
        assert_eq!(folder.originals(), originals);
        assert_eq!(gate.asked("/api/me/export").iter().filter(|seen| seen.method == "GET").count(), 1 + 2);
        let ranges: Vec<_> =
            downloads(&gate).into_iter().filter(|seen| seen.path.contains(&broken)).map(|seen| seen.range).collect();
        assert_eq!(ranges, [None, Some("bytes=100-".to_owned())]);
    });
}

#[test]
fn an_original_that_cannot_be_had_holds_up_no_other() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut originals = uploaded(&Tool::of(&user).await, 6).await;
        let lost = blob_of(&user, "2.gif").await;
        let gate = Gate::with(move |seen| match is_of_bucket(seen) && seen.path.contains(&lost) {
            true => Do::Answer(404, Vec::new(), "<Error><Code>NoSuchKey</Code></Error>".into()),
            false => Do::Pass,
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = Folder::new();
        let ran = tool.run(folder.arguments()).await.assert_status(4);
        ran.says("2.gif: Could not get a valid download URL").says("5 images downloaded").says("1 failed");
        originals.remove("2.gif");
        assert_eq!(folder.originals(), originals);
        let records = folder.records("error");
        assert_eq!((records.len(), records[0]["image"].str("title")), (1, "2.gif"));

        // A service that refuses the account in the middle ends it.
        let gate = Gate::with(|seen| match seen.path.as_str() {
            "/api/me/export" => Do::Answer(403, Vec::new(), "no".into()),
            _ => Do::Pass,
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        tool.run(folder.arguments()).await.assert_status(1);
    });
}

#[test]
fn a_folder_takes_one_export_at_a_time() {
    on_stack(async |stack| {
        let user = stack.user().await;
        uploaded(&Tool::of(&user).await, 1).await;
        let gate = Gate::with(|seen| if is_of_bucket(seen) { Do::Hang } else { Do::Pass }).await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = Folder::new();
        let running = tool.start(folder.arguments());
        gate.hangs().await;
        Tool::of(&user).await.run(folder.arguments()).await.assert_status(7).says("Another `tintype export`");
        running.signal("INT");
        running.ends().await.assert_status(130).says("1 left");
    });
}
