//! What admins do: plans and users, and what a plan limits

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, Created, Fault, Stack, User, on_stack, unique};

fn plan(name: &str) -> Value {
    json!({
        "name": name, "thumbnail_heights": [100, 50], "webp_thumbnails": false, "original_link": true,
        "expiring_links": false,
        "max_image_bytes": 1_000_000, "max_images": 1000,
    })
}

fn with(mut plan: Value, field: &str, value: Value) -> Value {
    plan[field] = value;
    plan
}

async fn new_plan(admin: &User, change: impl FnOnce(Value) -> Value) -> String {
    let name = format!("plan-{}", unique());
    admin.post("/api/plans", change(plan(&name))).await.assert_json(201);
    name
}

async fn all_plans(stack: &Stack) -> Vec<Value> {
    stack.get("/api/plans").await.assert_json(200).list("results").to_vec()
}

#[test]
fn an_admin_makes_a_plan_and_anyone_sees_it() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let name = format!("plan-{}", unique());
        let made = admin.post("/api/plans", plan(&name)).await;
        assert!(made.must_header("location").ends_with(&format!("/api/plans/{name}")));
        let tag = made.must_header("etag").to_owned();
        let made = made.assert_json(201);
        assert_eq!(made, with(plan(&name), "thumbnail_heights", json!([50, 100])));
        let shown = stack.get(format!("/api/plans/{name}")).await;
        assert_eq!(shown.must_header("etag"), tag);
        assert_eq!(shown.assert_json(200), made);
        assert!(all_plans(stack).await.contains(&made));
        admin.post("/api/plans", plan(&name)).await.assert_problem(409, "plan_exists");
        stack.get(format!("/api/plans/{}", unique())).await.assert_problem(404, "not_found");

        let key = unique();
        let other = plan(&format!("plan-{}", unique()));
        let repeated = |body: Value| admin.post("/api/plans", body).header("idempotency-key", &key);
        let first = repeated(other.clone()).await.assert_json(201);
        assert_eq!(repeated(other.clone()).await.assert_json(201), first);
        repeated(with(other, "max_images", json!(1))).await.assert_problem(422, "idempotency_mismatch");
    });
}

#[test]
fn a_plan_that_takes_the_place_of_a_deleted_one_has_other_etags() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let (name, key) = (format!("plan-{}", unique()), unique());
        let path = format!("/api/plans/{name}");
        let create = |key: &str| admin.post("/api/plans", plan(&name)).header("idempotency-key", key);
        let tag = create(&key).await.assert_status(201).must_header("etag").to_owned();
        assert_eq!(create(&key).await.assert_status(201).must_header("etag"), tag);
        admin.delete(&path).await.assert_status(204);
        create(&unique()).await.assert_status(201);
        stack.get(&path).header("if-none-match", &tag).await.assert_status(200);
        let mut rules = plan(&name);
        rules.as_object_mut().expect("an object").remove("name");
        admin.put(&path, rules).header("if-match", &tag).await.assert_problem(412, "precondition_failed");
    });
}

#[test]
fn the_response_of_get_plan_can_be_sent_back_with_put() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let path = format!("/api/plans/{}", new_plan(&admin, |plan| plan).await);
        let read = stack.get(&path).await.assert_json(200);
        let changed = admin.put(&path, read.clone()).await.assert_json(202);
        assert_eq!(changed["plan"], read);
        assert_eq!(stack.get(&path).await.assert_json(200), read);
        // A body without the field, as clients from before it send it, leaves WebP out.
        let mut without = with(read.clone(), "webp_thumbnails", json!(true));
        assert_eq!(admin.put(&path, without.clone()).await.assert_json(202)["plan"], without);
        without.as_object_mut().expect("an object").remove("webp_thumbnails");
        assert_eq!(admin.put(&path, without).await.assert_json(202)["plan"], read);
        let wrong = with(read, "thumbnail_heights", json!([100, "x", 5]));
        let fields = admin.put(&path, wrong).await.invalid_fields();
        assert_eq!(fields, ["thumbnail_heights[1]", "thumbnail_heights[2]"]);
    });
}

#[test]
fn all_invalid_fields_of_a_plan_are_reported_at_once() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let body = json!({
            "name": "a/b", "thumbnail_heights": [15], "original_link": 1, "max_image_bytes": 0, "max_images": -1, "x": 1,
        });
        assert_eq!(
            admin.post("/api/plans", body).await.invalid_fields(),
            ["expiring_links", "max_image_bytes", "max_images", "name", "original_link", "thumbnail_heights[0]", "x"]
        );
        for (heights, field) in [
            (json!([4097]), "thumbnail_heights[0]"),
            (json!([100, 1.5]), "thumbnail_heights[1]"),
            (json!((1..=9).map(|n| n * 100).collect::<Vec<_>>()), "thumbnail_heights"),
            (json!("200"), "thumbnail_heights"),
        ] {
            let body = with(plan(&unique()), "thumbnail_heights", heights);
            assert_eq!(admin.post("/api/plans", body).await.invalid_fields(), [field]);
        }
    });
}

#[test]
fn users_who_are_not_administrators_are_rejected() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        // All that a user can write of themselves.
        user.patch("/api/me", json!({"name": "[admins]"})).await.assert_json(200);
        let user = user.another_session().await;
        for (method, path) in [
            (Method::POST, "/api/plans".to_owned()),
            (Method::PUT, "/api/plans/Premium".to_owned()),
            (Method::DELETE, "/api/plans/Premium".to_owned()),
            (Method::DELETE, format!("/api/plans/{}", unique())),
            (Method::GET, "/api/users".to_owned()),
            (Method::PUT, format!("/api/users/{}/plan", user.api_id)),
        ] {
            stack.call(method.clone(), &path).by(&user).json(&plan("Mine")).await.assert_problem(403, "not_admin");
            stack.call(method, &path).json(&plan("Mine")).await.assert_status(401);
        }
        assert_eq!(user.get("/api/me").await.assert_json(200)["is_admin"], false);
    });
}

#[test]
fn a_plan_is_deleted_only_without_users_and_unchanged() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let name = new_plan(&admin, |plan| plan).await;
        let user = stack.user_on(&name).await;
        let path = format!("/api/plans/{name}");
        admin.delete(&path).await.assert_problem(409, "plan_in_use");
        stack.set_plan(&user.id, Some("Basic")).await;
        admin.delete(&path).header("if-match", "\"99\"").await.assert_problem(412, "precondition_failed");
        admin.delete(&path).await.assert_status(204);
        admin.delete(&path).await.assert_problem(404, "not_found");
        assert!(!all_plans(stack).await.iter().any(|plan| plan["name"] == name));
        admin.delete("/api/plans/Basic").await.assert_problem(409, "plan_in_use");
    });
}

#[test]
fn users_are_found_by_how_their_email_begins() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let user = stack.user_on("Premium").await;
        let found =
            admin.get(format!("/api/users?email_prefix={}", &user.email[..30].to_uppercase())).await.assert_json(200);
        let [found] = found.list("results") else { panic!("one user: {found}") };
        assert_eq!(found["id"], user.api_id);
        assert_eq!(found["email"], user.email);
        assert_eq!(found["name"], user.name);
        assert_eq!(found["plan"], "Premium");
        assert_eq!(found["confirmed"], true);
        assert!(
            admin
                .get(format!("/api/users?email_prefix={}", unique()))
                .await
                .assert_json(200)
                .list("results")
                .is_empty()
        );
        assert_eq!(admin.get("/api/users?email_prefix=%22").await.invalid_fields(), ["email_prefix"]);
        for (length, found) in [(128, true), (129, false)] {
            let answer = admin.get(format!("/api/users?email_prefix={}", "a".repeat(length))).await;
            if found {
                assert!(answer.assert_json(200).list("results").is_empty());
            } else {
                assert_eq!(answer.invalid_fields(), ["email_prefix"]);
            }
        }

        let page = admin.get("/api/users?limit=1").await.assert_json(200);
        let (first, cursor) = (page.list("results")[0]["id"].clone(), page.str("next_cursor").to_owned());
        let next = admin.get(format!("/api/users?limit=1&cursor={cursor}")).await.assert_json(200);
        assert_ne!(next.list("results")[0]["id"], first);
        for bad in [&cursor[1..], "x", "AAAA"] {
            admin.get(format!("/api/users?limit=1&cursor={bad}")).await.assert_problem(400, "bad_cursor");
        }
        admin.get(format!("/api/users?email_prefix=a&cursor={cursor}")).await.assert_problem(400, "bad_cursor");
    });
}

#[test]
fn a_cursor_of_users_that_the_pool_no_longer_takes_is_a_bad_cursor() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let cursor = admin.get("/api/users?limit=1").await.assert_json(200).str("next_cursor").to_owned();
        let function = stack.function("list_users").await;
        let target = format!("/api/users?limit=1&cursor={cursor}");
        function.call(Some(&admin), "GET", &target, None).await.assert_status(200);
        function.proxy.rule(
            "ListUsers",
            2,
            Fault::of_the_pool("InvalidParameterException", "Invalid pagination token."),
        );
        function.call(Some(&admin), "GET", &target, None).await.assert_problem(400, "bad_cursor");
        let prefixed = function.call(Some(&admin), "GET", "/api/users?email_prefix=a%28", None).await;
        assert_eq!(prefixed.invalid_fields(), ["email_prefix"]);
    });
}

#[test]
fn a_plan_limits_how_many_images_and_how_large() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let picture = Picture::small();
        let few = new_plan(&admin, |plan| with(plan, "max_images", json!(2))).await;
        let user = stack.user_on(&few).await;
        let first = user.hide("One", picture).await;
        user.hide("Two", picture).await;
        user.post("/api/images", picture.draft("Three")).await.assert_problem(403, "image_limit");
        user.delete(format!("/api/images/{}", first.str("id"))).await.assert_status(204);
        user.hide("Three", picture).await;

        // A request that is repeated has its first answer, though the plan allows neither image any more.
        let user = stack.user_on(&few).await;
        let (single, several) = (unique(), unique());
        let create = |title: &str| user.post("/api/images", picture.draft(title)).header("idempotency-key", &single);
        let batch = |title: &str| {
            let body = json!({"images": [picture.draft(title)]});
            user.post("/api/images/batch", body).header("idempotency-key", &several)
        };
        let one = Created::from(create("One").await.assert_json(201));
        let two = batch("Two").await.assert_json(207)["results"][0].clone();
        let two = Created::from(json!({"image": {"id": two["id"]}, "upload": two["upload"]}));
        for created in [&one, &two] {
            created.put(stack, &picture.bytes).await.assert_status(200);
            user.ready(&created.id).await;
        }
        let narrow = new_plan(&admin, |plan| with(plan, "max_image_bytes", json!(1))).await;
        for plan in [&few, &narrow] {
            stack.set_plan(&user.id, Some(plan)).await;
            assert_eq!(Created::from(create("One").await.assert_json(201)).id, one.id);
            assert_eq!(batch("Two").await.assert_json(207)["results"][0]["id"], two.id);
            create("Other").await.assert_problem(422, "idempotency_mismatch");
            batch("Other").await.assert_problem(422, "idempotency_mismatch");
        }
        assert_eq!(user.pages("/api/images").await.len(), 2);

        let size = picture.bytes.len();
        let exact = new_plan(&admin, |plan| with(plan, "max_image_bytes", json!(size))).await;
        let less = new_plan(&admin, |plan| with(plan, "max_image_bytes", json!(size - 1))).await;
        let user = stack.user_on(&exact).await;
        let pending = user.pending("One").await;
        stack.set_plan(&user.id, Some(&less)).await;
        assert_eq!(user.post("/api/images", picture.draft("Two")).await.invalid_fields(), ["size"]);
        user.post(format!("/api/images/{}/upload", pending.id), json!({}))
            .await
            .assert_problem(403, "too_large_for_plan");
    });
}

#[test]
fn of_simultaneous_makers_of_one_plan_one_makes_it() {
    on_stack(async |stack| {
        let admin = stack.admin().await;
        let name = format!("plan-{}", unique());
        let answers = join_all((0..8).map(|_| admin.post("/api/plans", plan(&name)).send())).await;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1);
        for answer in answers.into_iter().filter(|answer| answer.status != 201) {
            answer.assert_problem(409, "plan_exists");
        }
    });
}
