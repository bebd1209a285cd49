//! Several clients of one user at once, over few titles, against what must be true of any order of events.
//!
//! Each client changes only what it made, so that every image has a history in one order, while all contend
//! for the same titles. A title is *surely* held from the end of the call that took it to the start of the
//! call that gave it back, and *possibly* held from the start of the one to the end of the other. So two sure
//! holds of one title may never overlap, and each refusal needs a possible hold to explain it.

use std::sync::Mutex;
use std::time::Instant;

use fastrand::Rng;
use futures_util::future::join_all;
use serde_json::json;

use crate::fixtures::Picture;
use crate::harness::{Body, Created, Stack, User, on_stack};

const CLIENTS: u64 = 4;
const STEPS: usize = 30;
const TITLES: usize = 4;

/// Each title in two spellings that are the same title.
fn spelled(title: usize, rng: &mut Rng) -> String {
    if rng.bool() { format!("Caf\u{e9} {title}") } else { format!("  Cafe\u{301} {title} ") }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: Instant,
    end: Instant,
}

#[derive(Debug)]
struct Hold {
    title: usize,
    image: String,
    taken: Span,
    given_back: Option<Span>,
}

impl Hold {
    fn surely_overlaps(&self, other: &Hold) -> bool {
        let ends_before = |one: &Hold, two: &Hold| one.given_back.is_some_and(|span| span.start <= two.taken.end);
        !ends_before(self, other) && !ends_before(other, self)
    }

    fn explains(&self, refusal: &Refusal) -> bool {
        self.title == refusal.title
            && Some(&self.image) != refusal.image.as_ref()
            && self.taken.start <= refusal.span.end
            && self.given_back.is_none_or(|span| span.end >= refusal.span.start)
    }
}

#[derive(Debug)]
struct Refusal {
    title: usize,
    /// The user who asked for it, if it was a rename.
    image: Option<String>,
    span: Span,
}

#[derive(Default)]
struct History {
    holds: Vec<Hold>,
    refusals: Vec<Refusal>,
}

impl History {
    fn take(&mut self, title: usize, image: &str, taken: Span) {
        self.holds.push(Hold { title, image: image.to_owned(), taken, given_back: None });
    }

    fn give_back(&mut self, image: &str, span: Span) {
        let hold = self.holds.iter_mut().find(|hold| hold.image == image && hold.given_back.is_none());
        hold.expect("an image gives back what it took").given_back = Some(span);
    }

    fn check(&self) {
        for (place, hold) in self.holds.iter().enumerate() {
            for other in &self.holds[place + 1..] {
                assert!(
                    hold.title != other.title || hold.image == other.image || !hold.surely_overlaps(other),
                    "two images had one title at once:\n{hold:?}\n{other:?}"
                );
            }
        }
        for refusal in &self.refusals {
            assert!(
                self.holds.iter().any(|hold| hold.explains(refusal)),
                "a title was refused that nobody had: {refusal:?}"
            );
        }
    }
}

/// An image as its client knows it to be.
#[derive(Clone)]
struct KnownImage {
    created: Created,
    title: usize,
    visibility: &'static str,
    status: &'static str,
}

struct HistoryClient<'a> {
    user: User,
    stack: &'static Stack,
    rng: Rng,
    history: &'a Mutex<History>,
    images: Vec<KnownImage>,
    deleted: Vec<String>,
}

async fn timed<T>(call: impl Future<Output = T>) -> (Span, T) {
    let start = Instant::now();
    let answer = call.await;
    (Span { start, end: Instant::now() }, answer)
}

impl HistoryClient<'_> {
    async fn step(&mut self) {
        let action = self.rng.u8(0..10);
        if self.images.is_empty() || action < 3 {
            return self.create().await;
        }
        let at = self.rng.usize(0..self.images.len());
        match action {
            3..=4 => self.rename(at).await,
            5 => self.turn(at).await,
            6..=7 => self.upload(at).await,
            _ => self.delete(at).await,
        }
    }

    async fn create(&mut self) {
        let title = self.rng.usize(0..TITLES);
        let visibility = if self.rng.bool() { "public" } else { "private" };
        let mut body = Picture::small().draft(&spelled(title, &mut self.rng));
        body["visibility"] = json!(visibility);
        let (span, answer) = timed(self.user.post("/api/images", body).send()).await;
        if answer.status == 201 {
            let created = Created::from(answer.assert_json(201));
            self.history.lock().expect("no panic").take(title, &created.id, span);
            self.images.push(KnownImage { created, title, visibility, status: "pending" });
        } else {
            answer.assert_problem(409, "title_taken");
            self.history.lock().expect("no panic").refusals.push(Refusal { title, image: None, span });
        }
    }

    async fn rename(&mut self, at: usize) {
        let title = self.rng.usize(0..TITLES);
        let image = self.images[at].clone();
        let id = &image.created.id;
        let body = json!({"title": spelled(title, &mut self.rng)});
        let (span, answer) = timed(self.user.patch(format!("/api/images/{id}"), body).send()).await;
        let mut history = self.history.lock().expect("no panic");
        if answer.status != 200 {
            answer.assert_problem(409, "title_taken");
            assert!(title != image.title || image.status == "rejected", "a title was refused to its own image");
            history.refusals.push(Refusal { title, image: Some(id.clone()), span });
            return;
        }
        if image.status != "rejected" && title != image.title {
            history.give_back(id, span);
            history.take(title, id, span);
        }
        self.images[at].title = title;
    }

    async fn turn(&mut self, at: usize) {
        let image = &mut self.images[at];
        image.visibility = if image.visibility == "public" { "private" } else { "public" };
        let path = format!("/api/images/{}", image.created.id);
        let changed = self.user.patch(&path, json!({"visibility": image.visibility})).await.assert_json(200);
        assert_eq!(changed["visibility"], image.visibility);
        let seen = self.stack.get(&path).await;
        let shown = image.visibility == "public" && image.status == "ready";
        assert_eq!(seen.status, if shown { 200 } else { 404 }, "{seen}");
    }

    async fn upload(&mut self, at: usize) {
        let image = self.images[at].clone();
        if image.status != "pending" {
            return;
        }
        let mut bytes = Picture::small().bytes.clone();
        let spoilt = self.rng.u8(0..3) == 0;
        if spoilt {
            bytes.fill(b'x');
        }
        let (span, status) = timed(async {
            image.created.put(self.stack, &bytes).await.assert_status(200);
            if spoilt {
                self.user.rejected(&image.created.id).await;
                "rejected"
            } else {
                self.user.ready(&image.created.id).await;
                "ready"
            }
        })
        .await;
        if spoilt {
            self.history.lock().expect("no panic").give_back(&image.created.id, span);
        }
        self.images[at].status = status;
    }

    async fn delete(&mut self, at: usize) {
        let image = self.images.swap_remove(at);
        let id = image.created.id;
        let (span, answer) = timed(self.user.delete(format!("/api/images/{id}")).send()).await;
        answer.assert_status(204);
        if image.status != "rejected" {
            self.history.lock().expect("no panic").give_back(&id, span);
        }
        self.deleted.push(id);
    }
}

#[test]
fn titles_stay_unique_and_free_in_any_event_order() {
    on_stack(async |stack| {
        let seed = std::env::var("TINTYPE_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("TINTYPE_SEED={seed} makes the same calls again");
        let user = stack.user().await;
        let history = Mutex::new(History::default());
        let clients = join_all((0..CLIENTS).map(|number| {
            let mut client = HistoryClient {
                user: user.clone(),
                stack,
                rng: Rng::with_seed(seed.wrapping_add(number)),
                history: &history,
                images: Vec::new(),
                deleted: Vec::new(),
            };
            async move {
                for _ in 0..STEPS {
                    client.step().await;
                }
                client
            }
        }))
        .await;
        let history = std::mem::take(&mut *history.lock().expect("no panic"));
        history.check();

        let mut listed = user.pages("/api/images").await;
        for image in clients.iter().flat_map(|client| &client.images) {
            let at = listed
                .iter()
                .position(|seen| seen["id"] == image.created.id)
                .unwrap_or_else(|| panic!("{} is lost", image.created.id));
            let seen = listed.swap_remove(at);
            assert_eq!(seen["title"], format!("Caf\u{e9} {}", image.title));
            assert_eq!(seen["visibility"], image.visibility);
            assert_eq!(seen["status"], image.status);
        }
        assert!(listed.is_empty(), "back from the dead: {listed:?}");
        for id in clients.iter().flat_map(|client| &client.deleted) {
            stack.no_blobs(id).await;
        }
        for title in 0..TITLES {
            let held = history.holds.iter().any(|hold| hold.title == title && hold.given_back.is_none());
            let answer = user.post("/api/images", Picture::small().draft(&format!("Caf\u{e9} {title}"))).await;
            assert_eq!(answer.status, if held { 409 } else { 201 }, "{answer}");
        }
        let ready = clients.iter().flat_map(|client| &client.images).filter(|image| image.status == "ready").count();
        let me = user.get("/api/me").await.assert_json(200);
        assert_eq!(me["usage"].number("images"), ready as u64);
    });
}
