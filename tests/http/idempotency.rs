//! Idempotency-Key: a creation that is asked for again is not done again.

use std::collections::HashSet;

use futures_util::future::join_all;

use crate::fixtures::Picture;
use crate::harness::{Created, on_stack, unique};

#[test]
fn same_key_and_body_return_same_image_and_working_upload() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::small();
        let (key, body) = (unique(), picture.draft("Harbour"));
        let create = async || {
            let answer = user.post("/api/images", body.clone()).header("idempotency-key", &key).await;
            Created::from(answer.assert_json(201))
        };
        let first = create().await;
        let again = create().await;
        assert_eq!(again.id, first.id);
        assert_eq!(again.image["created_at"], first.image["created_at"]);
        assert_eq!(user.pages("/api/images").await.len(), 1);
        again.put(stack, &picture.bytes).await.assert_status(200);
        user.ready(&first.id).await;
    });
}

#[test]
fn the_same_key_with_another_body_is_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let key = unique();
        let create =
            |title: &str| user.post("/api/images", Picture::small().draft(title)).header("idempotency-key", &key);
        create("Harbour").await.assert_status(201);
        create("Port").await.assert_problem(422, "idempotency_mismatch");
        assert_eq!(user.pages("/api/images").await.len(), 1);
    });
}

#[test]
fn a_key_is_its_users_own() {
    on_stack(async |stack| {
        let (one, other) = (stack.user().await, stack.user().await);
        let key = unique();
        for (user, title) in [(&one, "Harbour"), (&other, "Harbour")] {
            user.post("/api/images", Picture::small().draft(title))
                .header("idempotency-key", &key)
                .await
                .assert_status(201);
        }
        assert_eq!(one.pages("/api/images").await.len(), 1);
        assert_eq!(other.pages("/api/images").await.len(), 1);
    });
}

#[test]
fn of_simultaneous_requests_with_one_key_one_image_comes() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let (key, body) = (unique(), Picture::small().draft("Harbour"));
        let requests = (0..20).map(|_| user.post("/api/images", body.clone()).header("idempotency-key", &key).send());
        let mut ids = HashSet::new();
        for answer in join_all(requests).await {
            if answer.status == 201 {
                ids.insert(Created::from(answer.assert_json(201)).id);
            } else {
                answer.assert_problem(409, "in_progress");
            }
        }
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert_eq!(user.pages("/api/images").await.len(), 1);
    });
}
