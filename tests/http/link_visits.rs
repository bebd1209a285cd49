//! /media/exp: what a link gives, to whom, how often and until when

use std::collections::HashMap;

use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use reqwest::Url;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::fixtures::Picture;
use crate::harness::{
    Answer, BASE32, Body, Call, Fault, FunctionUnderTest, Stack, User, aws_config, eventually, on_stack,
};

async fn owner(stack: &'static Stack) -> User {
    stack.user_on("Enterprise").await
}

fn token(link: &Value) -> &str {
    link.str("link_url").rsplit('/').nth(1).expect("a token")
}

fn signed_for(answer: &Answer) -> u64 {
    let url = Url::parse(answer.must_header("location")).expect("a URL");
    let seconds = url.query_pairs().find(|(name, _)| name == "X-Amz-Expires").expect("it expires").1.into_owned();
    seconds.parse().expect("seconds")
}

/// The name and value of a cookie, as a client returns them.
fn cookie(answer: &Answer) -> String {
    answer.must_header("set-cookie").split(';').next().expect("a pair").to_owned()
}

fn password(stack: &Stack, link: &Value, password: &str) -> Call {
    let body = format!("password={}", password.replace(' ', "+"));
    stack
        .call(Method::POST, link.str("link_url"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.into_bytes())
}

async fn downloads(user: &User, link: &Value) -> u64 {
    user.get(format!("/api/expiring-links/{}", link.str("id"))).await.assert_json(200).number("downloads")
}

#[test]
fn a_link_gives_anyone_the_originals_own_bytes_type_and_a_name() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        for picture in Picture::every_format(64, 48) {
            let image = user.hide(&format!("Évora {}", picture.extension), &picture).await;
            let link = user.link(&image, json!({})).await;
            let answer = stack.get(link.str("link_url")).await.assert_status(302);
            assert_eq!(answer.must_header("cache-control"), "no-store");
            assert_eq!(answer.must_header("referrer-policy"), "no-referrer");
            assert!((1..=60).contains(&signed_for(&answer)));
            let original = stack.get(answer.must_header("location")).await.assert_status(200);
            assert!(original.body == picture.bytes, "other bytes came back");
            assert_eq!(original.must_header("content-type"), picture.content_type);
            let named = original.must_header("content-disposition");
            assert!(named.contains(&format!("filename*=UTF-8''%C3%89vora%20{}", picture.extension)), "{named}");

            let part =
                stack.get(answer.must_header("location")).header("range", "bytes=10-19").await.assert_status(206);
            assert_eq!(part.body, picture.bytes[10..20]);

            let head = stack.head(link.str("link_url")).await.assert_status(302);
            assert_eq!(head.must_header("cache-control"), "no-store");
            let head = stack.head(head.must_header("location")).await.assert_status(200);
            assert_eq!(head.must_header("content-type"), picture.content_type);
            assert_eq!(head.must_header("content-length"), picture.bytes.len().to_string());
        }
    });
}

#[test]
fn a_redirect_does_not_outlive_its_link() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let link = user.link(&image, json!({})).await;
        stack.link_expires_in(link.str("id"), 20).await;
        let signed = signed_for(&stack.get(link.str("link_url")).await.assert_status(302));
        assert!((1..=20).contains(&signed), "{signed}");
        stack.link_expires_in(link.str("id"), 0).await;
        stack.get(link.str("link_url")).await.assert_problem(410, "gone");
    });
}

#[test]
fn every_link_that_does_not_work_answers_the_same() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let deleted = user.hide("Gone", Picture::small()).await;
        let mut urls = Vec::new();
        let revoked = user.link(&image, json!({})).await;
        user.delete(format!("/api/expiring-links/{}", revoked.str("id"))).await.assert_status(204);
        let expired = user.link(&image, json!({})).await;
        stack.link_expires_in(expired.str("id"), -1).await;
        let of_deleted = user.link(&deleted, json!({})).await;
        user.delete(format!("/api/images/{}", deleted.str("id"))).await.assert_status(204);
        let used_up = user.link(&image, json!({"max_downloads": 1})).await;
        stack.get(used_up.str("link_url")).await.assert_status(302);
        let locked = user.link(&image, json!({"max_downloads": 1, "password": "x"})).await;
        password(stack, &locked, "x").await.assert_status(303);
        urls.extend([&revoked, &expired, &of_deleted, &used_up, &locked].map(|link| link.str("link_url").to_owned()));
        let working = user.link(&image, json!({})).await;
        let url = working.str("link_url");
        urls.extend([
            url.replace(".jpg", ".png"),
            url.replace(".jpg", ""),
            url.replace(token(&working), &token(&working)[1..]),
            url.replace(token(&working), &format!("{}A", token(&working))),
            url.replace(token(&working), "x"),
            url.replace(token(&working), "%00"),
            url.replace(token(&working), &"x".repeat(2000)),
            url.replace(token(&working), &"a".repeat(52)),
        ]);
        let shape = |answer: Answer| {
            let mut headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            headers.sort();
            (answer.status, answer.text(), headers)
        };
        let expected = shape(stack.get(&urls[0]).await);
        assert_eq!(expected.0, 410);
        for url in &urls {
            assert_eq!(shape(stack.get(url).await), expected, "{url}");
            assert_eq!(stack.head(url).await.status, 410, "{url}");
            let form = stack.call(Method::POST, url).header("content-type", "application/x-www-form-urlencoded");
            assert_eq!(shape(form.body(b"password=x".to_vec()).await), expected, "{url}");
        }
        stack.get(url).await.assert_status(302);
    });
}

#[test]
fn fifty_clients_get_ten_downloads_exactly_ten_times() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let link = user.link(&image, json!({"max_downloads": 10})).await;
        let answers = join_all((0..50).map(|_| stack.get(link.str("link_url")).send())).await;
        let (given, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 302);
        assert_eq!(given.len(), 10);
        for answer in refused {
            answer.assert_problem(410, "gone");
        }
        assert_eq!(downloads(&user, &link).await, 10);
        // The owner may allow more.
        let path = format!("/api/expiring-links/{}", link.str("id"));
        user.patch(&path, json!({"max_downloads": 11})).await.assert_json(200);
        stack.get(link.str("link_url")).await.assert_status(302);
        stack.get(link.str("link_url")).await.assert_problem(410, "gone");
    });
}

#[test]
fn looking_and_resuming_cost_no_download() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let picture = Picture::small();
        let image = user.hide("Harbour", picture).await;
        let link = user.link(&image, json!({"max_downloads": 2})).await;
        let url = link.str("link_url");
        for _ in 0..5 {
            stack.head(url).await.assert_status(302);
        }
        assert_eq!(downloads(&user, &link).await, 0);
        let first = stack.get(url).header("range", "bytes=0-").await.assert_status(302);
        assert_eq!(downloads(&user, &link).await, 1);
        let set = first.must_header("set-cookie");
        for part in ["HttpOnly", "Max-Age=900", "SameSite=Lax"] {
            assert!(set.contains(part), "{set}");
        }
        assert!(set.contains(&format!("Path=/media/exp/{};", token(&link))), "{set}");
        let cookie = cookie(&first);
        for _ in 0..5 {
            let answer =
                stack.get(url).header("range", "bytes=100-").header("cookie", &cookie).await.assert_status(302);
            let rest = stack.get(answer.must_header("location")).header("range", "bytes=100-").await.assert_status(206);
            assert_eq!(rest.body, picture.bytes[100..]);
        }
        assert_eq!(downloads(&user, &link).await, 1);
        // From the beginning it is a download, cookie or not; and so is a part without the cookie.
        stack.get(url).header("range", "bytes=100-").await.assert_status(302);
        assert_eq!(downloads(&user, &link).await, 2);
        for range in ["bytes=0-", "bytes=-100", "bytes=5-,0-4"] {
            stack.get(url).header("range", range).header("cookie", &cookie).await.assert_problem(410, "gone");
        }
        stack.get(url).header("cookie", &cookie).await.assert_problem(410, "gone");
        stack.get(url).header("range", "bytes=1-").header("cookie", &cookie).await.assert_status(302);
        stack.head(url).header("cookie", &cookie).await.assert_status(302);
        stack.head(url).await.assert_status(410);
    });
}

#[test]
fn a_cookie_serves_its_own_link_for_a_while() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let link = user.link(&image, json!({"max_downloads": 1})).await;
        let other = user.link(&image, json!({"max_downloads": 1})).await;
        let given = cookie(&stack.get(link.str("link_url")).await.assert_status(302));
        stack.get(other.str("link_url")).await.assert_status(302);
        let resume = |link: &Value, cookie: &str| {
            stack.get(link.str("link_url")).header("range", "bytes=9-").header("cookie", cookie).send()
        };
        resume(&link, &given).await.assert_status(302);
        resume(&link, &format!("a=b; {given}; c=d")).await.assert_status(302);
        resume(&other, &given).await.assert_status(410);
        let (name, value) = given.split_once('=').expect("a pair");
        let (until, tag) = value.split_once('.').expect("two parts");
        let until: u64 = until.parse().expect("seconds");
        for forged in [
            format!("{name}={}.{tag}", until + 1),
            format!("{name}={until}.{}", &tag[..21]),
            format!("{name}={until}."),
            format!("{name}={until}"),
            format!("{name}="),
        ] {
            resume(&link, &forged).await.assert_status(410);
        }
        let sign = |until: u64| {
            let mut mac = Hmac::<Sha256>::new_from_slice(stack.signing_key.as_bytes()).expect("any length");
            let id = link.str("id");
            for part in [b"download", id.as_bytes(), token(&link).as_bytes(), b"", &until.to_be_bytes()] {
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part);
            }
            format!("{name}={until}.{}", BASE32.encode(&mac.finalize().into_bytes()))
        };
        assert_eq!(sign(until), given, "signed as the service signs");
        resume(&link, &sign(until - 901)).await.assert_status(410);
        user.patch(format!("/api/expiring-links/{}", link.str("id")), json!({"rotate": true})).await.assert_status(200);
        resume(&link, &given).await.assert_status(410);
    });
}

/// A GET as a browser sends it.
fn browse(stack: &Stack, link: &Value) -> Call {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
    stack.get(link.str("link_url")).header("accept", accept)
}

/// The form that the page's button sends.
fn press(stack: &Stack, link: &Value) -> Call {
    stack.call(Method::POST, link.str("link_url")).header("content-type", "application/x-www-form-urlencoded")
}

#[test]
fn a_page_with_a_button_keeps_previews_from_using_up_a_link() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let picture = Picture::small();
        let image = user.hide("<b>Harbour</b> & {content}", picture).await;
        let link = user.link(&image, json!({"max_downloads": 2})).await;
        for left in [2, 1] {
            let answer = browse(stack, &link).await.assert_status(200);
            assert!(answer.must_header("content-type").starts_with("text/html"));
            assert_eq!(answer.must_header("cache-control"), "no-store");
            assert_eq!(answer.must_header("referrer-policy"), "no-referrer");
            answer.must_header("content-security-policy");
            let page = answer.text();
            assert!(page.contains("&lt;b&gt;Harbour&lt;/b&gt; &amp; {content}"), "{page}");
            assert!(page.contains("<button>Download</button>") && page.contains("method=\"post\""), "{page}");
            assert!(page.contains(&format!("Downloads left: {left} of 2.")), "{page}");
            assert!(!page.contains("type=\"password\""), "{page}");
            assert_eq!(downloads(&user, &link).await, 2 - left, "a look does not count");
            let answer = press(stack, &link).await.assert_status(303);
            assert!(stack.get(answer.must_header("location")).await.assert_status(200).body == picture.bytes);
        }
        browse(stack, &link).await.assert_status(410);
    });
}

#[test]
fn robots_that_show_previews_never_count() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let capped = user.link(&image, json!({"max_downloads": 1})).await;
        let open = user.link(&image, json!({})).await;
        for robot in [
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "TelegramBot (like TwitterBot)",
            "WhatsApp/2.23.20.0",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        ] {
            let ask =
                |link: &Value| stack.get(link.str("link_url")).header("user-agent", robot).header("accept", "*/*");
            assert!(ask(&capped).await.assert_status(200).text().contains("Download"), "{robot}");
            ask(&open).await.assert_status(302);
        }
        assert_eq!((downloads(&user, &capped).await, downloads(&user, &open).await), (0, 0));
        // Programs that do not ask for HTML get the file as ever.
        let answer = stack.get(capped.str("link_url")).header("user-agent", "curl/8.5.0").header("accept", "*/*").await;
        answer.assert_status(302);
        assert_eq!(downloads(&user, &capped).await, 1);
    });
}

#[test]
fn a_dead_link_is_a_page_for_browsers_and_a_problem_for_programs() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let revoked = user.link(&image, json!({})).await;
        user.delete(format!("/api/expiring-links/{}", revoked.str("id"))).await.assert_status(204);
        let used_up = user.link(&image, json!({"max_downloads": 1})).await;
        press(stack, &used_up).await.assert_status(303);
        let mut unknown = revoked.clone();
        unknown["link_url"] = json!(format!("{}/media/exp/nothing/original.jpg", stack.url));
        let mut pages = Vec::new();
        for link in [&revoked, &used_up, &unknown] {
            let answer = browse(stack, link).await.assert_status(410);
            assert!(answer.must_header("content-type").starts_with("text/html"));
            assert_eq!(answer.must_header("cache-control"), "no-store");
            answer.must_header("content-security-policy");
            pages.push(answer.text());
            stack.get(link.str("link_url")).await.assert_problem(410, "gone");
        }
        assert!(pages[0].contains("<h1>") && pages.iter().all(|page| *page == pages[0]), "{pages:?}");

        let locked = user.link(&image, json!({"password": "right"})).await;
        join_all((0..10).map(|_| password(stack, &locked, "wrong").send())).await;
        let answer = password(stack, &locked, "right").header("accept", "text/html").await.assert_status(429);
        assert!(answer.must_header("content-type").starts_with("text/html"));
        answer.must_header("retry-after");
        password(stack, &locked, "right").await.assert_problem(429, "too_many_requests");
    });
}

/// A function behind the CDN, whose secret is this.
async fn behind_the_cdn(stack: &Stack, secret: &str) -> FunctionUnderTest {
    let function = stack.function_with("visit_link", &[("CDN_SECRET", "cdn")]).await;
    // The signing keys are read first, and once.
    function.call(None, "GET", "/media/exp/none/x.jpg", None).await.assert_problem(410, "gone");
    let secret = json!({"ARN": "cdn", "SecretString": json!({"value1": secret}).to_string()});
    let answer = Fault::Answer { status: 200, kind: "application/x-amz-json-1.1", body: secret.to_string() };
    function.proxy.rule("GetSecretValue", usize::MAX, answer);
    function
}

#[test]
fn wrong_passwords_count_by_the_viewer_only_where_the_cdn_says_so() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let link = user.link(&image, json!({"password": "right"})).await;
        let path = Url::parse(link.str("link_url")).expect("a URL").path().to_owned();
        let function = behind_the_cdn(stack, "open-sesame").await;
        let attempt = async |secret: Option<&str>, viewer: &str, password: &str| {
            let mut headers = HashMap::from([("cloudfront-viewer-address".to_owned(), viewer.to_owned())]);
            headers.insert("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
            headers.extend(secret.map(|secret| ("x-tintype-cdn".to_owned(), secret.to_owned())));
            let mut event = function.event_with(None, "POST", &path, headers, None);
            event["body"] = format!("password={password}").into();
            function.invoke(event).await.expect("an answer")["statusCode"].as_u64().expect("a status")
        };
        let cdn = Some("open-sesame");
        for _ in 0..10 {
            assert_eq!(attempt(cdn, "198.51.100.10:46532", "wrong").await, 401);
        }
        assert_eq!(attempt(cdn, "198.51.100.10:1", "right").await, 429);
        assert_eq!(attempt(cdn, "198.51.100.11:1", "right").await, 303);
        assert_eq!(attempt(cdn, "2001:db8::1:1", "wrong").await, 401);
        // Without the CDN's secret a client is who it is, whatever it claims, and however often it claims another.
        for claim in 0..10 {
            let secret = [None, Some("open-barley")][claim % 2];
            assert_eq!(attempt(secret, &format!("198.51.100.{claim}:1"), "wrong").await, 401);
        }
        for secret in [None, Some("open-barley"), Some("")] {
            assert_eq!(attempt(secret, "198.51.100.99:1", "right").await, 429);
        }
        assert_eq!(attempt(cdn, "198.51.100.99:1", "right").await, 303);

        // Nobody is let in by a secret that cannot be read.
        let function = stack.function_with("visit_link", &[("CDN_SECRET", "cdn")]).await;
        let keys = function.call(None, "GET", &path, None).await;
        assert_eq!(keys.status, 401, "{keys}");
        function.proxy.rule("GetSecretValue", usize::MAX, Fault::json(500, "InternalServiceError"));
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-tintype-cdn", "open-sesame")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut event = function.event_with(None, "POST", &path, headers, None);
        event["body"] = "password=right".into();
        assert_eq!(function.invoke(event).await.expect("an answer")["statusCode"], 503);
    });
}

#[test]
fn a_password_is_the_same_however_its_letters_are_composed() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
        for (set, given) in [(composed, "cafe%CC%81"), (decomposed, "caf%C3%A9"), (decomposed, "cafe%CC%81")] {
            let link = user.link(&image, json!({"password": set})).await;
            password(stack, &link, given).await.assert_status(303);
            password(stack, &link, "cafe").await.assert_status(401);
        }
    });
}

#[test]
fn a_password_is_asked_for_by_a_form_and_taken_by_post() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let picture = Picture::small();
        let image = user.hide("Harbour", picture).await;
        let link = user.link(&image, json!({"password": "open sesame", "max_downloads": 3})).await;
        let asked = stack.get(link.str("link_url")).await.assert_status(401);
        let shown = browse(stack, &link).await.assert_status(401).text();
        assert!(shown.contains("Harbour") && shown.contains("name=\"password\""), "{shown}");
        assert!(asked.must_header("content-type").starts_with("text/html"));
        assert_eq!(asked.must_header("cache-control"), "no-store");
        asked.must_header("content-security-policy");
        let page = asked.text();
        assert!(page.contains("method=\"post\"") && page.contains("name=\"password\""), "{page}");
        assert!(!page.contains("{content}") && !page.contains("Harbour"), "{page}");
        stack.head(link.str("link_url")).await.assert_status(401);

        let wrong = password(stack, &link, "open barley").await.assert_status(401);
        assert!(wrong.text().contains("name=\"password\""));
        assert_eq!(wrong.header("location"), None);
        password(stack, &link, "").await.assert_status(401);
        assert_eq!(downloads(&user, &link).await, 0);
        let right = password(stack, &link, "open sesame").await.assert_status(303);
        assert_eq!(right.must_header("cache-control"), "no-store");
        assert!(stack.get(right.must_header("location")).await.assert_status(200).body == picture.bytes);
        assert_eq!(downloads(&user, &link).await, 1);

        let cookie = cookie(&right);
        let resume = || stack.get(link.str("link_url")).header("range", "bytes=5-").header("cookie", &cookie);
        resume().await.assert_status(302);
        stack.get(link.str("link_url")).header("cookie", &cookie).await.assert_status(401);
        stack.call(Method::POST, link.str("link_url")).json(&json!({"password": "open sesame"})).await.problem(415);
        user.patch(format!("/api/expiring-links/{}", link.str("id")), json!({"password": "another"}))
            .await
            .assert_status(200);
        resume().await.assert_status(401);
        password(stack, &link, "open sesame").await.assert_status(401);
        password(stack, &link, "another").await.assert_status(303);
    });
}

#[test]
fn ten_wrong_passwords_shut_the_door_for_a_quarter_of_an_hour() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let link = user.link(&image, json!({"password": "right"})).await;
        let other = user.link(&image, json!({"password": "right"})).await;
        // The right one is no miss.
        password(stack, &link, "right").await.assert_status(303);
        let answers = join_all((0..14).map(|_| password(stack, &link, "wrong").send())).await;
        let missed = answers.iter().filter(|answer| answer.status == 401).count();
        assert_eq!(missed, 10);
        for answer in answers.into_iter().filter(|answer| answer.status != 401) {
            let wait: u64 = answer.must_header("retry-after").parse().expect("seconds");
            assert!((1..=900).contains(&wait), "{wait}");
            answer.assert_problem(429, "too_many_requests");
        }
        password(stack, &link, "right").await.assert_problem(429, "too_many_requests");
        password(stack, &other, "right").await.assert_status(303);
        stack.misses_are_old(link.str("id")).await;
        password(stack, &link, "wrong").await.assert_status(401);
        password(stack, &link, "right").await.assert_status(303);
    });
}

#[test]
fn a_link_is_signed_when_it_is_visited_not_when_it_is_made() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let link = user.link(&image, json!({"expiry_in_seconds": 30_000})).await;
        let item = format!("{:?}", stack.link_item(link.str("id")).await.expect("a link"));
        assert!(!item.contains("X-Amz"), "{item}");
        let signed_at = async || {
            let answer = stack.get(link.str("link_url")).await.assert_status(302);
            let url = Url::parse(answer.must_header("location")).expect("a URL");
            url.query_pairs().find(|(name, _)| name == "X-Amz-Date").expect("a time").1.into_owned()
        };
        let first = signed_at().await;
        crate::harness::eventually("another second", async || (signed_at().await > first).then_some(())).await;
    });
}

#[test]
fn links_take_no_other_method() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let link = user.link(&image, json!({})).await;
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = stack.call(method, link.str("link_url")).await;
            assert_eq!(answer.must_header("allow"), "GET, HEAD, POST");
            answer.problem(405);
        }
    });
}

#[test]
fn a_link_outlives_the_credentials_of_the_function_that_made_it() {
    on_stack(async |stack| {
        let user = owner(stack).await;
        let image = user.hide("Harbour", Picture::small()).await;
        let sts = aws_sdk_sts::Client::new(&aws_config());
        let session = sts.get_session_token().duration_seconds(12).send().await.expect("a session");
        let keys = session.credentials().expect("its keys");
        let keys = [
            ("AWS_ACCESS_KEY_ID", keys.access_key_id()),
            ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key()),
            ("AWS_SESSION_TOKEN", keys.session_token()),
        ];
        let (maker, visitor) =
            (stack.function_with("create_link", &keys).await, stack.function_with("visit_link", &keys).await);
        let body = json!({"base_image": image["id"], "expiry_in_seconds": 30_000});
        let link = maker.call(Some(&user), "POST", "/api/expiring-links", Some(body)).await.assert_json(201);
        let path = Url::parse(link.str("link_url")).expect("a URL").path().to_owned();
        let signed = visitor.call(None, "GET", &path, None).await.assert_status(302).must_header("location").to_owned();
        stack.get(&signed).await.assert_status(200);

        let ended = async || (stack.get(&signed).await.status != 200).then_some(());
        eventually("the credentials to end, and what they signed with them", ended).await;
        let visit = stack.get(link.str("link_url")).await.assert_status(302);
        assert!(stack.get(visit.must_header("location")).await.assert_status(200).body == Picture::small().bytes);
    });
}
