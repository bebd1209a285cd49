//! Uploads and downloads over connections and services that fail.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::gate::{Do, Gate};
use super::many::sha256;
use super::tool::{Tool, photo, photos, write};
use crate::fixtures::Picture;
use crate::harness::{Body, User, eventually, on_stack};

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
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
        let keys: Vec<_> = gate.asked(BATCH).into_iter().map(|seen| seen.key.expect("a key")).collect();
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|key| *key == keys[0]));
        assert_eq!(titles(&user).await, 20);
    });
}

#[test]
fn killed_client_recovers_registrations_in_next_run() {
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
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
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
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0).says("12 uploaded");
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
        tool.run([Path::new("upload"), folder.path(), Path::new("--concurrency=1")].map(Path::as_os_str))
            .await
            .assert_status(0);
        for requests in [gate.asked(BATCH), gate.puts()] {
            let paused = requests[1].at.duration_since(requests[0].at);
            assert!(paused >= Duration::from_secs(1), "{paused:?}");
        }
        assert_eq!(titles(&user).await, 6);
    });
}

#[test]
fn occasional_failures_are_retried() {
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
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
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
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
        let renewed = gate.seen().into_iter().filter(|seen| seen.method == "POST" && seen.path.ends_with("/upload"));
        assert_eq!(renewed.count(), 5);
        assert_eq!(titles(&user).await, 5);
    });
}

#[test]
fn expired_image_is_registered_again() {
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
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(4);
        let id = tool.noted("registered").remove(0);
        stack.abandon(&id, "0.png").await;
        let open = Gate::open().await;
        let tool = tool.through(&open);
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
        assert_eq!(titles(&user).await, 1);
        assert_eq!(tool.noted("gone"), [id]);
    });
}

/// The file that a download of an image to a target goes to before it is whole.
fn part_of(target: &str, id: &str, folder: &Path) -> std::path::PathBuf {
    folder.join(format!(".tintype-{}.part", &sha256(format!("{id}{target}").as_bytes())[..32]))
}

#[test]
fn an_interrupted_download_is_resumed() {
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
        tool.run(get).await.assert_status(0);
        assert!(fs::read(&target).expect("it is there") == picture.bytes);
        let ranges = || -> Vec<String> {
            let seen = gate.seen().into_iter().filter(|seen| seen.path.contains("/originals/"));
            seen.filter_map(|seen| seen.range).collect()
        };
        assert_eq!(ranges(), [format!("bytes={}-", half / 2), format!("bytes={}-", half / 2 * 2)]);

        // By another run, from what one that was killed has left.
        let part = part_of("harbour.jpg", image.str("id"), folder.path());
        fs::rename(&target, &part).expect("it is there");
        fs::OpenOptions::new().write(true).open(&part).and_then(|file| file.set_len(1000)).expect("it can be cut");
        tool.run(get).await.assert_status(0);
        assert!(fs::read(&target).expect("it is there") == picture.bytes);
        assert_eq!(ranges().last().expect("another"), "bytes=1000-");
        assert!(!part.exists());
    });
}

#[test]
fn a_download_is_resumed_only_with_its_own_file() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let tool = Tool::of(&user).await;
        let folder = photos(1);
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
        let image = user.pages("/api/images").await.remove(0);
        let target = folder.path().join("again.png");
        let part = part_of("again.png", image.str("id"), folder.path());
        fs::write(&part, [7; 50]).expect("it can be written");
        tool.run([Path::new("get"), Path::new("0.png"), Path::new("--output"), &target]).await.assert_status(0);
        assert!(fs::read(&target).expect("it is there") == fs::read(folder.path().join("0.png")).expect("it is there"));
        assert!(!part.exists());
    });
}

#[test]
fn unreachable_service_is_named_and_retried() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for at in [BATCH, "PUT"] {
            let mut failures = 0;
            let gate = Gate::with(move |seen| {
                failures += u8::from(seen.path == at || seen.method == at);
                if (seen.path == at || seen.method == at) && failures <= 4 { Do::Close } else { Do::Pass }
            })
            .await;
            let tool = Tool::of(&user).await.through(&gate);
            let folder = photos(1);
            write(&folder.path().join("0.png"), &photo(at.len() as u32));
            let upload = [Path::new("upload"), folder.path(), Path::new("--prefix"), Path::new(at)];
            let ran = tool.run(upload).await.assert_status(0);
            let who = if at == BATCH { stack.url.as_str() } else { "The bucket for uploads" };
            let said =
                ran.err.lines().find(|line| line.contains(&format!("{who} cannot be reached through the proxy")));
            assert!(said.is_some_and(|line| line.contains("Retrying for 9m")), "{}", ran.err);
            assert!(ran.err.contains("The service answers again"), "{}", ran.err);
        }
    });
}

#[test]
fn a_service_that_does_not_answer_is_named_within_seconds() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let gate = Gate::with(|seen| match seen.path.as_str() {
            "/api/me" => Do::Delay(Duration::from_secs(5)),
            _ => Do::Pass,
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        tool.run(["whoami"]).await.assert_status(0).says("has not answered for 4 s").says("The service answers again");
    });
}

#[test]
fn an_upload_that_is_interrupted_says_how_many_files_are_left() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let puts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&puts);
        let gate = Gate::with(move |seen| {
            if seen.method != "PUT" {
                return Do::Pass;
            }
            counted.fetch_add(1, Ordering::SeqCst);
            Do::Delay(Duration::from_secs(3600))
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(5);
        let upload = [Path::new("upload"), folder.path()];
        let interrupted = async |more: &[&Path]| {
            puts.store(0, Ordering::SeqCst);
            let running = tool.start([&upload[..], more].concat());
            eventually("every file on its way", async || (puts.load(Ordering::SeqCst) == 5).then_some(())).await;
            running.signal("INT");
            running.ends().await.assert_status(130)
        };
        interrupted(&[]).await.says("5 files left").says("Run the same command again to resume");
        assert_eq!(interrupted(&[Path::new("--json")]).await.summary()["left"], 5);

        // A service that refuses a session in the middle leaves files, too.
        let folder = photos(3);
        let gate = Gate::with(|seen| match seen.path.as_str() {
            BATCH => Do::Answer(403, Vec::new(), "no".into()),
            _ => Do::Pass,
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(1).says("3 files left");
    });
}

#[test]
fn small_files_are_registered_ahead_and_more_of_them_are_sent_at_once_while_the_bucket_is_quick() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let waiting = Arc::new(AtomicUsize::new(0));
        let (counted, mut answered) = (Arc::clone(&waiting), 0);
        let gate = Gate::with(move |seen| {
            if seen.method != "PUT" {
                return Do::Pass;
            }
            answered += 1;
            if answered <= 120 {
                return Do::Answer(200, Vec::new(), String::new());
            }
            counted.fetch_add(1, Ordering::SeqCst);
            Do::Delay(Duration::from_secs(3600))
        })
        .await;
        let tool = Tool::of(&user).await.through(&gate);
        let folder = photos(400);
        let running = tool.start([Path::new("upload"), folder.path()]);
        let sent = async || (waiting.load(Ordering::SeqCst) >= 40).then_some(());
        eventually("many more files on their way than at first", sent).await;
        // No further one is answered, and still the last batch is registered.
        tool.has_noted(400, "registered").await;
        running.signal("KILL");
        running.ends().await;
    });
}

#[test]
fn a_service_that_is_not_there_is_named_and_has_its_own_status() {
    on_stack(async |_| {
        let tool = Tool::new("http://127.0.0.1:9");
        tool.run(["plans"]).await.assert_status(5).says("http://127.0.0.1:9");
        let tool = Tool::new("http://example.org");
        tool.run(["plans"]).await.assert_status(2).says("https");
        for (url, meant) in [("example.org", "https://example.org"), ("127.0.0.1:9", "http://127.0.0.1:9")] {
            Tool::new(url).run(["plans"]).await.assert_status(2).says(&format!("Did you mean {meant}?"));
        }
        // A proxy that is not there, without its password.
        let tool = Tool::new("http://127.0.0.1:9").through_proxy("http://ada:secret@127.0.0.2:9");
        let ran =
            tool.run(["plans"]).await.assert_status(5).says("through the proxy http://127.0.0.2:9: connection refused");
        assert!(!ran.err.contains("secret"), "{}", ran.err);
    });
}
