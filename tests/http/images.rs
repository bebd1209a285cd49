//! /api/images and /api/images/{id}

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Body, User, on_stack, parts, unknown_id};

fn ids(images: &[Value]) -> Vec<String> {
    images.iter().map(|image| image.str("id").to_owned()).collect()
}

/// Pending images, newest first.
async fn several(user: &User, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(user.pending(&format!("Picture {number}")).await.id);
    }
    ids.reverse();
    ids
}

fn time(value: &Value) -> DateTime {
    let text = value.as_str().expect("a time is text");
    assert!(text.ends_with('Z'), "{text} is not UTC");
    DateTime::from_str(text, DateTimeFormat::DateTime).expect("a time is RFC 3339")
}

#[test]
fn a_new_image_is_pending_and_has_the_fields_of_its_request() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::small();
        let sha256 = picture.sha256();
        let created = user
            .create_with(
                "Harbour at dusk",
                picture,
                json!({"description": "Boats", "visibility": "private", "sha256": sha256}),
            )
            .await;
        let image = &created.image;
        assert_eq!(image["title"], "Harbour at dusk");
        assert_eq!(image["description"], "Boats");
        assert_eq!(image["visibility"], "private");
        assert_eq!(image["content_type"], "image/jpeg");
        assert_eq!(image["size"], picture.bytes.len());
        assert_eq!(image["sha256"], sha256);
        assert_eq!(image["status"], "pending");
        assert_eq!(image["owner"], json!({"id": user.api_id, "name": user.name}));
        assert_eq!(image["thumbnails"], json!([]));
        assert!(image["image_url"].is_null());
        assert!(image["width"].is_null() && image["height"].is_null());
        assert_eq!(time(&image["created_at"]), time(&image["updated_at"]));
        assert_eq!(&user.image(&created.id).await, image);
    });
}

#[test]
fn an_image_is_public_and_undescribed_unless_it_says_otherwise() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.pending("Harbour").await.image;
        assert_eq!(image["visibility"], "public");
        assert!(image["description"].is_null() || image["description"] == "", "{image}");
    });
}

#[test]
fn an_id_is_opaque_short_and_safe_in_a_url() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let id = user.pending("Harbour").await.id;
        assert!(id.len() <= 64);
        assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'), "{id}");
        assert_eq!(parts(&id).0.to_string(), user.id);
    });
}

#[test]
fn everything_wrong_with_an_image_is_said_at_once() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let fields = user
            .post(
                "/api/images",
                json!({
                    "title": "",
                    "description": "d".repeat(1025),
                    "visibility": "secret",
                    "content_type": "image/svg+xml",
                    "size": 0,
                    "sha256": "ABC",
                }),
            )
            .await
            .invalid_fields();
        assert_eq!(fields, ["content_type", "description", "sha256", "size", "title", "visibility"]);
        let fields = user.post("/api/images", json!({})).await.invalid_fields();
        assert_eq!(fields, ["content_type", "size", "title"]);
        let fields = user
            .post("/api/images", json!({"title": 5, "content_type": ["image/png"], "size": "12"}))
            .await
            .invalid_fields();
        assert_eq!(fields, ["content_type", "size", "title"]);
    });
}

#[test]
fn limits_are_inclusive() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let draft = |title: &str, size: u64, description: &str| json!({"title": title, "content_type": "image/png", "size": size, "description": description});
        // Characters count, not bytes.
        let long = "ä".repeat(256);
        for body in [draft("t", 1, ""), draft(&long, 50 << 20, &"é".repeat(1024))] {
            user.post("/api/images", body).await.assert_status(201);
        }
        for (body, field) in [
            (draft(&"ä".repeat(257), 1, ""), "title"),
            (draft("  \u{a0} ", 1, ""), "title"),
            (draft("u", (50 << 20) + 1, ""), "size"),
            (draft("u", 1, &"é".repeat(1025)), "description"),
        ] {
            assert_eq!(user.post("/api/images", body).await.invalid_fields(), [field]);
        }
    });
}

#[test]
fn other_types_than_those_of_images_are_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for kind in [
            "image/jpeg",
            "image/png",
            "image/webp",
            "image/gif",
            "image/tiff",
            "image/bmp",
            "image/heic",
            "image/avif",
        ] {
            user.post("/api/images", json!({"title": kind, "content_type": kind, "size": 9})).await.assert_status(201);
        }
        for kind in ["image/svg+xml", "text/html", "IMAGE/X", "", "jpeg", "; image/png", "image/png image/gif"] {
            let fields =
                user.post("/api/images", json!({"title": "t", "content_type": kind, "size": 9})).await.invalid_fields();
            assert_eq!(fields, ["content_type"], "{kind}");
        }
    });
}

#[test]
fn a_type_that_is_switched_off_is_refused_by_name() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let formats = [("IMAGE_FORMATS", "jpeg,png")];
        let draft = |kind: &str| json!({"title": kind, "content_type": kind, "size": 9});
        let create = stack.function_with("create_image", &formats).await;
        let answer = create.call(Some(&user), "POST", "/api/images", Some(draft("image/heif"))).await;
        let message = "HEIC is switched off in this service: must be one of image/jpeg, image/png";
        assert_eq!(answer.problem(422)["errors"][0]["message"], message);
        create.call(Some(&user), "POST", "/api/images", Some(draft("image/jpg"))).await.assert_status(201);
        let batch = stack.function_with("create_batch", &formats).await;
        let body = json!({"images": [draft("image/gif"), draft("image/png")]});
        let answer = batch.call(Some(&user), "POST", "/api/images/batch", Some(body)).await.assert_json(207);
        assert_eq!((&answer["results"][0]["status"], &answer["results"][1]["status"]), (&json!(422), &json!(201)));
        let plans = stack.function_with("list_plans", &formats).await;
        let answer = plans.call(None, "GET", "/api/plans", None).await.assert_json(200);
        assert_eq!(answer["content_types"], json!(["image/jpeg", "image/png"]));
    });
}

#[test]
fn an_alias_of_a_type_is_stored_as_the_registered_type() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for (declared, registered) in [
            ("image/jpg", "image/jpeg"),
            ("image/pjpeg", "image/jpeg"),
            ("IMAGE/JPEG", "image/jpeg"),
            ("image/jpeg; charset=binary", "image/jpeg"),
            (" Image/X-PNG;q=1", "image/png"),
            ("image/heif", "image/heic"),
        ] {
            let draft = json!({"title": declared, "content_type": declared, "size": 9});
            let created = user.post("/api/images", draft).await.assert_json(201);
            assert_eq!(created["image"]["content_type"], registered, "{declared}");
            assert_eq!(created["upload"]["headers"]["content-type"], registered, "{declared}");
        }
        let picture = Picture::small();
        let created = user.create_with("Alias", picture, json!({"content_type": "image/JPG; a=b"})).await;
        created.put(stack, &picture.bytes).await.assert_status(200);
        assert_eq!(user.ready(&created.id).await["content_type"], "image/jpeg");
        let batch = json!({"images": [{"title": "One", "content_type": "image/jpg", "size": 9}]});
        let answer = user.post("/api/images/batch", batch).await.assert_json(207);
        assert_eq!(answer["results"][0]["upload"]["headers"]["content-type"], "image/jpeg");
    });
}

#[test]
fn titles_and_descriptions_refuse_u_0000() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let draft = json!({"title": "a\0b", "description": "a\0b", "content_type": "image/png", "size": 9});
        assert_eq!(user.post("/api/images", draft).await.invalid_fields(), ["description", "title"]);
        let path = format!("/api/images/{}", user.pending("Harbour").await.id);
        let change = json!({"title": "\0", "description": "\u{0}x"});
        assert_eq!(user.patch(&path, change).await.invalid_fields(), ["description", "title"]);
        user.patch(&path, json!({"description": "two\nlines"})).await.assert_status(200);
    });
}

#[test]
fn null_stands_for_an_optional_field_that_is_left_out() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let draft = json!({
            "title": "Harbour", "content_type": "image/png", "size": 9,
            "description": null, "visibility": null, "sha256": null,
        });
        let image = user.post("/api/images", draft).await.assert_json(201)["image"].clone();
        assert_eq!((&image["description"], &image["visibility"]), (&json!(""), &json!("public")));
        let path = format!("/api/images/{}", image.str("id"));
        let change = json!({"title": null, "description": "Kept", "visibility": null});
        let changed = user.patch(&path, change).await.assert_json(200);
        assert_eq!((changed.str("title"), changed.str("description")), ("Harbour", "Kept"));
        let unchanged = user.patch(&path, json!({"description": null})).await.assert_json(200);
        assert_eq!(unchanged["description"], "Kept");
        let required = json!({"title": null, "content_type": "image/png", "size": null});
        assert_eq!(user.post("/api/images", required).await.invalid_fields(), ["size", "title"]);
        let batch = json!({"images": [{"title": "Two", "content_type": "image/png", "size": 9, "sha256": null}]});
        assert_eq!(user.post("/api/images/batch", batch).await.assert_json(207)["results"][0]["status"], 201);
        user.post("/api/images/delete", json!({"ids": [image["id"]], "all": null})).await.assert_status(200);
    });
}

#[test]
fn a_wrong_item_of_a_list_is_named_by_its_position() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let ids = json!({"ids": [1, "x", null, {"id": 2}]});
        let fields = user.post("/api/images/delete", ids).await.invalid_fields();
        assert_eq!(fields, ["ids[0]", "ids[2]", "ids[3]"]);
    });
}

#[test]
fn a_filtered_page_is_full_though_few_of_many_images_match() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let found = user.pending("Wanted").await.id;
        let drafts: Vec<Value> = (0..200)
            .map(|index| json!({"title": format!("Photo {index}"), "content_type": "image/png", "size": 9}))
            .collect();
        user.post("/api/images/batch", json!({"images": drafts})).await.assert_status(207);
        for filter in ["title_prefix=Want", "title_prefix=Want&limit=1", "title_prefix=Want&status=pending&limit=2"] {
            let page = user.get(format!("/api/images?{filter}")).await.assert_json(200);
            assert_eq!(ids(page.list("results")), std::slice::from_ref(&found), "{filter}");
        }
        let none = user.get("/api/images?status=ready&limit=1").await.assert_json(200);
        assert!(none.list("results").is_empty() && none["next_cursor"].is_null(), "{none}");
        let all = user.pages("/api/images?title_prefix=Photo&limit=7").await;
        assert_eq!(all.len(), 200);
        let page = user.get("/api/images?title_prefix=Photo&limit=7").await.assert_json(200);
        assert_eq!(page.list("results").len(), 7);
    });
}

#[test]
fn a_field_that_does_not_exist_is_refused_by_name() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let fields = user
            .post(
                "/api/images",
                json!({"title": "t", "content_type": "image/png", "size": 9, "owner": "me", "tags": []}),
            )
            .await
            .invalid_fields();
        assert_eq!(fields, ["owner", "tags"]);
        let id = user.pending("Harbour").await.id;
        let fields = user.patch(format!("/api/images/{id}"), json!({"status": "ready"})).await.invalid_fields();
        assert_eq!(fields, ["status"]);
    });
}

#[test]
fn creating_needs_a_plan_but_existing_images_stay_accessible() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let pending = user.pending("Harbour").await;
        let ready = user.publish("Lighthouse", Picture::small()).await;
        stack.set_plan(&user.id, None).await;

        user.post("/api/images", Picture::small().draft("Quay")).await.assert_problem(403, "plan_required");
        user.post(format!("/api/images/{}/upload", pending.id), json!({})).await.assert_problem(403, "plan_required");
        assert_eq!(user.pages("/api/images").await.len(), 2);
        let path = format!("/api/images/{}", ready.str("id"));
        user.get(&path).await.assert_status(200);
        user.delete(&path).await.assert_status(204);
        user.delete(format!("/api/images/{}", pending.id)).await.assert_status(204);
    });
}

#[test]
fn an_image_can_be_renamed_described_and_hidden_at_once() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let path = format!("/api/images/{}", created.id);
        let changed = user
            .patch(&path, json!({"title": "Port", "description": "Ships", "visibility": "private"}))
            .await
            .assert_json(200);
        assert_eq!(changed["id"], created.id);
        assert_eq!(changed["title"], "Port");
        assert_eq!(changed["description"], "Ships");
        assert_eq!(changed["visibility"], "private");
        assert_eq!(changed["created_at"], created.image["created_at"]);
        assert!(time(&changed["updated_at"]).as_nanos() >= time(&created.image["updated_at"]).as_nanos());
        let seen = user.image(&created.id).await;
        for field in ["title", "description", "visibility", "updated_at"] {
            assert_eq!(seen[field], changed[field]);
        }
    });
}

#[test]
fn an_absent_field_stays_as_it_was() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user
            .create_with("Harbour", Picture::small(), json!({"description": "Boats", "visibility": "private"}))
            .await;
        let path = format!("/api/images/{}", created.id);
        user.patch(&path, json!({"title": "Port"})).await.assert_status(200);
        let image = user.patch(&path, json!({})).await.assert_json(200);
        assert_eq!(image["title"], "Port");
        assert_eq!(image["description"], "Boats");
        assert_eq!(image["visibility"], "private");
        let image = user.patch(&path, json!({"description": ""})).await.assert_json(200);
        assert!(image["description"].is_null() || image["description"] == "", "{image}");
    });
}

#[test]
fn a_change_is_validated_like_a_creation() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let fields = user
            .patch(
                format!("/api/images/{}", created.id),
                json!({"title": " ", "description": "d".repeat(1025), "visibility": 1}),
            )
            .await
            .invalid_fields();
        assert_eq!(fields, ["description", "title", "visibility"]);
        assert_eq!(user.image(&created.id).await, created.image);
    });
}

#[test]
fn changing_another_users_image_is_forbidden_whether_it_exists_or_not() {
    on_stack(async |stack| {
        let owner = stack.user().await;
        let other = stack.user().await;
        let private = owner.create_with("Harbour", Picture::small(), json!({"visibility": "private"})).await.id;
        let public = owner.publish("Quay", Picture::small()).await;
        let ids = [private.clone(), public.str("id").to_owned(), unknown_id(&owner.id)];
        let mut answers = Vec::new();
        for id in &ids {
            let path = format!("/api/images/{id}");
            for call in [
                other.patch(&path, json!({"title": "Mine"})),
                other.delete(&path),
                other.post(format!("{path}/upload"), json!({})),
            ] {
                let mut problem = call.await.assert_problem(403, "not_owner");
                problem["instance"].take();
                answers.push(problem);
            }
            stack.patch(&path, json!({"title": "Mine"})).await.assert_status(401);
            stack.delete(&path).await.assert_status(401);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "the answers differ: {answers:?}");
        assert_eq!(owner.image(&private).await["title"], "Harbour");
        assert_eq!(owner.image(&ids[1]).await["title"], "Quay");
    });
}

#[test]
fn an_id_of_ones_own_that_names_nothing_is_not_found() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let path = format!("/api/images/{}", unknown_id(&user.id));
        user.get(&path).await.problem(404);
        user.patch(&path, json!({"title": "t"})).await.problem(404);
        user.delete(&path).await.problem(404);
        user.post(format!("{path}/upload"), json!({})).await.problem(404);
    });
}

#[test]
fn an_invalid_id_is_not_found() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for id in [
            "1",
            "nonsense",
            "%00",
            "%2e%2e",
            "a%2Fb",
            &"a".repeat(52),
            &"A".repeat(52),
            &"A".repeat(300),
            "%F0%9F%90%B3",
        ] {
            let path = format!("/api/images/{id}");
            user.get(&path).await.problem(404);
            stack.get(&path).await.problem(404);
            for status in [user.patch(&path, json!({"title": "t"})).await.status, user.delete(&path).await.status] {
                assert!(matches!(status, 403 | 404), "{path}: {status}");
            }
        }
    });
}

#[test]
fn a_deleted_image_is_nowhere_to_be_read_at_once() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let id = user.publish("Harbour", Picture::small()).await.str("id").to_owned();
        let path = format!("/api/images/{id}");
        user.delete(&path).await.assert_status(204);
        user.get(&path).await.problem(404);
        stack.get(&path).await.problem(404);
        user.patch(&path, json!({"title": "t"})).await.problem(404);
        user.delete(&path).await.problem(404);
        assert!(user.pages("/api/images").await.is_empty());
    });
}

#[test]
fn a_list_shows_ones_own_images_newest_first() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let other = stack.user().await;
        other.pending("Not yours").await;
        let expected = several(&user, 5).await;
        let page = user.get("/api/images").await.assert_json(200);
        assert_eq!(ids(page.list("results")), expected);
        assert!(page["next_cursor"].is_null());
        assert_eq!(page.list("results")[0], user.image(&expected[0]).await, "a list and a look show the same");
        stack.get("/api/images").await.assert_status(401);
    });
}

#[test]
fn a_list_comes_in_pages() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let expected = several(&user, 7).await;
        let first = user.get("/api/images?limit=3").await;
        let link = first.must_header("link").to_owned();
        let first = first.assert_json(200);
        assert_eq!(ids(first.list("results")), expected[..3]);
        let cursor = first.str("next_cursor");
        let second = user.get(format!("/api/images?limit=3&cursor={cursor}")).await.assert_json(200);
        assert_eq!(ids(second.list("results")), expected[3..6]);

        let (target, relation) = link
            .strip_prefix('<')
            .and_then(|rest| rest.split_once('>'))
            .unwrap_or_else(|| panic!("a strange link: {link}"));
        assert!(relation.contains("rel=\"next\""), "{link}");
        let followed = user.get(target).await.assert_json(200);
        assert_eq!(ids(followed.list("results")), expected[3..6]);

        let last = user.get(format!("/api/images?limit=3&cursor={}", second.str("next_cursor"))).await;
        assert!(last.header("link").is_none_or(|link| !link.contains("next")));
        let last = last.assert_json(200);
        assert_eq!(ids(last.list("results")), expected[6..]);
        assert!(last["next_cursor"].is_null());
    });
}

#[test]
fn fifty_images_are_a_page_unless_asked_otherwise() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let creating = (0..51).map(|number| {
            let user = user.clone();
            async move { user.pending(&format!("Picture {number}")).await }
        });
        join_all(creating).await;
        let page = user.get("/api/images").await.assert_json(200);
        assert_eq!(page.list("results").len(), 50);
        assert_eq!(user.pages("/api/images").await.len(), 51);
        let page = user.get("/api/images?limit=100").await.assert_json(200);
        assert_eq!(page.list("results").len(), 51);
    });
}

#[test]
fn paging_neither_repeats_nor_skips_while_images_come_and_go() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let initial = several(&user, 12).await;
        let mut seen = Vec::new();
        let mut target = "/api/images?limit=3".to_owned();
        let mut gone = Vec::new();
        for round in 0.. {
            let page = user.get(&target).await.assert_json(200);
            seen.extend(ids(page.list("results")));
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            target = format!("/api/images?limit=3&cursor={cursor}");
            user.pending(&format!("Meanwhile {round}")).await;
            // The last one seen, on which a cursor may stand, and one still to come.
            let victims = [
                seen.last().cloned(),
                initial.iter().rev().find(|id| !seen.contains(id) && !gone.contains(*id)).cloned(),
            ];
            if round < 2 {
                for id in victims.into_iter().flatten() {
                    user.delete(format!("/api/images/{id}")).await.assert_status(204);
                    gone.push(id);
                }
            }
        }
        let mut once = seen.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), seen.len(), "an image came twice");
        for id in initial.iter().filter(|id| !gone.contains(id)) {
            assert!(seen.contains(id), "{id} was there throughout and was skipped");
        }
    });
}

#[test]
fn a_list_can_be_narrowed_by_visibility_status_and_title() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let hidden = user.hide("Harbour at night", Picture::small()).await;
        let shown = user.publish("Harbour at noon", Picture::small()).await;
        let waiting = user.pending("Lighthouse").await;
        for (filter, expected) in [
            ("visibility=private", vec![hidden.str("id")]),
            ("visibility=public", vec![waiting.id.as_str(), shown.str("id")]),
            ("status=pending", vec![waiting.id.as_str()]),
            ("status=ready", vec![shown.str("id"), hidden.str("id")]),
            ("status=rejected", vec![]),
            ("title_prefix=Harbour", vec![shown.str("id"), hidden.str("id")]),
            ("title_prefix=Harbour%20at%20ni", vec![hidden.str("id")]),
            ("title_prefix=Harbour&visibility=public&status=ready", vec![shown.str("id")]),
        ] {
            let found = user.pages(&format!("/api/images?{filter}")).await;
            assert_eq!(ids(&found), expected, "{filter}");
        }
    });
}

#[test]
fn a_narrowed_list_still_reaches_everything_in_pages() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for number in 0..9 {
            let title = if number % 4 == 0 { "Rare" } else { "Common" };
            user.pending(&format!("{title} {number}")).await;
        }
        let found = user.pages("/api/images?title_prefix=Rare&limit=2").await;
        let titles: Vec<&str> = found.iter().map(|image| image.str("title")).collect();
        assert_eq!(titles, ["Rare 8", "Rare 4", "Rare 0"]);
    });
}

async fn refuses_bad_queries(user: &User, list: &str) {
    for limit in ["0", "101", "-1", "ten", "", "1e1"] {
        let fields = user.get(format!("{list}?limit={limit}")).await.invalid_fields();
        assert_eq!(fields, ["limit"], "limit={limit}");
    }
    let good = {
        let page = user.get(format!("{list}?limit=1")).await.assert_json(200);
        page.str("next_cursor").to_owned()
    };
    let mut tampered = good.clone().into_bytes();
    let middle = tampered.len() / 2;
    tampered[middle] = if tampered[middle] == b'A' { b'B' } else { b'A' };
    for cursor in
        ["nonsense", "AAAA", "%00", &good[..good.len() - 2], &String::from_utf8(tampered).expect("text stays text")]
    {
        user.get(format!("{list}?cursor={cursor}")).await.assert_problem(400, "bad_cursor");
    }
}

#[test]
fn a_bad_limit_or_cursor_is_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        several(&user, 2).await;
        refuses_bad_queries(&user, "/api/images").await;
        for filter in ["visibility=secret", "status=lost"] {
            let field = filter.split('=').next().expect("a name");
            assert_eq!(user.get(format!("/api/images?{filter}")).await.invalid_fields(), [field]);
        }
    });
}

#[test]
fn a_cursor_serves_only_the_list_and_the_user_it_was_made_for() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let other = stack.user().await;
        several(&user, 2).await;
        let page = user.get("/api/images?limit=1").await.assert_json(200);
        let cursor = page.str("next_cursor");
        other.get(format!("/api/images?cursor={cursor}")).await.assert_problem(400, "bad_cursor");
        user.get(format!("/api/explore?cursor={cursor}")).await.assert_problem(400, "bad_cursor");
    });
}

#[test]
fn an_image_has_a_tag_that_changes_with_it() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let path = format!("/api/images/{}", user.pending("Harbour").await.id);
        let tag = user.get(&path).await.must_header("etag").to_owned();
        let unchanged = user.get(&path).header("if-none-match", format!("\"other\", {tag}")).await.assert_status(304);
        assert!(unchanged.body.is_empty());
        assert_eq!(unchanged.must_header("etag"), tag);
        user.patch(&path, json!({"title": "Port"})).header("if-match", &tag).await.assert_status(200);
        user.patch(&path, json!({"title": "Late"})).header("if-match", &tag).await.problem(412);
        user.get(&path).header("if-none-match", &tag).await.assert_status(200);
        user.patch(&path, json!({"description": "Any"})).header("if-match", "*").await.assert_status(200);
        assert_eq!(user.get(&path).await.assert_json(200)["title"], "Port");
    });
}

#[test]
fn of_simultaneous_changes_to_one_version_exactly_one_succeeds() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let path = format!("/api/images/{}", user.pending("Harbour").await.id);
        let tag = user.get(&path).await.must_header("etag").to_owned();
        let changes = (0..12).map(|number| {
            user.patch(&path, json!({"description": format!("By {number}")})).header("if-match", &tag).send()
        });
        let mut won = Vec::new();
        for (number, answer) in join_all(changes).await.into_iter().enumerate() {
            if answer.status == 200 {
                won.push(format!("By {number}"));
            } else {
                answer.problem(412);
            }
        }
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!(user.get(&path).await.assert_json(200)["description"], won[0]);
    });
}

#[test]
fn simultaneous_changes_without_a_version_all_succeed() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let path = format!("/api/images/{}", user.pending("Harbour").await.id);
        let changes = (0..6).map(|number| user.patch(&path, json!({"description": format!("By {number}")})).send());
        for answer in join_all(changes).await {
            answer.assert_status(200);
        }
    });
}
