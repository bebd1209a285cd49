//! The functions' logs: what they say of each request and message, and what they never say.

use std::net::UdpSocket;

use http::Method;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{
    Answer, Body, Created, Fault, FunctionUnderTest, PASSWORD, Stack, TRACE, eventually, on_stack, unique,
};
use crate::kills::{told_of, unbuild};

fn log(stack: &Stack) -> String {
    let log = std::fs::read(&stack.log).expect("the stack's log can be read");
    String::from_utf8_lossy(&log).into_owned()
}

/// The first value of `field` in the line that ends an invocation, or in the spans of an event.
fn about<'a>(event: &'a Value, field: &str) -> &'a str {
    let spans = event["spans"].as_array().into_iter().flatten();
    [event].into_iter().chain(spans).filter_map(|span| span[field].as_str()).next().unwrap_or_default()
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
    assert_eq!(event["status"], answer.status, "{event}");
    assert_eq!(about(&event, "route"), function, "{event}");
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
        assert_eq!(about(&request(stack, "create_image", &answer).await, "image"), image);
        user.post("/api/images", draft).await.assert_problem(409, "title_taken");
        created.put(stack, &picture.bytes).await.assert_status(200);
        let ready = user.ready(image).await;
        let built = event(stack, "build_thumbnails", image).await;
        assert_eq!(about(&built, "image"), image, "{built}");
        assert_ne!(about(&built, "message_id"), "", "{built}");
        let answer = user.get(format!("/api/images/{image}")).await.assert_status(200);
        assert_eq!(about(&request(stack, "get_image", &answer).await, "image"), image);

        let link = user.link(&ready, json!({"password": link_password})).await;
        let link_url = link.str("link_url");
        let visit = async |password: &str| {
            let body = format!("password={password}").into_bytes();
            let call = stack.call(Method::POST, link_url);
            call.header("content-type", "application/x-www-form-urlencoded").body(body).await
        };
        visit(&wrong).await;
        let visited = visit(&link_password).await;
        assert_eq!(about(&request(stack, "visit_link", &visited).await, "image"), image);

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
        assert_eq!(about(&request(stack, "delete_me", &answer).await, "job"), job);
        assert_eq!(about(&event(stack, "run_job", &job).await, "job"), job);
        assert_eq!(about(&event(stack, "sweep", image).await, "image"), image);

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
            assert_eq!(about(event, "route"), "get_me", "{event}");
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
        assert_eq!(about(retried, "of"), "items", "{retried}");
    });
}

/// The line that ends a function's latest invocation, once there are `count`.
async fn ended(function: &FunctionUnderTest, count: usize) -> Value {
    eventually(&format!("the ends of {count} invocations"), async || {
        let lines: Vec<Value> = function.log().into_iter().filter(|line| line["_aws"].is_object()).collect();
        (lines.len() == count).then(|| lines[count - 1].clone())
    })
    .await
}

#[test]
fn each_request_logs_its_calls_to_aws_and_its_metrics() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("create_image").await;
        // A presigned URL is no call.
        for (index, calls) in
            ["BatchGetItem 2, TransactWriteItems 1", "BatchGetItem 1, TransactWriteItems 1"].into_iter().enumerate()
        {
            let draft = Picture::small().draft(&format!("Harbour {index}"));
            function.call(Some(&user), "POST", "/api/images", Some(draft)).await.assert_status(201);
            let line = ended(&function, index + 1).await;
            let made = function.proxy.take_calls().len();
            assert_eq!((&line["AwsCalls"], &line["AwsRetries"]), (&json!(made), &json!(0)), "{line}");
            assert_eq!((&line["Stack"], &line["route"]), (&json!("tintype"), &json!("create_image")));
            let said = (&line["level"], &line["message"], &line["method"], &line["status"], &line["calls"]);
            let request = (&json!("INFO"), &json!("Request answered"), &json!("POST"), &json!(201), &json!(calls));
            assert_eq!(said, request, "{line}");
            // RFC 3339: Lambda takes a line without it for INFO, whatever its level is.
            let stamp = line.str("timestamp");
            assert!(stamp.len() >= 20 && &stamp[10..11] == "T" && stamp.ends_with('Z'), "{line}");
            let [latency, aws] = ["Latency", "AwsLatency"].map(|name| line[name].as_f64().expect("a number"));
            assert!(aws > 0.0 && latency > aws, "{line}");
            // Nothing else is written of a request that needed no retry.
            assert_eq!(function.log().len(), index + 1, "{:?}", function.log());
        }

        function.proxy.rule("BatchGetItem", usize::MAX, Fault::json(500, "InternalServerError"));
        let draft = Picture::small().draft("Quay");
        let answer = function.call(Some(&user), "POST", "/api/images", Some(draft)).await;
        assert!(answer.status >= 500, "{answer}");
        let failed = ended(&function, 3).await;
        let made = function.proxy.take_calls().len();
        assert_eq!((&failed["AwsCalls"], &failed["AwsRetries"]), (&json!(made), &json!(made - 1)), "{failed}");
        let said = (&failed["level"], &failed["message"], &failed["status"], &failed["Failures"]);
        assert_eq!(said, (&json!("ERROR"), &json!("Request failed"), &json!(answer.status), &json!(1)), "{failed}");
        assert_ne!(failed["cause"], Value::Null, "{failed}");
    });
}

#[test]
fn workers_log_how_each_invocation_ended_and_its_metrics() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let id = image.str("id");
        stack.builder_is_idle().await;
        unbuild(stack, &user, id).await;
        let builder = stack.function("build_thumbnails").await;
        builder.invoke(told_of(&stack.original_key(id).await)).await.expect("it builds");
        let built = ended(&builder, 1).await;
        let made = builder.proxy.take_calls().len();
        assert_eq!((&built["ImagesBuilt"], &built["AwsCalls"]), (&json!(1), &json!(made)), "{built}");
        let said = (&built["message"], &built["outcome"], &built["route"]);
        assert_eq!(said, (&json!("Invocation ended"), &json!("done"), &json!("build_thumbnails")), "{built}");

        let auditor = stack.function("audit").await;
        auditor.proxy.rule("Scan", usize::MAX, Fault::json(400, "AccessDeniedException"));
        auditor.invoke(json!({})).await.expect_err("it cannot read the table");
        let failed = ended(&auditor, 1).await;
        assert_eq!((&failed["outcome"], &failed["Failures"]), (&json!("failed"), &json!(1)), "{failed}");
    });
}

#[test]
fn sampled_invocation_sends_a_subsegment_for_each_call() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let daemon = UdpSocket::bind("127.0.0.1:0").expect("loopback can be listened on");
        daemon.set_read_timeout(Some(std::time::Duration::from_secs(30))).expect("a time limit");
        let address = daemon.local_addr().expect("it has an address").to_string();
        let function = stack.function_with("get_me", &[("AWS_XRAY_DAEMON_ADDRESS", &address)]).await;
        function.call(Some(&user), "GET", "/api/me", None).await.assert_status(200);
        assert_eq!(ended(&function, 1).await["xrayTraceId"], TRACE);
        for call in function.proxy.take_calls() {
            let mut datagram = [0; 65_536];
            let size = daemon.recv(&mut datagram).expect("a subsegment");
            let text = String::from_utf8_lossy(&datagram[..size]).into_owned();
            let (header, document) = text.split_once('\n').expect("a header and a document");
            let [header, document]: [Value; 2] =
                [header, document].map(|json| serde_json::from_str(json).expect("JSON"));
            assert_eq!(header, json!({"format": "json", "version": 1}));
            assert_eq!(document["aws"]["operation"], call.operation);
            assert!(
                TRACE.contains(document.str("trace_id")) && TRACE.contains(document.str("parent_id")),
                "{document}"
            );
        }
    });
}
