//! Uploads and downloads over connections and services that fail.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::gate::{Do, Gate};
use super::tool::{Tool, photos};
use crate::fixtures::Picture;
use crate::harness::{Body, User, on_stack};

const BATCH: &str = "/api/images/batch";

async fn titles(user: &User) -> usize {
    let images = user.pages("/api/images?limit=100").await;
    assert!(images.iter().all(|image| image["status"] == "ready"), "{images:?}");
    images.iter().map(|image| image.str("title")).collect::<HashSet<_>>().len()
}

#[test]
fn a_batch_whose_answer_is_lost_is_the_same_batch_again() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut lost = 0;
        let gate = Gate::with(move |seen| {
            lost += u8::from(seen.path == BATCH);
            if seen.path == BATCH && lost <= 2 { Do::LoseAnswer } else { Do::Pass }
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(20);
        tool.run([Path::new("upload"), folder.path()]).await.is(0);
        let keys: Vec<_> = gate.asked(BATCH).into_iter().map(|seen| seen.key.expect("a key")).collect();
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(titles(&user).await, 20);
    });
}

#[test]
fn a_client_killed_before_it_sees_what_was_registered_learns_it_in_its_next_run() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut hung = false;
        let gate =
            Gate::with(
                move |seen| {
                    if seen.path == BATCH && !std::mem::replace(&mut hung, true) { Do::Hang } else { Do::Pass }
                },
            )
            .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(20);
        let running = tool.start([Path::new("upload"), folder.path()]);
        gate.hangs().await;
        running.signal("KILL");
        assert_eq!(running.ends().await.status, None);
        assert!(tool.noted("registered").is_empty());
        tool.run([Path::new("upload"), folder.path()]).await.is(0);
        let keys: Vec<_> = gate.asked(BATCH).into_iter().map(|seen| seen.key.expect("a key")).collect();
        assert_eq!(keys[0], keys[1]);
        assert_eq!(titles(&user).await, 20);
    });
}

#[test]
fn an_upload_whose_answer_is_lost_is_not_taken_twice() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut seen_paths = HashSet::new();
        let gate = Gate::with(move |seen| {
            if seen.method == "PUT" && seen_paths.insert(seen.path.clone()) { Do::LoseAnswer } else { Do::Pass }
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(12);
        tool.run([Path::new("upload"), folder.path()]).await.is(0).says("12 uploaded");
        let statuses: Vec<_> = gate.puts().into_iter().map(|put| put.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == Some(200)).count(), 12, "{statuses:?}");
        assert_eq!(titles(&user).await, 12);
    });
}

#[test]
fn the_service_and_the_bucket_are_left_alone_as_long_as_they_ask() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let (mut batches, mut puts) = (0, 0);
        let gate = Gate::with(move |seen| {
            let after = vec![("retry-after", "1".to_owned())];
            batches += u8::from(seen.path == BATCH);
            puts += u8::from(seen.method == "PUT");
            if seen.path == BATCH && batches == 1 {
                let problem = r#"{"type": "about:blank", "title": "Too Many Requests", "status": 429,
                    "code": "too_many_requests", "detail": "Too many."}"#;
                Do::Answer(429, after, problem.into())
            } else if seen.method == "PUT" && puts == 1 {
                Do::Answer(503, after, "<Error><Code>SlowDown</Code></Error>".into())
            } else {
                Do::Pass
            }
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(6);
        tool.run([Path::new("upload"), folder.path(), Path::new("--concurrency=1")].map(Path::as_os_str)).await.is(0);
        for requests in [gate.asked(BATCH), gate.puts()] {
            let paused = requests[1].at.duration_since(requests[0].at);
            assert!(paused >= Duration::from_secs(1), "{paused:?}");
        }
        assert_eq!(titles(&user).await, 6);
    });
}

#[test]
fn what_fails_now_and_then_succeeds_in_the_end() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut count = 0;
        let gate = Gate::with(move |seen| {
            count += 1;
            match count % 5 {
                0 => Do::Answer(500, Vec::new(), "oh".into()),
                1 if seen.method == "PUT" => Do::Answer(503, Vec::new(), "<Error><Code>SlowDown</Code></Error>".into()),
                _ => Do::Pass,
            }
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(30);
        tool.run([Path::new("upload"), folder.path()]).await.is(0);
        assert_eq!(titles(&user).await, 30);
    });
}

#[test]
fn an_upload_url_that_is_over_is_replaced() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut over = HashSet::new();
        let gate = Gate::with(move |seen| {
            if seen.method == "PUT" && over.insert(seen.path.clone()) {
                let body = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>";
                Do::Answer(403, Vec::new(), body.into())
            } else {
                Do::Pass
            }
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(5);
        tool.run([Path::new("upload"), folder.path()]).await.is(0);
        let renewed = gate.seen().into_iter().filter(|seen| seen.method == "POST" && seen.path.ends_with("/upload"));
        assert_eq!(renewed.count(), 5);
        assert_eq!(titles(&user).await, 5);
    });
}

#[test]
fn an_image_that_the_service_gave_up_in_the_meantime_is_registered_anew() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let folder = photos(1);
        // Nothing arrives: registered, and not more.
        let refusing = Gate::with(|seen| match seen.method.as_str() {
            "PUT" => Do::Answer(400, Vec::new(), "<Error><Code>InvalidRequest</Code></Error>".into()),
            _ => Do::Pass,
        })
        .await;
        let tool = Tool::of(&user).await.through(&refusing);
        tool.run([Path::new("upload"), folder.path()]).await.is(4);
        let id = tool.noted("registered").remove(0);
        stack.abandon(&id, "0.png").await;
        let open = Gate::open().await;
        let tool = tool.through(&open);
        tool.run([Path::new("upload"), folder.path()]).await.is(0);
        assert_eq!(titles(&user).await, 1);
        assert_eq!(tool.noted("gone"), [id]);
    });
}

#[test]
fn a_download_goes_on_where_it_was_cut_off() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let picture = Picture::jpeg(1200, 900);
        let image = user.publish("Harbour", &picture).await;
        let half = picture.bytes.len() / 2;
        let mut cut = 0;
        let gate = Gate::with(move |seen| {
            let original = seen.method == "GET" && seen.path.contains("/originals/");
            cut += u8::from(original);
            if original && cut <= 2 { Do::Cut(half / 2) } else { Do::Pass }
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("harbour.jpg");
        let get = [Path::new("get"), Path::new("Harbour"), Path::new("--output"), &target];
        tool.run(get).await.is(0);
        assert!(fs::read(&target).expect("it is there") == picture.bytes);
        let ranges = || -> Vec<String> {
            let seen = gate.seen().into_iter().filter(|seen| seen.path.contains("/originals/"));
            seen.filter_map(|seen| seen.range).collect()
        };
        assert_eq!(ranges(), [format!("bytes={}-", half / 2), format!("bytes={}-", half / 2 * 2)]);

        // By another run, from what one that was killed has left.
        let end: String = image.str("id").chars().rev().take(8).collect();
        let part = folder.path().join(format!("harbour.jpg.{end}.part"));
        fs::rename(&target, &part).expect("it is there");
        fs::OpenOptions::new().write(true).open(&part).and_then(|file| file.set_len(1000)).expect("it can be cut");
        tool.run(get).await.is(0);
        assert!(fs::read(&target).expect("it is there") == picture.bytes);
        assert_eq!(ranges().last().expect("another"), "bytes=1000-");
        assert!(!part.exists());
    });
}

#[test]
fn a_download_never_goes_on_with_what_is_not_its_own() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let folder = photos(1);
        tool.run([Path::new("upload"), folder.path()]).await.is(0);
        let image = user.pages("/api/images").await.remove(0);
        let end: String = image.str("id").chars().rev().take(8).collect();
        let target = folder.path().join("again.png");
        fs::write(folder.path().join(format!("again.png.{end}.part")), [7; 50]).expect("it can be written");
        tool.run([Path::new("get"), Path::new("0.png"), Path::new("--output"), &target]).await.is(0);
        assert!(fs::read(&target).expect("it is there") == fs::read(folder.path().join("0.png")).expect("it is there"));
    });
}

#[test]
fn a_service_that_is_not_there_is_named_and_has_its_own_status() {
    on_stack(async |_| {
        let tool = Tool::new("http://127.0.0.1:9");
        tool.run(["plans"]).await.is(5).says("http://127.0.0.1:9");
        let tool = Tool::new("http://example.org");
        tool.run(["plans"]).await.is(2).says("https");
    });
}
