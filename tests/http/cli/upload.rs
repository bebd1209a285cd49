//! What `upload` takes for what.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::gate::Gate;
use super::tool::{Tool, name, photo, photos, write};
use crate::fixtures::Picture;
use crate::harness::{Body, on_stack};

#[test]
fn a_dry_run_says_what_would_be_uploaded_and_does_nothing() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(3);
        write(&folder.path().join("notes.txt"), b"no image");
        let ran = tool.run([Path::new("upload"), folder.path(), Path::new("--dry-run")]).await.is(4);
        let ran = ran.says("1.webp").says("3 would be uploaded").says("notes.txt: it is not an image");
        assert!(!ran.out.contains("notes.txt"));
        assert!(user.pages("/api/images").await.is_empty());
        // It needs no login.
        let nobody = Tool::new(&stack.url);
        let ran =
            nobody.run([Path::new("upload"), folder.path(), Path::new("--dry-run"), Path::new("--json")]).await.is(4);
        assert_eq!(ran.summary()["would_upload"], 3);
    });
}

#[test]
fn a_content_that_is_there_is_not_uploaded_again_under_another_title_unless_asked() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(2);
        let upload = async |more: &[&str]| {
            let path = folder.path().to_str().expect("it is text");
            tool.run([&["upload", path, "--json"], more].concat()).await.is(0).summary()
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
fn what_was_deleted_is_uploaded_again() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(3);
        let upload = async |more: &[&str]| {
            let path = folder.path().to_str().expect("it is text");
            tool.run([&["upload", path, "--json"], more].concat()).await.is(0).summary()
        };
        upload(&[]).await;
        tool.run(["rm", "0.png"]).await.is(0);
        let summary = upload(&[]).await;
        assert_eq!((summary.number("uploaded"), summary.number("already")), (1, 2), "{summary}");
        // By something else than this client.
        let images = user.pages("/api/images").await;
        let image = images.iter().find(|image| image["title"] == "1.webp").expect("it is there");
        user.delete(format!("/api/images/{}", image.str("id"))).await.is(204);
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
        upload(&first).await.is(0);
        // Another machine, whose journal knows nothing.
        let second = Tool::of(&user).await;
        write(&folder.path().join(name(1)), &photo(101));
        let ran = upload(&second).await.is(4);
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
            "PUT" => super::gate::Do::Answer(400, Vec::new(), "<Error><Code>InvalidRequest</Code></Error>".into()),
            _ => super::gate::Do::Pass,
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(1);
        let path = [Path::new("upload"), folder.path()];
        tool.run(path).await.is(4).says("InvalidRequest");
        assert_eq!(user.pages("/api/images?status=pending").await.len(), 1);
        write(&folder.path().join(name(0)), &photo(104));
        let open = Gate::open().await;
        let tool = tool.through(&open);
        tool.run(path).await.is(0);
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
        tool.run([Path::new("upload"), open.path()]).await.is(0);
        fs::remove_file(hidden.path().join(name(0))).expect("it is there");
        tool.run([Path::new("upload"), hidden.path(), Path::new("--private")]).await.is(0);
        assert_eq!(user.pages("/api/images?visibility=public").await.len(), 1);
        assert_eq!(user.pages("/api/images?visibility=private").await.len(), 3);
    });
}

#[test]
fn a_large_file_is_streamed_and_arrives_whole() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut bytes = Picture::jpeg(640, 480).bytes;
        // What comes after the image's end is no part of it.
        bytes.resize(50 << 20, 7);
        write(&folder.path().join("large.jpg"), &bytes);
        let file = folder.path().join("large.jpg");
        let ran = tool.run([Path::new("upload"), &file]).await.is(0);
        ran.says("1 uploaded (50.00 MiB");
        let out = folder.path().join("again.jpg");
        tool.run([Path::new("get"), Path::new("large.jpg"), Path::new("--output"), &out]).await.is(0);
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
        tool.run(path).await.is(2).says("is running");
        first.signal("TERM");
        first.ends().await.is(130).says("goes on where this one was");
    });
}

#[test]
fn who_has_no_plan_and_who_has_no_room_is_told_so() {
    on_stack(async |stack| {
        let folder = photos(2);
        let user = stack.user_without_plan().await;
        let tool = Tool::of(&user).await;
        tool.run([Path::new("upload"), folder.path()]).await.is(1).says("no plan");
        let admin = stack.admin().await;
        let plan = format!("Tiny-{}", &crate::harness::unique()[..8]);
        let body = json!({"name": plan, "thumbnail_heights": [200], "original_link": false, "expiring_links": false,
            "max_image_bytes": 300, "max_images": 0});
        admin.post("/api/plans", body).await.gives(201);
        let user = stack.user_on(&plan).await;
        let tool = Tool::of(&user).await;
        let small = tempfile::tempdir().expect("a temporary folder");
        write(&small.path().join("small.png"), &photo(0)[..200]);
        tool.run([Path::new("upload"), small.path()]).await.is(4).says("your plan allows no more images");
        tool.run([Path::new("upload"), folder.path()]).await.is(4).says("larger than the 300 B");
    });
}
