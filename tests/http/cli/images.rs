//! `list`, `show`, `get`, `rm`, `explore` and `link`.

use std::fs;
use std::path::Path;

use http::Method;

use super::tool::Tool;
use crate::fixtures::Picture;
use crate::harness::{Body, on_stack, unique};

#[test]
fn lists_are_lines_for_people_and_json_for_programs() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        user.publish("Pier", Picture::small()).await;
        user.hide("Harbour/dawn", Picture::small()).await;
        user.pending("Harbour/noon").await;
        let all = tool.run(["list", "--json"]).await.is(0).json();
        assert_eq!(all, user.pages("/api/images").await);
        let titles = async |arguments: &[&str]| -> Vec<String> {
            let ran = tool.run([&["list", "--json"], arguments].concat()).await.is(0);
            ran.json().iter().map(|image| image.str("title").to_owned()).collect()
        };
        assert_eq!(titles(&["--limit", "1"]).await, ["Harbour/noon"]);
        assert_eq!(titles(&["--prefix", "Harbour/", "--status", "ready"]).await, ["Harbour/dawn"]);
        assert_eq!(titles(&["--visibility", "public", "--status", "ready"]).await, ["Pier"]);
        let ran = tool.run(["list"]).await.is(0);
        assert_eq!(ran.out.lines().count(), 3);
        ran.says("Harbour/noon  (pending)").says("Harbour/dawn  (private)");
        tool.run(["list", "--limit", "2"]).await.is(0).says("There are more");
    });
}

#[test]
fn an_image_is_shown_by_id_or_title_in_either_form_of_unicode() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let image = user.hide("Caf\u{e9}", Picture::small()).await;
        for name in [image.str("id"), "Caf\u{e9}", "Cafe\u{301}"] {
            let shown = tool.run(["show", name, "--json"]).await.is(0).json().remove(0);
            assert_eq!(shown["id"], image["id"]);
        }
        tool.run(["show", "Caf\u{e9}"]).await.is(0).says("320 × 240");
        tool.run(["show", "Caf"]).await.is(1).says("no image");
        let other = Tool::of(&stack.user().await).await;
        other.run(["show", image.str("id")]).await.is(1).says("not yours to see");
    });
}

#[test]
fn originals_come_as_they_were_where_the_plan_has_them() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let (picture, small) = (Picture::png(200, 100), Picture::small());
        user.publish("2024/Pier", &picture).await;
        let hidden = user.hide("Harbour.jpg", small).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let into = folder.path().to_str().expect("it is text");
        let ran = tool.run(["get", "2024/Pier", hidden.str("id"), "--output", into, "--json"]).await.is(0);
        assert_eq!(ran.json().len(), 2);
        assert!(fs::read(folder.path().join("Pier.png")).expect("it is there") == picture.bytes);
        assert!(fs::read(folder.path().join("Harbour.jpg")).expect("it is there") == small.bytes);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "no part is left");

        let get = ["get", "2024/Pier", "--output", into];
        tool.run(get).await.is(0).says("there already");
        fs::write(folder.path().join("Pier.png"), "mine").expect("it can be written");
        tool.run(get).await.is(1).says("--force");
        tool.run([&get[..], &["--force"]].concat()).await.is(0);
        assert!(fs::read(folder.path().join("Pier.png")).expect("it is there") == picture.bytes);
        tool.run(["get", "2024/Pier", "nothing", "--output", into]).await.is(4).says("no image");

        stack.set_plan(&user.id, Some("Basic")).await;
        let other = folder.path().join("other.png");
        let get = [Path::new("get"), Path::new("2024/Pier"), Path::new("--output"), &other];
        tool.run(get).await.is(1).says("does not include originals");
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
        let ran = tool.run(["rm", &first.id, "Second", "Nothing"]).await.is(4);
        ran.says("Deleted Second").says("Nothing: You have no image");
        assert_eq!(user.pages("/api/images").await.len(), 2);
        let foreign = stack.user().await.pending("Theirs").await;
        tool.run(["rm", &foreign.id, "Third"]).await.is(1).says("another user");
        assert_eq!(user.pages("/api/images").await.len(), 2, "nothing of a mixed selection goes");
        tool.run(["rm", "--all"]).await.is(2).says("--yes");
        tool.run(["rm"]).await.is(2);
        assert_eq!(user.pages("/api/images").await.len(), 2);
        let ran = tool.run(["rm", "--all", "--yes", "--json"]).await.is(0);
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
        let ran = nobody.run(["explore", "--json", "--limit", "100"]).await.is(0);
        assert!(ran.json().iter().any(|shown| shown["id"] == image["id"]));
        nobody.run(["show", image.str("id")]).await.is(0).says(&title);
        nobody.run(["list"]).await.is(3).says("tintype login");
    });
}

#[test]
fn links_are_made_listed_and_revoked() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let image = user.hide("Harbour", Picture::small()).await;
        user.hide("Pier", Picture::small()).await;
        let url = tool.run(["link", "create", "Harbour", "--expires", "10m"]).await.is(0).out;
        let url = url.trim();
        stack.get(url).await.is(302);
        let create =
            ["link", "create", "Pier", "--max-downloads", "2", "--password-stdin", "--json", "--description", "Ann"];
        let link = tool.run_with(create, "open sesame\n").await.is(0).json().remove(0);
        assert_eq!((link.number("max_downloads"), link["has_password"].as_bool()), (2, Some(true)));
        assert_eq!(link["expiry_in_seconds"], 3600);
        stack.get(link.str("link_url")).await.is(401);

        assert_eq!(tool.run(["link", "list", "--json"]).await.is(0).json().len(), 2);
        let of_one = tool.run(["link", "list", "--image", "Harbour", "--json"]).await.is(0).json();
        assert_eq!((of_one.len(), of_one[0].str("base_image")), (1, image.str("id")));
        tool.run(["link", "list"]).await.is(0).says("0 of 2 downloads, password  Ann").says(url);

        tool.run(["link", "revoke", of_one[0].str("id"), "nothing"]).await.is(4).says("no such link");
        stack.call(Method::GET, url).await.is(410);
        assert_eq!(tool.run(["link", "list", "--json"]).await.is(0).json().len(), 1);
        tool.run(["link", "create", "Harbour", "--expires", "10s"]).await.is(1).says("expiry_in_seconds");

        stack.set_plan(&user.id, Some("Basic")).await;
        tool.run(["link", "create", "Harbour"]).await.is(1).says("tintype plans");
    });
}
