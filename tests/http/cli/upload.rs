//! What `upload` takes for what.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::gate::{Do, Gate};
use super::tool::{Running, Tool, name, photo, photos, write};
use crate::fixtures::Picture;
use crate::harness::{Body, on_stack};

#[test]
fn a_dry_run_lists_uploads_and_changes_nothing() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(3);
        write(&folder.path().join("notes.txt"), b"no image");
        let ran = tool.run([Path::new("upload"), folder.path(), Path::new("--dry-run")]).await.assert_status(0);
        let ran = ran.says("1.webp").says("3 would be uploaded").says("1 skipped");
        assert!(!ran.out.contains("notes.txt"));
        assert!(user.pages("/api/images").await.is_empty());
        // It needs no login.
        let nobody = Tool::new(&stack.url);
        let ran = nobody
            .run([Path::new("upload"), folder.path(), Path::new("--dry-run"), Path::new("--json")])
            .await
            .assert_status(0);
        assert_eq!(ran.summary()["would_upload"], 3);
    });
}

#[test]
fn non_image_is_skipped_in_folder_and_fails_if_named() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(1);
        let at = |name: &str| folder.path().join(name);
        write(&at("2024/video.mp4"), &[7; 3000]);
        write(&at("2024/0.xmp"), b"<x:xmpmeta/>");
        write(&at("2024/empty.txt"), b"");
        write(&at("2024/Thumbs.db"), &[0xd0, 0xcf, 0x11, 0xe0]);
        write(&at("2024/.DS_Store"), b"Bud1");
        write(&at("2024/@eaDir/0.png/SYNOPHOTO_THUMB_M.jpg"), &photo(3));
        write(&at(".git/HEAD.png"), &photo(4));
        // Larger than any plan takes.
        write(&at("2024/film.mov"), b"");
        fs::OpenOptions::new()
            .write(true)
            .open(at("2024/film.mov"))
            .and_then(|it| it.set_len(60 << 20))
            .expect("sparse");
        let upload = [Path::new("upload"), folder.path()];
        let ran = tool.run([&upload[..], &[Path::new("--json")]].concat()).await.assert_status(0);
        let summary = ran.summary();
        assert_eq!(
            (summary.number("uploaded"), summary.number("skipped"), summary.number("failed")),
            (1, 8, 0),
            "{summary}"
        );
        let mut skipped: Vec<(String, String)> = ran
            .json()
            .into_iter()
            .filter(|line| line["event"] == "skipped")
            .map(|line| (line.str("path").replace(folder.path().to_str().expect("text"), ""), line.str("code").into()))
            .collect();
        skipped.sort();
        let expected = [
            ("/.git", "hidden"),
            ("/2024/.DS_Store", "hidden"),
            ("/2024/0.xmp", "not_an_image"),
            ("/2024/@eaDir", "system"),
            ("/2024/Thumbs.db", "not_an_image"),
            ("/2024/empty.txt", "empty"),
            ("/2024/film.mov", "not_an_image"),
            ("/2024/video.mp4", "not_an_image"),
        ];
        assert_eq!(skipped, expected.map(|(path, code)| (path.to_owned(), code.to_owned())));
        tool.run(upload).await.assert_status(0).says("1 there already, 8 skipped");

        // Files with the extension of an image, and files given as arguments, fail.
        write(&at("2024/photo.jp2"), b"\0\0\0\x0cjP  \r\n\x87\n");
        tool.run(upload)
            .await
            .assert_status(4)
            .says("photo.jp2: JPEG 2000, not an image of a type that the service takes");
        for name in ["2024/0.xmp", "2024/video.mp4", "2024/Thumbs.db", "2024/.DS_Store", "2024/film.mov"] {
            tool.run([Path::new("upload"), &at(name)]).await.assert_status(4).says("not an image");
        }
        tool.run([Path::new("upload"), &at("2024/empty.txt")]).await.assert_status(4).says("empty.txt: empty");
        assert_eq!(user.pages("/api/images").await.len(), 1);
        // A hidden file and a folder of the system that are named are uploaded.
        tool.run([Path::new("upload"), &at("2024/@eaDir"), &at(".git/HEAD.png")])
            .await
            .assert_status(0)
            .says("2 uploaded");
    });
}

#[test]
fn files_are_chosen_by_patterns_and_titles_take_a_prefix() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (number, name) in ["a.png", "raw/b.png", "2024/c.png", "2024/raw/d.png", "2024/e.gif"].iter().enumerate() {
            write(&folder.path().join(name), &photo(number as u32 * 4));
        }
        let path = folder.path().to_str().expect("it is text");
        let titles = async |arguments: &[&str]| {
            let ran = tool.run([&["upload", path, "--dry-run", "--json"], arguments].concat()).await.assert_status(0);
            let chosen = ran.json().into_iter().filter(|line| line["event"] == "would_upload");
            let mut titles: Vec<String> = chosen.map(|line| line.str("title").to_owned()).collect();
            titles.sort();
            titles
        };
        assert_eq!(titles(&["--exclude", "raw"]).await, ["2024/c.png", "2024/e.gif", "a.png"]);
        assert_eq!(titles(&["--include", "*.{gif,jpg}"]).await, ["2024/e.gif"]);
        assert_eq!(titles(&["--include", "2024/*", "--exclude", "*.gif"]).await, ["2024/c.png", "2024/raw/d.png"]);
        assert_eq!(
            titles(&["--include", "a.png", "--include", "e.*", "--prefix", "x "]).await,
            ["x 2024/e.gif", "x a.png"]
        );
        tool.run(["upload", path, "--include", "{"]).await.assert_status(2).says("--include");
        tool.run(["upload", path, "--prefix", ""]).await.assert_status(2).says("--prefix").says("must not be empty");
        tool.run(["list", "--prefix", ""]).await.assert_status(2).says("--prefix").says("must not be empty");

        let ran = tool.run(["upload", path, "--prefix", "scans/", "--exclude", "/raw/", "--exclude", "2024/raw"]).await;
        ran.assert_status(0).says("3 uploaded").says("2 skipped");
        let mut titles: Vec<String> =
            user.pages("/api/images").await.iter().map(|image| image.str("title").to_owned()).collect();
        titles.sort();
        assert_eq!(titles, ["scans/2024/c.png", "scans/2024/e.gif", "scans/a.png"]);
    });
}

#[test]
fn a_rejected_file_is_named_by_its_path() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(1);
        let torn = folder.path().join("2024/torn.png");
        write(&torn, &photo(8)[..100]);
        let torn = torn.to_str().expect("it is text");
        let upload = [Path::new("upload"), folder.path(), Path::new("--prefix"), Path::new("x/")];
        let ran = tool.run([&upload[..], &[Path::new("--json")]].concat()).await.assert_status(4);
        let event = |name: &str| ran.json().into_iter().find(|line| line["event"] == name).expect("the event is there");
        assert_eq!((event("failed").str("path"), event("failed").str("code")), (torn, "rejected"));
        assert_eq!(event("ready").str("path"), folder.path().join("0.png").to_str().expect("it is text"));
        // As it does when it is met again, and as people see it.
        for more in [&[][..], &[Path::new("--recheck")]] {
            tool.run([&upload[..], more].concat())
                .await
                .assert_status(4)
                .says(&format!("{torn}: the service rejected it"));
        }
    });
}

#[test]
fn same_content_is_uploaded_once_without_copies() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(2);
        let upload = async |more: &[&str]| {
            let path = folder.path().to_str().expect("it is text");
            tool.run([&["upload", path, "--json"], more].concat()).await.assert_status(0).summary()
        };
        assert_eq!(upload(&[]).await["uploaded"], 2);
        fs::copy(folder.path().join(name(0)), folder.path().join("copy.png")).expect("a copy");
        fs::rename(folder.path().join(name(1)), folder.path().join("moved.webp")).expect("another name");
        let summary = upload(&[]).await;
        assert_eq!((summary.number("uploaded"), summary.number("copies")), (0, 2), "{summary}");
        let summary = upload(&["--copies"]).await;
        assert_eq!((summary.number("uploaded"), summary.number("already")), (2, 1), "{summary}");
        let mut titles: Vec<String> =
            user.pages("/api/images").await.iter().map(|image| image.str("title").to_owned()).collect();
        titles.sort();
        assert_eq!(titles, ["0.png", "1.webp", "copy.png", "moved.webp"]);
    });
}

#[test]
fn deleted_images_are_uploaded_again() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(3);
        let upload = async |more: &[&str]| {
            let path = folder.path().to_str().expect("it is text");
            tool.run([&["upload", path, "--json"], more].concat()).await.assert_status(0).summary()
        };
        upload(&[]).await;
        tool.run(["rm", "0.png"]).await.assert_status(0);
        let summary = upload(&[]).await;
        assert_eq!((summary.number("uploaded"), summary.number("already")), (1, 2), "{summary}");
        // By something else than this client.
        let images = user.pages("/api/images").await;
        let image = images.iter().find(|image| image["title"] == "1.webp").expect("it is there");
        user.delete(format!("/api/images/{}", image.str("id"))).await.assert_status(204);
        assert_eq!(upload(&[]).await["already"], 3);
        let summary = upload(&["--recheck"]).await;
        assert_eq!((summary.number("uploaded"), summary.number("already")), (1, 2), "{summary}");
    });
}

#[test]
fn a_title_is_taken_only_by_another_content() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let folder = photos(3);
        let upload = async |tool: &Tool| tool.run([Path::new("upload"), folder.path(), Path::new("--json")]).await;
        let first = Tool::of(&user).await;
        upload(&first).await.assert_status(0);
        // Another machine, whose journal knows nothing.
        let second = Tool::of(&user).await;
        write(&folder.path().join(name(1)), &photo(101));
        let ran = upload(&second).await.assert_status(4);
        let summary = ran.summary();
        assert_eq!((summary.number("already"), summary.number("failed")), (2, 1), "{summary}");
        let failed = ran.json().into_iter().find(|line| line["event"] == "failed").expect("one failed");
        assert_eq!(failed["code"], "title_taken", "{failed}");
        assert!(failed.str("path").ends_with("1.webp"));
        assert_eq!(user.pages("/api/images").await.len(), 3);
    });
}

#[test]
fn a_file_that_changed_before_it_was_uploaded_takes_its_own_title() {
    on_stack(async |stack| {
        let user = stack.user().await;
        // Nothing gets to the bucket.
        let gate = Gate::with(|seen| match seen.method.as_str() {
            "PUT" => Do::Answer(400, Vec::new(), "<Error><Code>InvalidRequest</Code></Error>".into()),
            _ => Do::Pass,
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(1);
        let path = [Path::new("upload"), folder.path()];
        tool.run(path).await.assert_status(4).says("InvalidRequest");
        assert_eq!(user.pages("/api/images?status=pending").await.len(), 1);
        write(&folder.path().join(name(0)), &photo(104));
        let open = Gate::open().await;
        let tool = tool.through(&open);
        tool.run(path).await.assert_status(0);
        let images = user.pages("/api/images").await;
        assert_eq!(images.len(), 1);
        assert_eq!((images[0].str("status"), images[0].number("size")), ("ready", photo(104).len() as u64));
    });
}

#[test]
fn files_are_public_unless_they_are_to_be_private() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let (open, hidden) = (photos(1), photos(4));
        tool.run([Path::new("upload"), open.path()]).await.assert_status(0);
        fs::remove_file(hidden.path().join(name(0))).expect("it is there");
        tool.run([Path::new("upload"), hidden.path(), Path::new("--private")]).await.assert_status(0);
        assert_eq!(user.pages("/api/images?visibility=public").await.len(), 1);
        assert_eq!(user.pages("/api/images?visibility=private").await.len(), 3);
    });
}

#[test]
fn what_an_earlier_run_registered_as_public_is_private_before_it_is_sent() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let open = Arc::new(AtomicBool::new(false));
        let opened = Arc::clone(&open);
        let gate = Gate::with(move |seen| match seen.method.as_str() {
            "PUT" if !opened.load(Ordering::SeqCst) => {
                Do::Answer(400, Vec::new(), "<Error><Code>InvalidRequest</Code></Error>".into())
            }
            _ => Do::Pass,
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(1);
        let upload = [Path::new("upload"), folder.path()];
        tool.run(upload).await.assert_status(4);
        assert_eq!(user.pages("/api/images?visibility=public").await.len(), 1);
        open.store(true, Ordering::SeqCst);
        let private = [&upload[..], &[Path::new("--private")]].concat();
        let ran = tool.run(&private).await.assert_status(0).says("1 uploaded");
        assert!(!ran.err.contains("stay as visible"), "{}", ran.err);
        assert!(user.pages("/api/images?visibility=public").await.is_empty());
        let image = user.pages("/api/images").await.remove(0);
        assert_eq!((image.str("visibility"), image.str("status")), ("private", "ready"));
        let seen = gate.seen();
        let place = |method: &str| seen.iter().rposition(|seen| seen.method == method).expect("it was asked for");
        assert!(place("PATCH") < place("PUT"), "{seen:?}");

        // On a machine whose journal does not know it, too. What was uploaded stays as it is, and the user is told.
        write(&folder.path().join(name(1)), &photo(1));
        open.store(false, Ordering::SeqCst);
        tool.run(upload).await.assert_status(4);
        open.store(true, Ordering::SeqCst);
        let elsewhere = Tool::of(&user).await;
        elsewhere
            .run(&private)
            .await
            .assert_status(0)
            .says("1 uploaded")
            .says("1 there already")
            .says("stay as visible");
        assert!(user.pages("/api/images?visibility=public").await.is_empty());
    });
}

#[test]
fn a_deleted_image_is_uploaded_again_though_the_answer_was_lost_or_nobody_read_it() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut lost = false;
        let gate = Gate::with(move |seen| match seen.path.as_str() {
            "/api/images/delete" if !std::mem::replace(&mut lost, true) => Do::LoseAnswer,
            _ => Do::Pass,
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(2);
        let upload = async || {
            let upload = [Path::new("upload"), folder.path(), Path::new("--json")];
            tool.run(upload).await.assert_status(0).summary()
        };
        assert_eq!(upload().await["uploaded"], 2);
        // The second try finds nothing to delete.
        tool.run(["rm", "0.png"]).await.assert_status(4).says("you have no such image");
        let summary = upload().await;
        assert_eq!((summary.number("uploaded"), summary.number("already")), (1, 1), "{summary}");

        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = tool.command(["rm", "0.png", "1.webp"]);
        command.stdout(writer);
        Running::of(command).ends().await.assert_status(0);
        assert_eq!(upload().await["uploaded"], 2);
    });
}

#[test]
fn an_upload_goes_on_when_its_output_cannot_be_written() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(6);
        write(&folder.path().join("6.png"), b"no image");
        let closed = || {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            writer
        };
        let mut command = tool.command([Path::new("upload"), folder.path(), Path::new("--json")]);
        command.stdout(closed()).stderr(closed());
        Running::of(command).ends().await.assert_status(4);
        assert_eq!(user.pages("/api/images?status=ready").await.len(), 6);
        // A list has nothing else to do, and ends.
        let mut command = tool.command(["list", "--all"]);
        command.stdout(closed()).stderr(closed());
        Running::of(command).ends().await.assert_status(0);
        stack.set_plan(&user.id, Some("Premium")).await;
        let into = tempfile::tempdir().expect("a temporary folder");
        let mut command = tool.command(["get", "none.png", "0.png", "--output"]);
        command.arg(into.path()).stderr(closed());
        Running::of(command).ends().await.assert_status(4);
        assert!(into.path().join("0.png").exists());
    });
}

#[test]
fn a_folder_whose_own_name_is_no_text_is_uploaded() {
    on_stack(async |stack| {
        let tool = Tool::of(&stack.user().await).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join(OsStr::from_bytes(b"Fotos \xe4"));
        write(&root.join(name(0)), &photo(0));
        write(&root.join(OsStr::from_bytes(b"\xe4.png")), &photo(4));
        tool.run([Path::new("upload"), &root]).await.assert_status(4).says("1 uploaded").says("not valid Unicode");
    });
}

#[test]
fn a_large_file_is_streamed_and_arrives_whole() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut bytes = Picture::jpeg(640, 480).bytes;
        // Bytes after the end of an image are not part of it.
        bytes.resize(50 << 20, 7);
        write(&folder.path().join("large.jpg"), &bytes);
        let file = folder.path().join("large.jpg");
        let ran = tool.run([Path::new("upload"), &file]).await.assert_status(0);
        ran.says("1 uploaded (50.00 MiB");
        let out = folder.path().join("again.jpg");
        tool.run([Path::new("get"), Path::new("large.jpg"), Path::new("--output"), &out]).await.assert_status(0);
        assert!(fs::read(out).expect("it is there") == bytes);
    });
}

#[test]
fn one_upload_runs_at_a_time_and_says_so() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let gate =
            Gate::with(|seen| if seen.method == "PUT" { super::gate::Do::Hang } else { super::gate::Do::Pass }).await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(1);
        let path = [Path::new("upload"), folder.path()];
        let first = tool.start(path);
        gate.hangs().await;
        let ran = tool.run([&path[..], &[Path::new("--json")]].concat()).await.assert_status(7).says("is running");
        assert_eq!(ran.json()[0]["error"]["code"], "already_running");
        first.signal("TERM");
        first.ends().await.assert_status(130).says("Run the same command again to resume");
    });
}

#[test]
fn uploads_without_a_plan_or_over_its_limit_report_why() {
    on_stack(async |stack| {
        let folder = photos(2);
        let user = stack.user_without_plan().await;
        let tool = Tool::of(&user).await;
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(1).says("no plan");
        let admin = stack.admin().await;
        let plan = format!("Tiny-{}", &crate::harness::unique()[..8]);
        let body = json!({"name": plan, "thumbnail_heights": [200], "original_link": false, "expiring_links": false,
            "max_image_bytes": 300, "max_images": 0});
        admin.post("/api/plans", body).await.assert_json(201);
        let user = stack.user_on(&plan).await;
        let tool = Tool::of(&user).await;
        let small = tempfile::tempdir().expect("a temporary folder");
        write(&small.path().join("small.png"), &photo(0)[..200]);
        tool.run([Path::new("upload"), small.path()]).await.assert_status(4).says("your plan allows no more images");
        tool.run([Path::new("upload"), folder.path()])
            .await
            .assert_status(4)
            .says("larger than your plan's limit of 300 B");
    });
}
