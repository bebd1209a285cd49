//! The functions' logs: what they say of each request and message, and what they never say.

use http::Method;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, Created, Fault, PASSWORD, Stack, eventually, on_stack, unique};

fn log(stack: &Stack) -> String {
    let log = std::fs::read(&stack.log).expect("the stack's log can be read");
    String::from_utf8_lossy(&log).into_owned()
}

/// The values of `field` in the spans of an event.
fn of_span<'a>(event: &'a Value, field: &str) -> &'a str {
    let spans = event["spans"].as_array().into_iter().flatten();
    spans.filter_map(|span| span[field].as_str()).next().unwrap_or_default()
}

/// The first event of a function whose line has `text`.
async fn event(stack: &Stack, function: &str, text: &str) -> Value {
    eventually(&format!("an event of {function} with {text}"), async || {
        log(stack).lines().filter(|line| line.contains(text)).find_map(|line| {
            let (name, event) = line.split_once(' ')?;
            if name == function { serde_json::from_str(event).ok() } else { None }
        })
    })
    .await
}

/// The event of an answered request.
async fn request(stack: &Stack, function: &str, answer: &Answer) -> Value {
    let event = event(stack, function, answer.must_header("x-request-id")).await;
    assert_eq!(event["fields"]["status"], answer.status, "{event}");
    assert_eq!(of_span(&event, "route"), function, "{event}");
    event
}

fn signature(url: &str) -> &str {
    let (_, rest) = url.split_once("X-Amz-Signature=").unwrap_or_else(|| panic!("{url} is not signed"));
    rest.split('&').next().expect("a signature")
}

#[test]
fn logs_name_requests_images_and_jobs_and_hold_no_token_password_or_address() {
    on_stack(async |stack| {
        let user = stack.user_on("Enterprise").await;
        let [wrong, new, link_password, title, description] =
            ["wrong", "new", "open", "title", "about"].map(|word| format!("{word}-{}", unique()));
        let login = "/api/auth/login";
        stack.post(login, json!({"email": user.email, "password": wrong})).await.assert_status(401);
        let answer = stack
            .post(login, json!({"email": user.email, "password": PASSWORD, "cookie": true}))
            .await
            .assert_status(200);
        request(stack, "login", &answer).await;
        let cookie = answer.must_header("set-cookie").split(';').next().expect("a pair").to_owned();
        let renewed = stack.post("/api/auth/refresh", json!({})).header("cookie", &cookie).await.assert_json(200);
        stack.get("/api/me").token(&format!("{}x", user.access_token)).await.assert_status(401);

        let picture = Picture::small();
        let mut draft = picture.draft(&title);
        draft["description"] = description.clone().into();
        draft["visibility"] = "private".into();
        let answer = user.post("/api/images", draft.clone()).await.assert_status(201);
        let created = Created::from(answer.json());
        let image = created.id.as_str();
        assert_eq!(of_span(&request(stack, "create_image", &answer).await, "image"), image);
        user.post("/api/images", draft).await.assert_problem(409, "title_taken");
        created.put(stack, &picture.bytes).await.assert_status(200);
        let ready = user.ready(image).await;
        let built = event(stack, "build_thumbnails", image).await;
        assert_eq!(of_span(&built, "image"), image, "{built}");
        assert_ne!(of_span(&built, "message_id"), "", "{built}");
        let answer = user.get(format!("/api/images/{image}")).await.assert_status(200);
        assert_eq!(of_span(&request(stack, "get_image", &answer).await, "image"), image);

        let link = user.link(&ready, json!({"password": link_password})).await;
        let link_url = link.str("link_url");
        let visit = async |password: &str| {
            let body = format!("password={password}").into_bytes();
            let call = stack.call(Method::POST, link_url);
            call.header("content-type", "application/x-www-form-urlencoded").body(body).await
        };
        visit(&wrong).await;
        let visited = visit(&link_password).await;
        assert_eq!(of_span(&request(stack, "visit_link", &visited).await, "image"), image);

        stack.post("/api/auth/forgot-password", json!({"email": user.email})).await.assert_status(202);
        let code = stack.mailed_code(&user.email, 2).await;
        let reset = json!({"email": user.email, "code": code, "new_password": new});
        stack.post("/api/auth/reset-password", reset).await.assert_status(204);
        let session = eventually("a session that begins after the reset", async || {
            let session = stack.login(&user.email, &new).await.assert_json(200);
            let token = session.str("access_token");
            if stack.get("/api/me").token(token).await.status == 200 { Some(session) } else { None }
        })
        .await;
        let delete = stack.call(Method::DELETE, "/api/me").token(session.str("access_token"));
        let answer = delete.json(&json!({"password": new})).await.assert_status(202);
        let job = answer.json()["job"].str("id").to_owned();
        assert_eq!(of_span(&request(stack, "delete_me", &answer).await, "job"), job);
        assert_eq!(of_span(&event(stack, "run_job", &job).await, "job"), job);
        assert_eq!(of_span(&event(stack, "sweep", image).await, "image"), image);

        let secrets = [
            user.email.split('@').next().expect("a local part"),
            PASSWORD,
            &wrong,
            &new,
            &link_password,
            &title,
            &description,
            &user.access_token,
            &user.refresh_token,
            renewed.str("access_token"),
            session.str("access_token"),
            session.str("refresh_token"),
            cookie.split_once('=').expect("a value").1,
            link_url.rsplit('/').nth(1).expect("a token"),
            signature(created.upload.str("url")),
            signature(visited.must_header("location")),
            &stack.client_secret,
        ];
        let log = log(stack);
        for secret in secrets {
            let line = log.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret} is in the log: {}", line.unwrap_or_default());
        }
    });
}

#[test]
fn calls_that_the_sdk_retries_are_logged() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("get_me").await;
        for fault in [Fault::json(500, "InternalServerError"), Fault::Refuse] {
            function.proxy.rule("BatchGetItem", 1, fault);
            function.call(Some(&user), "GET", "/api/me", None).await.assert_status(200);
        }
        let retries: Vec<Value> =
            function.log().into_iter().filter(|event| event["fields"]["operation"] == "BatchGetItem").collect();
        assert_eq!(retries.len(), 2, "{retries:?}");
        for (event, cause) in retries.iter().zip(["status 500", "no answer"]) {
            assert_eq!(event["level"], "WARN", "{event}");
            assert_eq!(event["fields"]["service"], "DynamoDB", "{event}");
            assert_eq!(event["fields"]["attempt"], 2, "{event}");
            assert_eq!(event["fields"]["cause"], cause, "{event}");
            assert_eq!(of_span(event, "route"), "get_me", "{event}");
        }
    });
}

#[test]
fn events_of_the_audit_name_what_its_page_is_of() {
    on_stack(async |stack| {
        let function = stack.function("audit").await;
        function.proxy.rule("Scan", 1, Fault::json(500, "InternalServerError"));
        let page = json!({"mend": false, "grace_seconds": 0, "place": null});
        function.invoke(page).await.expect("the audit checks a page");
        let log = function.log();
        let retried = log.iter().find(|event| event["fields"]["operation"] == "Scan").expect("a retry");
        assert_eq!(of_span(retried, "of"), "items", "{retried}");
    });
}
