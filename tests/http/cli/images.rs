//! `list`, `show`, `get`, `rm`, `explore` and `link`.

use std::fs;
use std::path::Path;

use http::Method;
use serde_json::json;

use super::gate::{Do, Gate};
use super::tool::Tool;
use crate::fixtures::Picture;
use crate::harness::{Body, eventually, on_stack, unique};

#[test]
fn lists_are_lines_for_people_and_json_for_programs() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        user.publish("Pier", Picture::small()).await;
        user.hide("Harbour/dawn", Picture::small()).await;
        user.pending("Harbour/noon").await;
        // The URLs of private images change every 30 seconds.
        let (all, expected) = eventually("two equal lists, and one of the client between them", async || {
            let before = user.pages("/api/images").await;
            let all = tool.run(["list", "--json"]).await.assert_status(0).json();
            (user.pages("/api/images").await == before).then_some((all, before))
        })
        .await;
        assert_eq!(all, expected);
        let titles = async |arguments: &[&str]| -> Vec<String> {
            let ran = tool.run([&["list", "--json"], arguments].concat()).await.assert_status(0);
            ran.json().iter().map(|image| image.str("title").to_owned()).collect()
        };
        assert_eq!(titles(&["--limit", "1"]).await, ["Harbour/noon"]);
        assert_eq!(titles(&["--prefix", "Harbour/", "--status", "ready"]).await, ["Harbour/dawn"]);
        assert_eq!(titles(&["--visibility", "public", "--status", "ready"]).await, ["Pier"]);
        let ran = tool.run(["list"]).await.assert_status(0);
        assert_eq!(ran.out.lines().count(), 3);
        ran.says("Harbour/noon  (pending)").says("Harbour/dawn  (private)");
        tool.run(["list", "--limit", "2"]).await.assert_status(0).says("There are more");
    });
}

#[test]
fn an_image_is_shown_by_id_or_title_in_either_form_of_unicode() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let image = user.hide("Caf\u{e9}", Picture::small()).await;
        for name in [image.str("id"), "Caf\u{e9}", "Cafe\u{301}"] {
            let shown = tool.run(["show", name, "--json"]).await.assert_status(0).json().remove(0);
            assert_eq!(shown["id"], image["id"]);
        }
        tool.run(["show", "Caf\u{e9}"]).await.assert_status(0).says("320 × 240");
        tool.run(["show", "Caf"]).await.assert_status(1).says("no image");
        let other = Tool::of(&stack.user().await).await;
        other.run(["show", image.str("id")]).await.assert_status(1).says("not yours to see");
    });
}

#[test]
fn how_an_image_was_taken_is_shown() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let image = user.publish("Harbour", &Picture::turned_jpeg(80, 60, 6)).await;
        let shown = tool.run(["show", "Harbour"]).await.assert_status(0);
        shown.says("Camera       TINTYPE-CAMERA 7").says("Place        52.52, 13.404722");
        let public = json!({"photo_public": true});
        user.patch(format!("/api/images/{}", image.str("id")), public).await.assert_status(200);
        tool.run(["show", "Harbour"]).await.assert_status(0).says("Shown        to all who see the image");
    });
}

#[test]
fn warnings_and_reject_codes_are_shown_and_listed() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let mut cut = Picture::jpeg(400, 800);
        cut.bytes.truncate(cut.bytes.len() - 40);
        user.publish("Cut", &cut).await;
        tool.run(["show", "Cut"]).await.assert_status(0).says("Warnings     truncated");
        let fake = Picture::text_as_jpeg();
        let created = user.create("Fake", &fake).await;
        created.put(stack, &fake.bytes).await.assert_status(200);
        user.rejected(&created.id).await;
        tool.run(["show", &created.id]).await.assert_status(0).says("Code         not_an_image");
        tool.run(["list"]).await.assert_status(0).says("Cut  (truncated)").says("Fake  (");
    });
}

#[test]
fn originals_are_downloaded_unchanged_if_the_plan_includes_them() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let (picture, small) = (Picture::png(200, 100), Picture::small());
        let pier = user.create_with("2024/Pier", &picture, json!({"sha256": picture.sha256()})).await;
        pier.put(stack, &picture.bytes).await.assert_status(200);
        user.ready(&pier.id).await;
        let hidden = user.hide("Harbour.jpg", small).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let into = folder.path().to_str().expect("it is text");
        let ran = tool.run(["get", "2024/Pier", hidden.str("id"), "--output", into, "--json"]).await.assert_status(0);
        assert_eq!(ran.json().len(), 2);
        let pier = folder.path().join("2024/Pier.png");
        assert!(fs::read(&pier).expect("it is there") == picture.bytes);
        assert!(fs::read(folder.path().join("Harbour.jpg")).expect("it is there") == small.bytes);
        assert_eq!(files(folder.path()), ["2024", "2024/Pier.png", "Harbour.jpg"], "no part is left");

        let get = ["get", "2024/Pier", "--output", into];
        tool.run(get).await.assert_status(0).says("there already");
        // Of another picture with as many bytes nothing tells that it is none.
        tool.run(["get", "Harbour.jpg", "--output", into]).await.assert_status(1).says("no checksum");
        fs::write(&pier, "mine").expect("it can be written");
        tool.run(get).await.assert_status(1).says("--force");
        tool.run([&get[..], &["--force"]].concat()).await.assert_status(0);
        assert!(fs::read(&pier).expect("it is there") == picture.bytes);
        tool.run(["get", "2024/Pier", "nothing", "--output", into]).await.assert_status(4).says("no image");

        stack.set_plan(&user.id, Some("Basic")).await;
        let other = folder.path().join("other.png");
        let get = [Path::new("get"), Path::new("2024/Pier"), Path::new("--output"), &other];
        tool.run(get).await.assert_status(1).says("does not include originals");
    });
}

/// Everything below a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            all.push(path.strip_prefix(folder).expect("it is below").to_str().expect("it is text").to_owned());
            if path.is_dir() && !path.is_symlink() {
                open.push(path);
            }
        }
    }
    all.sort();
    all
}

#[test]
fn downloads_keep_the_folders_of_titles_and_stay_in_theirs() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let (first, second) = (Picture::png(50, 40), Picture::png(60, 40));
        let escaping = user.hide("../../outside.png", &first).await;
        user.hide("2024/x.png", &first).await;
        user.hide("2025/x.png", &second).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name).to_str().expect("it is text").to_owned();
        let read = |name: &str| fs::read(folder.path().join(name)).expect("it is there");

        tool.run(["get", "2024/x.png", "2025/x.png", "--output", &at("both")]).await.assert_status(0);
        assert!(read("both/2024/x.png") == first.bytes && read("both/2025/x.png") == second.bytes);
        tool.run(["get", "2025/x.png", "--output", &at("new/deep/")]).await.assert_status(0);
        assert!(read("new/deep/2025/x.png") == second.bytes);
        tool.run(["get", "2025/x.png", "--flat", "--output", &at("flat/")]).await.assert_status(0);
        tool.run(["get", "2024/x.png", "2025/x.png", "--flat", "--output", &at("flat")])
            .await
            .assert_status(4)
            .says("--force");
        tool.run(["get", "2025/x.png", "--output", &at("other name.png")]).await.assert_status(0);
        let mut here = tool.command(["get", "2024/x.png"]);
        fs::create_dir(folder.path().join("here")).expect("a folder");
        here.current_dir(folder.path().join("here"));
        super::tool::Running::of(here).ends().await.assert_status(0);
        tool.run(["get", escaping.str("id"), "../../outside.png", "--force", "--output", &at("deep/in/here")])
            .await
            .assert_status(0);
        // A link that was there before leads out of the folder.
        fs::create_dir(folder.path().join("links")).expect("a folder");
        std::os::unix::fs::symlink(folder.path().join("here"), folder.path().join("links/2025")).expect("a link");
        tool.run(["get", "2025/x.png", "--output", &at("links")]).await.assert_status(1).says("leads out of");
        tool.run(["get", "2024/x.png", "2025/x.png", "--output", &at("flat/x.png")])
            .await
            .assert_status(2)
            .says("is a file");

        let there = [
            "both",
            "both/2024",
            "both/2024/x.png",
            "both/2025",
            "both/2025/x.png",
            "deep",
            "deep/in",
            "deep/in/here",
            "deep/in/here/outside.png",
            "flat",
            "flat/x.png",
            "here",
            "here/2024",
            "here/2024/x.png",
            "links",
            "links/2025",
            "new",
            "new/deep",
            "new/deep/2025",
            "new/deep/2025/x.png",
            "other name.png",
        ];
        assert_eq!(files(folder.path()), there);
    });
}

#[test]
fn a_title_as_long_as_a_files_name_can_be_comes_back() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names = [242, 255].map(|length| format!("{}.jpg", "n".repeat(length - 4)));
        for (name, picture) in names.iter().zip([Picture::jpeg(40, 30), Picture::jpeg(41, 30)]) {
            fs::write(folder.path().join(name), picture.bytes).expect("it can be written");
        }
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
        // Longer than a file's name can be.
        let (long, other) = ("\u{e9}".repeat(255), format!("{}f", "\u{e9}".repeat(255)));
        user.hide(&long, Picture::small()).await;
        user.hide(&other, &Picture::jpeg(42, 30)).await;
        let out = folder.path().join("out");
        let images = [&names[0], &names[1], &long, &other].map(String::as_str);
        let out_text = out.to_str().expect("it is text");
        tool.run([&["get", "--output", out_text], &images[..]].concat()).await.assert_status(0);
        for name in &names {
            assert!(
                fs::read(out.join(name)).expect("it is there") == fs::read(folder.path().join(name)).expect("it is")
            );
        }
        assert_eq!(files(&out).len(), 4);
    });
}

#[test]
fn a_download_that_fails_leaves_nothing() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::small();
        let created = user.create_with("2024/Pier", picture, json!({"sha256": picture.sha256()})).await;
        created.put(stack, &picture.bytes).await.assert_status(200);
        let image = user.ready(&created.id).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = format!("{}/a/b/", folder.path().to_str().expect("it is text"));
        // The plan has no originals.
        let tool = Tool::of(&user).await;
        tool.run(["get", "2024/Pier", "--output", &out]).await.assert_status(1).says("does not include originals");
        assert_eq!(files(folder.path()), [""; 0]);

        stack.set_plan(&user.id, Some("Enterprise")).await;
        let original = |seen: &super::gate::Seen| seen.method == "GET" && seen.path.contains("/originals/");
        for (answer, said) in [
            // Other bytes than were uploaded, and URLs that never work.
            (Do::Answer(200, Vec::new(), "x".repeat(image.number("size") as usize)), "does not match its checksum"),
            (Do::Answer(403, Vec::new(), "no".into()), "valid download URL"),
        ] {
            let gate = Gate::with(move |seen| if original(seen) { answer.clone() } else { Do::Pass }).await;
            let tool = Tool::of(&user).await.through(&gate);
            tool.run(["get", "2024/Pier", "--output", &out]).await.assert_status(1).says(said);
            assert_eq!(files(folder.path()), [""; 0]);
        }
    });
}

#[test]
fn titles_may_begin_with_a_hyphen() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let into = folder.path().to_str().expect("it is text");
        for title in ["-harbour", "-y", "--all"] {
            user.hide(title, Picture::small()).await;
        }
        for name in [&["-harbour"][..], &["--", "-harbour"], &["--", "-y"], &["--", "--all"]] {
            tool.run([&["show", "--json"], name].concat()).await.assert_status(0);
            tool.run([&["get", "--output", into, "--force"], name].concat()).await.assert_status(0);
            tool.run([&["link", "create", "--expires", "5m"], name].concat()).await.assert_status(0);
        }
        assert_eq!(files(folder.path()), ["--all.jpg", "-harbour.jpg", "-y.jpg"]);
        tool.run(["get", "-harbour", "--force", "--output", into]).await.assert_status(0);
        assert_eq!(tool.run(["link", "list", "--image", "-y", "--json"]).await.assert_status(0).json().len(), 1);
        assert_eq!(tool.run(["list", "--prefix", "-h", "--json"]).await.assert_status(0).json().len(), 1);

        // An argument that looks like an option and is not a title deletes nothing.
        for unknown in ["-n", "--dry-run"] {
            tool.run(["rm", "-harbour", unknown]).await.assert_status(2).says("Nothing was deleted");
        }
        assert_eq!(user.pages("/api/images").await.len(), 3);
        tool.run(["rm", "-harbour", "--json"]).await.assert_status(0);
        tool.run(["rm", "--", "-y", "--all"]).await.assert_status(0);
        assert!(user.pages("/api/images").await.is_empty());

        let mut upload = tool.command(["upload", "--prefix", "-", "--", "-y.jpg"]);
        upload.current_dir(folder.path());
        super::tool::Running::of(upload).ends().await.assert_status(0);
        tool.run(["show", "--", "--y.jpg"]).await.assert_status(0);
    });
}

#[test]
fn images_are_removed_one_by_one_or_all_after_a_question() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let first = user.pending("First").await;
        for title in ["Second", "Third", "Fourth"] {
            user.pending(title).await;
        }
        let ran = tool.run(["rm", &first.id, "Second", "Nothing"]).await.assert_status(4);
        ran.says("Deleted Second").says("Nothing: You have no image");
        assert_eq!(user.pages("/api/images").await.len(), 2);
        let foreign = stack.user().await.pending("Theirs").await;
        tool.run(["rm", &foreign.id, "Third"]).await.assert_status(1).says("another user");
        assert_eq!(user.pages("/api/images").await.len(), 2, "nothing of a mixed selection goes");
        tool.run(["rm", "--all"]).await.assert_status(2).says("--yes");
        tool.run(["rm"]).await.assert_status(2);
        assert_eq!(user.pages("/api/images").await.len(), 2);
        let ran = tool.run(["rm", "--all", "--yes", "--json"]).await.assert_status(0);
        assert_eq!(ran.json()[0]["done"], 2);
        assert!(user.pages("/api/images").await.is_empty());
    });
}

#[test]
fn anyone_may_explore() {
    on_stack(async |stack| {
        let title = unique();
        let user = stack.user().await;
        let image = user.publish(&title, Picture::small()).await;
        let nobody = Tool::new(&stack.url);
        let ran = nobody.run(["explore", "--json", "--limit", "100"]).await.assert_status(0);
        assert!(ran.json().iter().any(|shown| shown["id"] == image["id"]));
        nobody.run(["show", image.str("id")]).await.assert_status(0).says(&title);
        nobody.run(["list"]).await.assert_status(3).says("tintype login");
    });
}

#[test]
fn links_are_made_listed_and_revoked() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let image = user.hide("Harbour", Picture::small()).await;
        user.hide("Pier", Picture::small()).await;
        let url = tool.run(["link", "create", "Harbour", "--expires", "10m"]).await.assert_status(0).out;
        let url = url.trim();
        stack.get(url).await.assert_status(302);
        let create =
            ["link", "create", "Pier", "--max-downloads", "2", "--password-stdin", "--json", "--description", "Ann"];
        let link = tool.run_with(create, "open sesame\n").await.assert_status(0).json().remove(0);
        assert_eq!((link.number("max_downloads"), link["has_password"].as_bool()), (2, Some(true)));
        assert_eq!(link["expiry_in_seconds"], 3600);
        stack.get(link.str("link_url")).await.assert_status(401);

        assert_eq!(tool.run(["link", "list", "--json"]).await.assert_status(0).json().len(), 2);
        let of_one = tool.run(["link", "list", "--image", "Harbour", "--json"]).await.assert_status(0).json();
        assert_eq!((of_one.len(), of_one[0].str("base_image")), (1, image.str("id")));
        tool.run(["link", "list"]).await.assert_status(0).says("0 of 2 downloads, password  Ann").says(url);

        tool.run(["link", "revoke", of_one[0].str("id"), "nothing"]).await.assert_status(4).says("no such link");
        stack.call(Method::GET, url).await.assert_status(410);
        assert_eq!(tool.run(["link", "list", "--json"]).await.assert_status(0).json().len(), 1);
        tool.run(["link", "create", "Harbour", "--expires", "4m"])
            .await
            .assert_status(2)
            .says("--expires")
            .says("5m to 8h 20m");
        tool.run(["link", "create", "Harbour", "--max-downloads", "0"]).await.assert_status(2).says("--max-downloads");

        stack.set_plan(&user.id, Some("Basic")).await;
        tool.run(["link", "create", "Harbour"]).await.assert_status(1).says("tintype plans");
    });
}
