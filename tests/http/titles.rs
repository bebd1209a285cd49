//! An owner never has two images of one title, whatever happens at once.

use futures_util::future::join_all;
use serde_json::json;

use crate::fixtures::Picture;
use crate::harness::{Body, Created, User, eventually, on_stack, unique};

async fn is_free(user: &User, title: &str) -> Created {
    user.pending(title).await
}

async fn is_taken(user: &User, title: &str) {
    user.post("/api/images", Picture::small().draft(title)).await.assert_problem(409, "title_taken");
}

#[test]
#[ignore = "200 requests at once keep the whole stack busy: this test runs alone"]
fn one_of_200_concurrent_creations_of_a_title_succeeds() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let body = Picture::small().draft("The only one");
        let attempts = (0..200).map(async |_| {
            let key = unique();
            // A busy service answers 503 and asks to be asked again.
            eventually("an answer that is not 503", async || {
                let answer = user.post("/api/images", body.clone()).header("idempotency-key", &key).await;
                (answer.status != 503).then_some(answer)
            })
            .await
        });
        let mut created = 0;
        for answer in join_all(attempts).await {
            if answer.status == 201 {
                created += 1;
            } else {
                answer.assert_problem(409, "title_taken");
            }
        }
        assert_eq!(created, 1);
        assert_eq!(user.pages("/api/images").await.len(), 1);
    });
}

#[test]
fn of_simultaneous_renames_to_one_title_exactly_one_succeeds() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let images = join_all((0..20).map(|number| {
            let user = user.clone();
            async move { user.pending(&format!("Old {number}")).await }
        }))
        .await;
        let renames = images
            .iter()
            .map(|image| user.patch(format!("/api/images/{}", image.id), json!({"title": "Wanted"})).send());
        let mut won = 0;
        for answer in join_all(renames).await {
            if answer.status == 200 {
                won += 1;
            } else {
                answer.assert_problem(409, "title_taken");
            }
        }
        assert_eq!(won, 1);
        let images = user.pages("/api/images").await;
        let wanted = images.iter().filter(|image| image["title"] == "Wanted");
        assert_eq!(wanted.count(), 1);
        assert_eq!(images.len(), 20);
    });
}

#[test]
fn two_owners_may_have_the_same_title() {
    on_stack(async |stack| {
        let (one, other) = (stack.user().await, stack.user().await);
        one.pending("Harbour").await;
        other.pending("Harbour").await;
        is_taken(&one, "Harbour").await;
    });
}

#[test]
fn titles_are_the_same_when_they_look_the_same() {
    on_stack(async |stack| {
        let user = stack.user().await;
        // Composed first, then e followed by a combining acute accent.
        let created = user.pending("Caf\u{e9} du port").await;
        assert_eq!(created.image["title"], "Caf\u{e9} du port");
        for same in [
            "Cafe\u{301} du port",
            "  Caf\u{e9} du port",
            "Caf\u{e9} du port \t\n",
            "\u{a0}Cafe\u{301} du port\u{3000}",
        ] {
            is_taken(&user, same).await;
        }
        for different in ["caf\u{e9} du port", "Caf\u{e9}  du port", "Cafe du port"] {
            is_free(&user, different).await;
        }
    });
}

#[test]
fn a_title_can_have_the_separators_of_keys_and_paths() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for title in [
            "a#b",
            "#",
            "TITLE#x#y",
            "../../etc/passwd",
            "a/b",
            "<script>",
            "\"'",
            "🐳",
            "%2F",
            "a\u{0}b",
            "\u{202e}abc",
            "ﬁ",
        ] {
            let answer = user.post("/api/images", Picture::small().draft(title)).await;
            if title.contains('\u{0}') {
                assert!(matches!(answer.status, 201 | 422), "{answer}");
            } else {
                let created = answer.assert_json(201);
                assert_eq!(created["image"]["title"], title);
                is_taken(&user, title).await;
            }
        }
    });
}

#[test]
fn renaming_takes_the_new_title_and_frees_the_old_one() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.pending("Harbour").await;
        let path = format!("/api/images/{}", image.id);
        user.patch(&path, json!({"title": "Port"})).await.assert_status(200);
        is_taken(&user, "Port").await;
        is_free(&user, "Harbour").await;
        user.patch(&path, json!({"title": "Harbour"})).await.assert_problem(409, "title_taken");
        assert_eq!(user.image(&image.id).await["title"], "Port");
    });
}

#[test]
fn renaming_to_the_same_title_or_to_a_spelling_of_it_is_no_conflict() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.pending("Caf\u{e9}").await;
        let path = format!("/api/images/{}", image.id);
        for title in ["Caf\u{e9}", "Cafe\u{301}", "  Caf\u{e9} "] {
            user.patch(&path, json!({"title": title})).await.assert_status(200);
            is_taken(&user, "Caf\u{e9}").await;
        }
        user.delete(&path).await.assert_status(204);
        is_free(&user, "Caf\u{e9}").await;
    });
}

#[test]
fn two_images_can_swap_titles_through_a_third() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let (one, two) = (user.pending("One").await, user.pending("Two").await);
        for (image, title) in [(&one, "Spare"), (&two, "One"), (&one, "Two")] {
            user.patch(format!("/api/images/{}", image.id), json!({"title": title})).await.assert_status(200);
        }
        assert_eq!(user.image(&one.id).await["title"], "Two");
        assert_eq!(user.image(&two.id).await["title"], "One");
        is_free(&user, "Spare").await;
    });
}

#[test]
fn deleting_frees_the_title_at_once() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let pending = user.pending("Harbour").await.id;
        let ready = user.publish("Quay", Picture::small()).await;
        for (id, title) in [(pending.as_str(), "Harbour"), (ready.str("id"), "Quay")] {
            user.delete(format!("/api/images/{id}")).await.assert_status(204);
            is_free(&user, title).await;
        }
    });
}

#[test]
fn an_upload_that_never_came_gives_its_title_back() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let abandoned = user.pending("Harbour").await;
        stack.abandon(&abandoned.id, "Harbour").await;
        user.get(format!("/api/images/{}", abandoned.id)).await.problem(404);
        assert!(user.pages("/api/images").await.is_empty());
        user.post(format!("/api/images/{}/upload", abandoned.id), json!({})).await.problem(404);
        user.patch(format!("/api/images/{}", abandoned.id), json!({"visibility": "private"})).await.problem(404);
        let next = is_free(&user, "Harbour").await;
        assert_ne!(next.id, abandoned.id);
        is_taken(&user, "Harbour").await;
    });
}

#[test]
fn a_rename_takes_a_title_from_an_upload_that_never_came() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let abandoned = user.pending("Harbour").await;
        let other = user.pending("Port").await;
        stack.abandon(&abandoned.id, "Harbour").await;
        user.patch(format!("/api/images/{}", other.id), json!({"title": "Harbour"})).await.assert_status(200);
        is_taken(&user, "Harbour").await;
        is_free(&user, "Port").await;
    });
}

#[test]
fn late_upload_does_not_take_title_from_new_image() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let late = user.pending("Harbour").await;
        stack.abandon(&late.id, "Harbour").await;
        let next = user.pending("Harbour").await;
        late.put(stack, &Picture::small().bytes).await.assert_status(200);
        stack.no_blobs(&late.id).await;
        next.put(stack, &Picture::small().bytes).await.assert_status(200);
        user.ready(&next.id).await;
        user.get(format!("/api/images/{}", late.id)).await.problem(404);
        assert_eq!(user.pages("/api/images").await.len(), 1);
    });
}

#[test]
fn a_ready_image_holds_its_title_for_good() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let claim = stack.claim(&user.id, "Harbour").await.expect("a ready image has a claim");
        assert!(!claim.contains_key("expires_at"), "the claim would expire");
        let item = stack.image_item(image.str("id")).await.expect("a ready image has an item");
        assert!(!item.contains_key("expires_at"), "the image would expire");
        is_taken(&user, "Harbour").await;
    });
}

#[test]
fn a_rejected_image_gives_its_title_back() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let fake = Picture::text_as_jpeg();
        let image = user.create("Harbour", &fake).await;
        image.put(stack, &fake.bytes).await.assert_status(200);
        user.rejected(&image.id).await;
        eventually("the title to be free", async || stack.claim(&user.id, "Harbour").await.is_none().then_some(()))
            .await;
        is_free(&user, "Harbour").await;
        // The rejected one, still listed under the same title, cannot take it back by its end.
        user.delete(format!("/api/images/{}", image.id)).await.assert_status(204);
        is_taken(&user, "Harbour").await;
    });
}
