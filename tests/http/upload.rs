//! The presigned PUT, and /api/images/{id}/upload

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use reqwest::Url;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fixtures::Picture;
use crate::harness::{Body, Created, on_stack};

fn query(created: &Created) -> HashMap<String, String> {
    query_of(&Url::parse(created.upload.str("url")).expect("an upload URL is absolute"))
}

fn query_of(url: &Url) -> HashMap<String, String> {
    url.query_pairs().map(|(name, value)| (name.to_lowercase(), value.into_owned())).collect()
}

#[test]
fn an_upload_is_a_put_for_15_minutes() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        assert_eq!(created.upload["method"], "PUT");
        assert!(created.upload.str("expires_at").ends_with('Z'));
        let query = query(&created);
        assert_eq!(query["x-amz-expires"], "900");
        for header in ["content-length", "content-type", "if-none-match"] {
            assert!(
                query["x-amz-signedheaders"].split(';').any(|signed| signed == header),
                "{header} is not signed: {query:?}"
            );
        }
    });
}

#[test]
fn an_upload_as_instructed_becomes_a_ready_image() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::small();
        let created = user.create_with("Harbour", picture, json!({"sha256": picture.sha256()})).await;
        created.put(stack, &picture.bytes).await.assert_status(200);
        let image = user.ready(&created.id).await;
        assert_eq!(image["width"], 320);
        assert_eq!(image["height"], 240);
        assert_eq!(image["size"], picture.bytes.len());
        assert_eq!(image["sha256"], picture.sha256());
        assert!(!image.str("placeholder").is_empty());
        assert!(image["reject_reason"].is_null());
        let item = stack.image_item(&created.id).await.expect("an item");
        assert!(!item.contains_key("expires_at"));
    });
}

#[test]
fn another_size_is_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let bytes = &Picture::small().bytes;
        let longer = [bytes.as_slice(), b"more"].concat();
        created.put(stack, &longer).await.assert_status(403);
        created.put(stack, &bytes[..bytes.len() - 1]).await.assert_status(403);
        created.put(stack, &[]).await.assert_status(403);
        assert!(stack.blobs(&created.id).await.is_empty());
        created.put(stack, bytes).await.assert_status(200);
    });
}

#[test]
fn another_type_is_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let bytes = &Picture::small().bytes;
        for other in ["text/html", "image/png"] {
            created.put_with(stack, bytes, &[("content-type", other)]).await.assert_status(403);
        }
        assert!(stack.blobs(&created.id).await.is_empty());
    });
}

#[test]
fn other_bytes_than_the_hash_names_are_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::small();
        let created = user.create_with("Harbour", picture, json!({"sha256": picture.sha256()})).await;
        let mut other = picture.bytes.clone();
        *other.last_mut().expect("bytes") ^= 1;
        let answer = created.put(stack, &other).await;
        assert!(matches!(answer.status, 400 | 403), "{answer}");
        assert!(stack.blobs(&created.id).await.is_empty());
        created.put(stack, &picture.bytes).await.assert_status(200);
    });
}

#[test]
fn a_signed_hash_cannot_be_left_out_or_changed() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::small();
        let created = user.create_with("Harbour", picture, json!({"sha256": picture.sha256()})).await;
        let headers = created.upload["headers"].as_object().expect("headers");
        let (name, _) = headers
            .iter()
            .find(|(name, _)| name.to_lowercase() == "x-amz-checksum-sha256")
            .unwrap_or_else(|| panic!("the hash is not among {headers:?}"));
        // The hash of nothing.
        let other = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let mut without = created.clone();
        without.upload["headers"].as_object_mut().expect("headers").remove(name);
        for answer in
            [created.put_with(stack, &picture.bytes, &[(name, other)]).await, without.put(stack, &picture.bytes).await]
        {
            assert!(matches!(answer.status, 400 | 403), "{answer}");
        }
        assert!(stack.blobs(&created.id).await.is_empty());
    });
}

#[test]
fn a_second_upload_is_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let first = Picture::small().bytes.clone();
        created.put(stack, &first).await.assert_status(200);
        let mut second = first.clone();
        *second.last_mut().expect("bytes") ^= 1;
        created.put(stack, &second).await.assert_status(412);
        user.ready(&created.id).await;
        created.put(stack, &second).await.assert_status(412);
        let mut without = created.clone();
        without.upload["headers"]
            .as_object_mut()
            .expect("headers")
            .retain(|name, _| !name.eq_ignore_ascii_case("if-none-match"));
        without.put(stack, &second).await.assert_status(403);
    });
}

#[test]
fn an_upload_url_serves_no_other_key_and_no_other_method() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let (one, other) = (user.pending("One").await, user.pending("Other").await);
        let mut crossed = one.clone();
        let mut url = Url::parse(one.upload.str("url")).expect("a URL");
        url.set_path(Url::parse(other.upload.str("url")).expect("a URL").path());
        crossed.upload["url"] = json!(url.as_str());
        crossed.put(stack, &Picture::small().bytes).await.assert_status(403);
        for method in [Method::GET, Method::DELETE, Method::HEAD] {
            stack.call(method, one.upload.str("url")).await.assert_status(403);
        }
        one.put(stack, &Picture::small().bytes).await.assert_status(200);
        stack.get(one.upload.str("url")).await.assert_status(403);
    });
}

#[test]
fn a_pending_image_gets_a_fresh_upload_url_and_more_time() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let expires = async || {
            let item = stack.image_item(&created.id).await.expect("an item");
            let claim = stack.claim(&user.id, "Harbour").await.expect("a claim");
            let number = |item: &HashMap<String, aws_sdk_dynamodb::types::AttributeValue>| -> u64 {
                item["expires_at"].as_n().expect("a time is a number").parse().expect("a whole number")
            };
            (number(&item), number(&claim))
        };
        let (first, claim) = expires().await;
        assert_eq!(first, claim);
        // Some of its time has passed.
        stack.age_pending(&created.id, "Harbour", 3600).await;
        assert_eq!(expires().await, (first - 3600, first - 3600));
        let answer = user.post(format!("/api/images/{}/upload", created.id), json!({})).await.assert_json(200);
        let (again, claim) = expires().await;
        assert_eq!(again, claim);
        assert!(again >= first, "{again} is before {first}");
        let fresh = Created { upload: answer["upload"].clone(), ..created.clone() };
        fresh.put(stack, &Picture::small().bytes).await.assert_status(200);
        user.ready(&created.id).await;
    });
}

#[test]
fn an_image_that_is_not_pending_gets_no_upload_url() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        user.post(format!("/api/images/{}/upload", image.str("id")), json!({})).await.problem(409);
    });
}

#[test]
fn a_browser_may_upload_from_another_origin() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        let answer = stack
            .call(Method::OPTIONS, created.upload.str("url"))
            .header("origin", &stack.url)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", "content-type,if-none-match")
            .await
            .assert_status(200);
        answer.must_header("access-control-allow-origin");
        assert!(answer.must_header("access-control-allow-methods").contains("PUT"));
    });
}

/// Signs an upload URL anew, as of another moment and otherwise as it is: AWS's Signature Version 4 in the query
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>), with the key that tests have.
fn signed_at(created: &Created, date: &str) -> String {
    let url = Url::parse(created.upload.str("url")).expect("an upload URL is absolute");
    let headers = created.upload["headers"].as_object().expect("upload headers");
    let scope = format!("{}/us-east-1/s3/aws4_request", &date[..8]);
    let mut pairs: Vec<String> = url
        .query()
        .expect("a query")
        .split('&')
        .filter_map(|pair| match pair.split_once('=').expect("a pair").0 {
            "X-Amz-Signature" => None,
            "X-Amz-Date" => Some(format!("X-Amz-Date={date}")),
            "X-Amz-Credential" => Some(format!("X-Amz-Credential=test%2F{}", scope.replace('/', "%2F"))),
            _ => Some(pair.to_owned()),
        })
        .collect();
    pairs.sort();
    let query = pairs.join("&");
    let signed = query_of(&url)["x-amz-signedheaders"].clone();
    let host = format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
    let of_header = |name: &str| match name {
        "host" => format!("host:{host}\n"),
        name => format!("{name}:{}\n", headers[name].as_str().expect("a header's text")),
    };
    let canonical = format!(
        "PUT\n{}\n{query}\n{}\n{signed}\nUNSIGNED-PAYLOAD",
        url.path(),
        signed.split(';').map(of_header).collect::<String>()
    );
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let key = scope.split('/').chain([text.as_str()]).fold(b"AWS4test".to_vec(), |key, part| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("keys of any length");
        mac.update(part.as_bytes());
        mac.finalize().into_bytes().to_vec()
    });
    format!("{}?{query}&X-Amz-Signature={}", url.as_str().split('?').next().expect("a start"), hex(&key))
}

fn minutes_ago(minutes: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let at = DateTime::from_secs(i64::try_from(now - minutes * 60).expect("not so far"));
    at.fmt(DateTimeFormat::DateTime).expect("a date").replace(['-', ':'], "")
}

#[test]
fn an_upload_after_its_15_minutes_is_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::small();
        // Its own process signs with the tests' key.
        let function = stack.function("create_image").await;
        for (minutes, status) in [(14, 200), (16, 403)] {
            let mut draft = picture.draft(&format!("{minutes} minutes ago"));
            draft["sha256"] = json!(picture.sha256());
            let mut created =
                Created::from(function.call(Some(&user), "POST", "/api/images", Some(draft)).await.assert_json(201));
            let url = created.upload.str("url").to_owned();
            // This is how the product signs: of the same moment it is the same URL.
            let again = signed_at(&created, &query(&created)["x-amz-date"]);
            let sorted = |url: &str| {
                let mut pairs: Vec<String> =
                    url.split_once('?').expect("a query").1.split('&').map(str::to_owned).collect();
                pairs.sort();
                pairs
            };
            assert_eq!(sorted(&again), sorted(&url));
            created.upload["url"] = json!(signed_at(&created, &minutes_ago(minutes)));
            created.put(stack, &picture.bytes).await.assert_status(status);
            if status == 200 {
                user.ready(&created.id).await;
                continue;
            }
            assert!(stack.blobs(&created.id).await.is_empty());
            // As it was signed it still serves.
            created.upload["url"] = json!(url);
            created.put(stack, &picture.bytes).await.assert_status(200);
            user.ready(&created.id).await;
        }
    });
}
