//! `upload --watch`.

use std::fs;
use std::path::Path;

use super::tool::{Tool, name, photo, photos, write};
use crate::harness::{Body, eventually, on_stack};

#[test]
fn watch_uploads_new_files_until_interrupted() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(2);
        let watch = [Path::new("upload"), folder.path(), Path::new("--watch"), Path::new("--json")];
        let running = tool.start(watch);
        let titles = async |wanted: &[&str]| {
            eventually(&format!("{wanted:?} to be ready"), async || {
                let images = user.pages("/api/images?status=ready").await;
                let mut titles: Vec<&str> = images.iter().map(|image| image.str("title")).collect();
                titles.sort_unstable();
                (titles == wanted).then_some(())
            })
            .await;
        };
        titles(&["0.png", "1.webp"]).await;
        // Written in place, moved in, in a new folder, and what is none of its business.
        write(&folder.path().join(name(2)), &photo(2));
        write(&folder.path().join(".part"), &photo(8)[..100]);
        fs::rename(folder.path().join(".part"), folder.path().join(".gone")).expect("a rename");
        let outside = photos(4);
        fs::rename(outside.path().join(name(3)), folder.path().join(name(3))).expect("on the same disk");
        write(&folder.path().join("new/deep").join(name(4)), &photo(4));
        titles(&["0.png", "1.webp", "2.gif", "3.jpg", "new/deep/4.png"]).await;
        running.signal("INT");
        let ran = running.ends().await.assert_status(130);
        assert_eq!(ran.summary()["left"], 0);
        assert!(!ran.json().iter().any(|line| line["event"] == "failed"), "{}", ran.out);
    });
}
