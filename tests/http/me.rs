//! /api/me

use serde_json::json;

use crate::fixtures::Picture;
use crate::harness::{Body, eventually, on_stack};

#[test]
fn a_new_user_has_the_default_plan_and_has_used_nothing() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let me = user.get("/api/me").await.assert_json(200);
        assert_eq!(me["plan"], "Basic");
        assert_eq!(me["is_admin"], false);
        assert_eq!(me["usage"], json!({"images": 0, "bytes": 0}));
        let created = me.str("created_at");
        assert!(created.ends_with('Z') && created.contains('T'), "{created}");
    });
}

#[test]
fn the_plan_of_a_user_without_a_plan_is_null() {
    on_stack(async |stack| {
        let user = stack.user_without_plan().await;
        let me = user.get("/api/me").await.assert_json(200);
        assert!(me["plan"].is_null(), "{me}");
    });
}

#[test]
fn usage_counts_ready_images_until_they_are_deleted() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::small();
        let usage = async || user.get("/api/me").await.assert_json(200)["usage"].clone();
        let image = user.publish("Harbour", picture).await;
        eventually("one image in the usage", async || {
            (usage().await == json!({"images": 1, "bytes": picture.bytes.len()})).then_some(())
        })
        .await;
        user.delete(format!("/api/images/{}", image.str("id"))).await.assert_status(204);
        eventually("an empty usage", async || (usage().await == json!({"images": 0, "bytes": 0})).then_some(())).await;
    });
}

#[test]
fn a_new_name_shows_everywhere() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let before = user.pending("Harbour").await;
        assert_eq!(before.image["owner"]["name"], user.name);
        let me = user.patch("/api/me", json!({"name": "Augusta Ada"})).await.assert_json(200);
        assert_eq!(me["name"], "Augusta Ada");
        assert_eq!(user.get("/api/me").await.assert_json(200)["name"], "Augusta Ada");
        let image = user.image(&before.id).await;
        assert_eq!(image["owner"], json!({"id": user.api_id, "name": "Augusta Ada"}));
    });
}

#[test]
fn only_the_name_can_be_changed() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let fields = user
            .patch("/api/me", json!({"email": "other@example.com", "plan": "Enterprise", "is_admin": true}))
            .await
            .invalid_fields();
        assert_eq!(fields, ["email", "is_admin", "plan"]);
        let me = user.get("/api/me").await.assert_json(200);
        assert_eq!(me["email"], user.email);
        assert_eq!(me["plan"], "Basic");
    });
}

#[test]
fn a_name_is_text_of_some_length() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for name in [json!(""), json!("   "), json!(7), json!("n".repeat(5000))] {
            let fields = user.patch("/api/me", json!({"name": name})).await.invalid_fields();
            assert_eq!(fields, ["name"]);
        }
        assert_eq!(user.patch("/api/me", json!({"name": null})).await.assert_json(200)["name"], user.name);
    });
}

#[test]
fn a_profile_has_a_tag_that_changes_with_it() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tag = user.get("/api/me").await.must_header("etag").to_owned();
        let unchanged = user.get("/api/me").header("if-none-match", &tag).await.assert_status(304);
        assert!(unchanged.body.is_empty());
        user.patch("/api/me", json!({"name": "Augusta"})).header("if-match", &tag).await.assert_status(200);
        user.patch("/api/me", json!({"name": "Late"})).header("if-match", &tag).await.problem(412);
        user.get("/api/me").header("if-none-match", &tag).await.assert_status(200);
        assert_eq!(user.get("/api/me").await.assert_json(200)["name"], "Augusta");
    });
}

#[test]
fn a_profile_is_for_its_user_alone() {
    on_stack(async |stack| {
        stack.get("/api/me").await.assert_status(401);
        stack.patch("/api/me", json!({"name": "Nobody"})).await.assert_status(401);
    });
}
