//! What each route costs in calls to AWS, however much there is; and that no function may do more than that takes.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use serde_json::{Value, json};

use crate::fixtures::Picture;
use crate::harness::{
    Answer, Body, FunctionUnderTest, Need, PASSWORD, Stack, User, administrators_user, eventually, get_user,
    job_message, on_stack, parts, sent, unique, unknown_id,
};
use crate::kills::{told_of, unbuild};
use crate::operate::load;
use crate::plan_changes::{assign, job_over, new_plan, rules, unheard};
use crate::sweeps::removal;

/// The functions whose roles each test holds to what they do.
const OF_IMAGES: &[&str] = &[
    "create_image",
    "delete_image",
    "explore",
    "fallback",
    "get_image",
    "get_openapi",
    "get_original",
    "get_thumbnail",
    "health",
    "list_images",
    "renew_upload",
    "update_image",
];
const OF_ACCOUNTS: &[&str] = &[
    "begin_export",
    "confirm",
    "forgot_password",
    "get_export",
    "get_me",
    "login",
    "logout",
    "refresh",
    "resend_code",
    "reset_password",
    "signup",
    "update_me",
];
const OF_LINKS: &[&str] =
    &["create_link", "delete_link", "get_link", "list_links", "replace_link", "update_link", "visit_link"];
const OF_MANY: &[&str] = &["create_batch", "delete_images", "delete_me", "get_job", "run_job"];
const OF_PLANS: &[&str] =
    &["assign_plan", "create_plan", "delete_plan", "get_plan", "list_plans", "list_users", "replace_plan"];
const OF_THE_PAGE: &[&str] = &["image_page", "page"];
const OF_WORKERS: &[&str] = &["build_thumbnails", "operate", "sweep"];
/// Held in `audit.rs`, where there is something to mend.
pub(crate) const OF_THE_AUDIT: &[&str] = &["audit"];

/// The permissions of a function.
struct Role {
    /// Actions, and the resources they may be done on, with `*` at the end for whatever follows.
    grants: Vec<Need>,
    /// The policies of AWS's own that SAM attaches: writing logs, and reading the queue or stream that calls it.
    attached: Vec<String>,
}

/// The calls that the functions of this run made.
pub(crate) struct Ledger {
    stack: &'static Stack,
    roles: BTreeMap<String, Role>,
    done: BTreeMap<String, BTreeSet<Need>>,
    costs: Vec<String>,
}

impl Ledger {
    pub(crate) fn new(stack: &'static Stack) -> Self {
        let roles = std::env::var("TINTYPE_ROLES").expect("the stack says what its roles allow");
        let roles: BTreeMap<String, Value> = serde_json::from_str(&roles).expect("a role for each function");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let role = |role: Value| Role {
            grants: role.list("grants").iter().map(|grant| (text(&grant[0]), text(&grant[1]))).collect(),
            attached: role.list("attached").iter().map(text).collect(),
        };
        Self {
            stack,
            roles: roles.into_iter().map(|(name, value)| (name, role(value))).collect(),
            done: BTreeMap::new(),
            costs: Vec::new(),
        }
    }

    async fn function(&self, operation: &str) -> FunctionUnderTest {
        self.stack.function(operation).await
    }

    /// Sends a request and holds its calls to the budget. What a function keeps, as the plans, it has by then; what it reads
    /// once before its first request is not counted.
    async fn costs(
        &mut self,
        function: &FunctionUnderTest,
        ask: CountedCall<'_>,
        status: u16,
        budget: &[&str],
    ) -> Answer {
        function.proxy.take_calls();
        let (method, target) = (ask.method, ask.target.clone());
        let (answer, mut calls) = self.ask(function, ask, status).await;
        calls.retain(|call| !["GetSecretValue", "DescribeUserPoolClient"].contains(&call.as_str()));
        let mut budget = budget.to_vec();
        calls.sort_unstable();
        budget.sort_unstable();
        assert_eq!(calls, budget, "{answer}");
        self.costs.push(format!("{method} {target}: {}", calls.join(" + ")));
        answer
    }

    /// Sends a request for what it leaves, at any cost.
    async fn first(&mut self, function: &FunctionUnderTest, ask: CountedCall<'_>, status: u16) -> Answer {
        self.ask(function, ask, status).await.0
    }

    async fn ask(&mut self, function: &FunctionUnderTest, ask: CountedCall<'_>, status: u16) -> (Answer, Vec<String>) {
        let headers = ask.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let answer =
            function.call_with(ask.user, ask.method, &ask.target, headers, ask.body).await.assert_status(status);
        let calls = self.note(function);
        self.done.entry(function.operation.clone()).or_default().extend(signed(&answer));
        (answer, calls)
    }

    pub(crate) fn note(&mut self, function: &FunctionUnderTest) -> Vec<String> {
        let calls = function.proxy.take_calls();
        let done = self.done.entry(function.operation.clone()).or_default();
        done.extend(calls.iter().flat_map(|call| call.needs.iter().cloned()));
        calls.into_iter().map(|call| call.operation).collect()
    }

    /// Holds the roles of these functions to what each was seen to do.
    pub(crate) fn compare(self, functions: &[&str]) {
        let seen: Vec<&str> = self.done.keys().map(String::as_str).collect();
        assert_eq!(seen, functions, "other functions ran");
        let mut wrong = Vec::new();
        for (operation, done) in &self.done {
            let role = &self.roles[operation];
            for (action, resource) in &role.grants {
                // Below a bucket's own prefix anything may stand; nowhere else.
                let scope = resource.strip_suffix("/originals/*").or(resource.strip_suffix("/thumbnails/*"));
                if scope.unwrap_or(resource).contains('*') || action.contains('*') {
                    wrong.push(format!("the role of {operation} is too wide: {action} on {resource}"));
                }
            }
            for need in done.iter().filter(|need| !role.grants.iter().any(|grant| allows(grant, need))) {
                wrong.push(format!("the role of {operation} lacks {} on {}", need.0, need.1));
            }
            let unneeded =
                |grant: &&Need| !done.iter().any(|need| allows(grant, need)) && !is_lambdas(operation, grant);
            for grant in role.grants.iter().filter(unneeded) {
                wrong.push(format!("the role of {operation} does not need {} on {}", grant.0, grant.1));
            }
            let mut attached = vec!["AWSLambdaBasicExecutionRole"];
            match operation.as_str() {
                "build_thumbnails" | "run_job" => attached.push("AWSLambdaSQSQueueExecutionRole"),
                "sweep" => attached.push("AWSLambdaDynamoDBExecutionRole"),
                _ => {}
            }
            if role.attached != attached {
                wrong.push(format!("the role of {operation} has {:?}", role.attached));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        println!("{}", self.costs.join("\n"));
    }
}

/// The calls of Lambda with a function's role: it puts the batches that a stream's function failed into a queue.
fn is_lambdas(operation: &str, (action, resource): &Need) -> bool {
    operation == "sweep" && action == "sqs:SendMessage" && resource.contains("FailedSweeps")
}

fn allows((action, resource): &Need, (wanted, on): &Need) -> bool {
    action == wanted && resource.strip_suffix('*').map_or(resource == on, |start| on.starts_with(start))
}

/// The calls that the presigned URLs of a response allow with the function's role.
fn signed(answer: &Answer) -> Vec<Need> {
    fn texts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
            Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    let mut found: Vec<String> = answer.header("location").map(str::to_owned).into_iter().collect();
    texts(&serde_json::from_slice(&answer.body).unwrap_or_default(), &mut found);
    let urls = found.iter().filter(|text| text.contains("X-Amz-Signature=")).map(|text| Url::parse(text));
    urls.map(|url| {
        let url = url.expect("what is signed is a URL");
        // Only uploads have headers that are signed, besides the host.
        let put = url.query_pairs().any(|(name, value)| name == "X-Amz-SignedHeaders" && value != "host");
        let action = if put { "s3:PutObject" } else { "s3:GetObject" };
        (action.to_owned(), format!("arn:aws:s3:::{}", url.path().trim_start_matches('/')))
    })
    .collect()
}

struct CountedCall<'a> {
    user: Option<&'a User>,
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Option<Value>,
}

fn ask<'a>(
    user: Option<&'a User>,
    method: &'static str,
    target: impl Into<String>,
    body: Option<Value>,
) -> CountedCall<'a> {
    let headers = vec![("content-type", "application/json".to_owned())];
    CountedCall { user, method, target: target.into(), headers, body }
}

fn get(user: Option<&User>, target: impl Into<String>) -> CountedCall<'_> {
    ask(user, "GET", target, None)
}

fn post(user: Option<&User>, target: impl Into<String>, body: Value) -> CountedCall<'_> {
    ask(user, "POST", target, Some(body))
}

impl CountedCall<'_> {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

const READ: &str = "BatchGetItem";
const WRITE: &str = "TransactWriteItems";

#[test]
fn each_route_of_images_stays_in_budget() {
    on_stack(async |stack| {
        let mut ledger = Ledger::new(stack);
        let user = stack.user_on("Premium").await;
        let picture = Picture::small();
        let image = user.publish("Harbour", picture).await;
        let hidden = user.hide("Diary", picture).await;
        let (id, (owner, key)) = (image.str("id").to_owned(), parts(image.str("id")));
        let at = format!("/api/images/{id}");

        let function = ledger.function("create_image").await;
        let created = ledger.first(&function, post(Some(&user), "/api/images", picture.draft("One")), 201).await;
        ledger.costs(&function, post(Some(&user), "/api/images", picture.draft("Two")), 201, &[READ, WRITE]).await;
        ledger.costs(&function, post(Some(&user), "/api/images", picture.draft("Two")), 409, &[READ, WRITE]).await;

        let function = ledger.function("renew_upload").await;
        let renew = format!("/api/images/{}/upload", created.json()["image"].str("id"));
        ledger.first(&function, post(Some(&user), &renew, json!({})), 200).await;
        ledger.costs(&function, post(Some(&user), &renew, json!({})), 200, &[READ, WRITE]).await;

        let function = ledger.function("list_images").await;
        ledger.first(&function, get(Some(&user), "/api/images"), 200).await;
        for limit in [1, 100] {
            let list = get(Some(&user), format!("/api/images?limit={limit}"));
            ledger.costs(&function, list, 200, &[READ, "Query"]).await;
        }

        let function = ledger.function("get_image").await;
        ledger.first(&function, get(None, &at), 200).await;
        ledger.costs(&function, get(None, &at), 200, &[READ]).await;
        ledger.costs(&function, get(Some(&user), &at), 200, &[READ]).await;
        let own = get(Some(&user), format!("/api/images/{}", hidden.str("id")));
        ledger.costs(&function, own, 200, &[READ]).await;

        let function = ledger.function("explore").await;
        ledger.first(&function, get(None, "/api/explore"), 200).await;
        let feed = [READ, "Query", "Query", "Query", "Query"];
        for limit in [1, 50] {
            let target = format!("/api/explore?limit={limit}");
            // An owner who is new in the feed, or whose plan is, costs another read, once. Other tests publish and change
            // plans meanwhile.
            eventually(&format!("{target} to cost {}", feed.join(" + ")), async || {
                let (_, mut calls) = ledger.ask(&function, get(None, &target), 200).await;
                calls.sort_unstable();
                (calls == feed).then_some(())
            })
            .await;
        }

        let function = ledger.function("get_original").await;
        let original = format!("/media/imageupload/{owner}/{key}.jpg");
        ledger.first(&function, get(None, &original), 302).await;
        ledger.costs(&function, get(None, &original), 302, &[READ]).await;

        let function = ledger.function("get_thumbnail").await;
        let thumbnail = format!("/media/thumbnail/{owner}/{key}/200.jpg");
        ledger.costs(&function, get(None, &thumbnail), 200, &[READ, "GetObject"]).await;
        let another = user.publish("Bare", picture).await;
        let (owner, key) = parts(another.str("id"));
        let lost = stack.blobs(another.str("id")).await.into_iter().find(|key| key.starts_with("thumbnails/"));
        stack.s3.delete_object().bucket(&stack.thumbnails).key(lost.expect("one")).send().await.expect("gone");
        let gone = get(None, format!("/media/thumbnail/{owner}/{key}/200.jpg"));
        ledger.costs(&function, gone, 404, &[READ, "GetObject"]).await;
        user.delete(format!("/api/images/{}", another.str("id"))).await.assert_status(204);

        let function = ledger.function("update_image").await;
        let change = |body| ask(Some(&user), "PATCH", &at, Some(body));
        ledger.first(&function, change(json!({"title": "Quay"})), 200).await;
        ledger.costs(&function, change(json!({"title": "Pier", "visibility": "private"})), 200, &[READ, WRITE]).await;

        let function = ledger.function("delete_image").await;
        let delete = || ask(Some(&user), "DELETE", &at, None);
        ledger.costs(&function, delete(), 204, &[READ, WRITE]).await;
        ledger.costs(&function, delete(), 404, &[READ]).await;

        for (operation, target, status) in [
            ("health", "/api/health", 200),
            ("get_openapi", "/api/openapi.json", 200),
            ("fallback", "/api/nothing", 404),
        ] {
            let function = ledger.function(operation).await;
            ledger.costs(&function, get(None, target), status, &[]).await;
        }
        ledger.compare(OF_IMAGES);
    });
}

#[test]
fn each_route_of_accounts_stays_in_budget() {
    on_stack(async |stack| {
        let mut ledger = Ledger::new(stack);
        let email = format!("ada-{}@example.com", unique());
        let signup = json!({"email": email, "password": PASSWORD, "name": "Ada"});
        let function = ledger.function("signup").await;
        ledger.costs(&function, post(None, "/api/auth/signup", signup.clone()), 201, &["SignUp", "PutItem"]).await;
        let again = ["SignUp", "AdminGetUser", READ, "ResendConfirmationCode"];
        ledger.costs(&function, post(None, "/api/auth/signup", signup), 201, &again).await;
        let function = ledger.function("resend_code").await;
        let resend = post(None, "/api/auth/resend-code", json!({"email": email}));
        ledger.costs(&function, resend, 202, &["ResendConfirmationCode"]).await;
        let code = stack.mailed_code(&email, 3).await;

        let login = || post(None, "/api/auth/login", json!({"email": email, "password": PASSWORD}));
        let to_login = ledger.function("login").await;
        ledger.costs(&to_login, login(), 403, &["AdminInitiateAuth", "AdminGetUser", READ]).await;
        let function = ledger.function("confirm").await;
        let confirm = || post(None, "/api/auth/confirm", json!({"email": email, "code": code}));
        let budget = ["ConfirmSignUp", "AdminGetUser", WRITE, "DeleteItem"];
        ledger.costs(&function, confirm(), 204, &budget).await;
        ledger.costs(&function, confirm(), 204, &[&budget[..], &[READ]].concat()).await;
        let session = ledger.costs(&to_login, login(), 200, &["AdminInitiateAuth", READ]).await.json();
        let user = User { refresh_token: session.str("refresh_token").into(), ..stack.user().await };

        let function = ledger.function("refresh").await;
        let refresh = post(None, "/api/auth/refresh", json!({"refresh_token": user.refresh_token}));
        ledger.costs(&function, refresh, 200, &["AdminInitiateAuth", READ]).await;
        let function = ledger.function("forgot_password").await;
        let forgot = post(None, "/api/auth/forgot-password", json!({"email": email}));
        ledger.costs(&function, forgot, 202, &["ForgotPassword"]).await;
        let function = ledger.function("reset_password").await;
        let code = stack.mailed_code(&email, 4).await;
        let reset = json!({"email": email, "code": code, "new_password": format!("{PASSWORD}!")});
        let budget =
            ["AdminGetUser", READ, "UpdateItem", "ConfirmForgotPassword", "UpdateItem", "AdminUserGlobalSignOut"];
        ledger.costs(&function, post(None, "/api/auth/reset-password", reset), 204, &budget).await;

        let function = ledger.function("get_me").await;
        ledger.costs(&function, get(Some(&user), "/api/me"), 200, &[READ]).await;
        let function = ledger.function("update_me").await;
        let rename = ask(Some(&user), "PATCH", "/api/me", Some(json!({"name": "Augusta"})));
        ledger.costs(&function, rename, 200, &[READ, WRITE]).await;
        let exporting = stack.user_on("Enterprise").await;
        let image = exporting.publish("Harbour", Picture::small()).await;
        exporting.link(&image, json!({})).await;
        let function = ledger.function("begin_export").await;
        let begin = || post(Some(&exporting), "/api/me/export", json!({}));
        ledger.costs(&function, begin(), 202, &[READ, "PutItem"]).await;
        ledger.costs(&function, begin(), 202, &[READ]).await;
        let function = ledger.function("get_export").await;
        // The last page of images has the first links.
        ledger.costs(&function, get(Some(&exporting), "/api/me/export"), 200, &[READ, "Query", "Query"]).await;
        exporting.pending("Quay").await;
        let first = get(Some(&exporting), "/api/me/export?limit=1");
        let first = ledger.costs(&function, first, 200, &[READ, "Query"]).await.json();
        let next = format!("/api/me/export?cursor={}", first.str("next_cursor"));
        ledger.costs(&function, get(Some(&exporting), next), 200, &[READ, "Query", "Query"]).await;
        let function = ledger.function("logout").await;
        let another = user.another_session().await;
        let logout = post(Some(&another), "/api/auth/logout", json!({}));
        ledger.costs(&function, logout, 204, &[READ, "PutItem"]).await;
        let another = user.another_session().await;
        let revoking = post(Some(&another), "/api/auth/logout", json!({"refresh_token": another.refresh_token}));
        ledger.costs(&function, revoking, 204, &[READ, "PutItem", "RevokeToken"]).await;
        let everywhere = post(Some(&user), "/api/auth/logout", json!({"everywhere": true}));
        ledger.costs(&function, everywhere, 204, &[READ, "UpdateItem", "AdminUserGlobalSignOut"]).await;

        // The first login of a user whom an administrator made.
        let made = administrators_user(stack, Some("Grace")).await;
        let first = json!({"email": made, "password": PASSWORD, "new_password": format!("{PASSWORD}!")});
        let budget = ["AdminInitiateAuth", "AdminRespondToAuthChallenge", READ, WRITE];
        ledger.costs(&to_login, post(None, "/api/auth/login", first), 200, &budget).await;
        // A sign-up that gave its address up.
        let email = format!("ada-{}@example.com", unique());
        let signup = || post(None, "/api/auth/signup", json!({"email": email, "password": PASSWORD, "name": "Ada"}));
        let function = ledger.function("signup").await;
        ledger.costs(&function, signup(), 201, &["SignUp", "PutItem"]).await;
        function.proxy.rule("AdminGetUser", 1, get_user(stack, &email, 25 * 3600).await);
        let budget = ["SignUp", "AdminGetUser", "AdminDeleteUser", "SignUp", "PutItem"];
        ledger.costs(&function, signup(), 201, &budget).await;
        ledger.compare(OF_ACCOUNTS);
    });
}

#[test]
fn each_route_of_links_stays_in_budget() {
    on_stack(async |stack| {
        let mut ledger = Ledger::new(stack);
        let user = stack.user_on("Enterprise").await;
        let image = user.publish("Harbour", Picture::small()).await;
        let body = |more: Value| {
            let mut body = json!({"base_image": image["id"], "expiry_in_seconds": 300});
            body.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
            body
        };
        let function = ledger.function("create_link").await;
        let create = |more| post(Some(&user), "/api/expiring-links", body(more));
        ledger.first(&function, create(json!({})), 201).await;
        let link = ledger.costs(&function, create(json!({"max_downloads": 9})), 201, &[READ, WRITE]).await.json();
        let locked =
            ledger.costs(&function, create(json!({"password": "open sesame"})), 201, &[READ, WRITE]).await.json();
        let at = format!("/api/expiring-links/{}", link.str("id"));

        let function = ledger.function("list_links").await;
        ledger.first(&function, get(Some(&user), "/api/expiring-links"), 200).await;
        for limit in [1, 100] {
            let list = get(Some(&user), format!("/api/expiring-links?limit={limit}"));
            ledger.costs(&function, list, 200, &[READ, "Query"]).await;
        }
        let of_one = get(Some(&user), format!("/api/expiring-links?base_image={}", image.str("id")));
        ledger.costs(&function, of_one, 200, &[READ, "Query", READ]).await;

        let function = ledger.function("get_link").await;
        ledger.first(&function, get(Some(&user), &at), 200).await;
        ledger.costs(&function, get(Some(&user), &at), 200, &[READ]).await;

        let function = ledger.function("visit_link").await;
        let path = |link: &Value| Url::parse(link.str("link_url")).expect("a URL").path().to_owned();
        ledger.first(&function, get(None, path(&link)), 302).await;
        ledger.costs(&function, get(None, path(&link)), 302, &[READ, READ, "UpdateItem"]).await;
        ledger.costs(&function, ask(None, "HEAD", path(&link), None), 302, &[READ, READ]).await;
        ledger.costs(&function, get(None, path(&locked)), 401, &[READ, READ]).await;
        ledger.costs(&function, get(None, "/media/exp/nothing/x.jpg"), 410, &[READ, READ]).await;
        // Behind the CDN, on a stack with `Cdn=true`, it also reads the secret that the CDN sends.
        let headers = [("content-type", "application/x-www-form-urlencoded"), ("x-tintype-cdn", "guess")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut attempt = function.event_with(None, "POST", &path(&locked), headers, None);
        attempt["body"] = "password=wrong".into();
        assert_eq!(function.invoke(attempt).await.expect("an answer")["statusCode"], 401);
        let read_secret = ledger.note(&function).contains(&"GetSecretValue".to_owned());
        assert_eq!(read_secret, stack.environments["visit_link"]["CDN_SECRET"] != "");

        let function = ledger.function("update_link").await;
        let change = |body| ask(Some(&user), "PATCH", &at, Some(body));
        ledger.first(&function, change(json!({"rotate": true})), 200).await;
        ledger.costs(&function, change(json!({"expiry_in_seconds": 600})), 200, &[READ, WRITE]).await;
        ledger.costs(&function, change(json!({"rotate": true})), 200, &[READ, WRITE]).await;
        let function = ledger.function("replace_link").await;
        let whole = |more| ask(Some(&user), "PUT", &at, Some(body(more)));
        ledger.first(&function, whole(json!({"rotate": true})), 200).await;
        ledger.costs(&function, whole(json!({"description": "Anew"})), 200, &[READ, WRITE]).await;
        let function = ledger.function("delete_link").await;
        ledger.costs(&function, ask(Some(&user), "DELETE", &at, None), 204, &[READ, WRITE]).await;
        ledger.compare(OF_LINKS);
    });
}

#[test]
fn concurrent_requests_stay_in_budget() {
    on_stack(async |stack| {
        let mut ledger = Ledger::new(stack);
        let user = stack.user().await;
        let drafts: Vec<Value> = (0..1000).map(|index| Picture::small().draft(&format!("Photo {index}"))).collect();
        let batch =
            |from: usize, to: usize| post(Some(&user), "/api/images/batch", json!({"images": drafts[from..to]}));
        let function = ledger.function("create_batch").await;
        let few = ledger.first(&function, batch(0, 1), 207).await.json();
        let id = few.list("results")[0].str("id").to_owned();
        ledger.costs(&function, batch(1, 50), 207, &[READ, WRITE]).await;
        let key = unique();
        let keyed = |from, to| batch(from, to).with("idempotency-key", &key);
        ledger.costs(&function, keyed(50, 60), 207, &[READ, WRITE, WRITE, "UpdateItem"]).await;
        ledger.costs(&function, keyed(50, 60), 207, &[READ, WRITE, READ]).await;

        let function = ledger.function("delete_images").await;
        let selection = post(Some(&user), "/api/images/delete", json!({"ids": [id]}));
        ledger.costs(&function, selection, 200, &[READ, READ, WRITE]).await;
        let ready = user.publish("Harbour", Picture::small()).await;
        let selection = post(Some(&user), "/api/images/delete", json!({"ids": [ready["id"]]}));
        ledger.costs(&function, selection, 200, &[READ, READ, WRITE]).await;
        user.publish("Harbour", Picture::small()).await;
        // Its message is kept from the function that is deployed, for a job is run by a function here.
        function.proxy.rule("SendMessage", 1, sent());
        let all = post(Some(&user), "/api/images/delete", json!({"all": true}));
        let job = ledger.costs(&function, all, 202, &[READ, "SendMessage", WRITE, READ]).await.json()["job"].clone();

        let runner = ledger.function("run_job").await;
        runner.invoke(job_message(job.str("id"))).await.expect("it runs");
        ledger.note(&runner);
        let function = ledger.function("get_job").await;
        let target = format!("/api/jobs/{}", job.str("id"));
        let done = ledger.costs(&function, get(Some(&user), &target), 200, &[READ, READ]).await.json();
        assert_eq!((done.str("status"), done.number("done")), ("done", 60), "{done}");

        // A plan changes, and the user is put on another that they do not live to see.
        let admin = stack.admin().await;
        let (first, second) = (new_plan(&admin, &[40]).await, new_plan(&admin, &[60]).await);
        job_over(&admin, &assign(&admin, &user.id, Some(&first)).await).await;
        let quay = user.publish("Quay", Picture::small()).await;
        let change = unheard(stack, &admin, "replace_plan", &format!("/api/plans/{first}"), rules(&[50])).await;
        runner.proxy.rule("SendMessage", 1, sent());
        runner.invoke(job_message(&change)).await.expect("it waits for the index");
        stack.job_moved_long_ago(&change).await;
        runner.invoke(job_message(&change)).await.expect("it builds");
        assert_eq!(user.image(quay.str("id")).await.list("thumbnails")[0]["height"], 50);
        ledger.note(&runner);
        let at = format!("/api/users/{}/plan", user.id);
        let assignment = unheard(stack, &admin, "assign_plan", &at, json!({"plan": second})).await;

        let function = ledger.function("delete_me").await;
        function.proxy.rule("SendMessage", 1, sent());
        let leave = ask(Some(&user), "DELETE", "/api/me", Some(json!({"password": PASSWORD})));
        let budget = [READ, "AdminInitiateAuth", "SendMessage", WRITE, "AdminDeleteUser", READ];
        let job = ledger.costs(&function, leave, 202, &budget).await.json()["job"].clone();
        runner.invoke(job_message(&assignment)).await.expect("it runs");
        runner.invoke(job_message(job.str("id"))).await.expect("it runs");
        stack.requests_have_ended(job.str("id")).await;
        runner.invoke(job_message(job.str("id"))).await.expect("it runs");
        let calls = ledger.note(&runner);
        assert!(calls.iter().any(|call| call == "SendMessage"), "it waits for requests to end: {calls:?}");
        let done = stack.get(format!("/api/jobs/{}", job.str("id"))).await.assert_json(200);
        assert_eq!(done["status"], "done");
        ledger.compare(OF_MANY);
    });
}

#[test]
fn each_route_of_plans_and_users_stays_in_budget() {
    on_stack(async |stack| {
        let mut ledger = Ledger::new(stack);
        let admin = stack.admin().await;
        let name = unique();
        let plan = json!({
            "name": name, "thumbnail_heights": [100], "original_link": false, "expiring_links": false,
            "max_image_bytes": 1_000_000, "max_images": 10,
        });
        let at = format!("/api/plans/{name}");
        let function = ledger.function("create_plan").await;
        ledger.costs(&function, post(Some(&admin), "/api/plans", plan), 201, &[READ, WRITE]).await;
        let function = ledger.function("get_plan").await;
        ledger.costs(&function, get(None, &at), 200, &[READ]).await;
        let function = ledger.function("list_plans").await;
        ledger.costs(&function, get(None, "/api/plans"), 200, &["Query"]).await;
        let function = ledger.function("replace_plan").await;
        let budget = [READ, READ, "SendMessage", WRITE, READ];
        ledger.costs(&function, ask(Some(&admin), "PUT", &at, Some(rules(&[50]))), 202, &budget).await;
        let function = ledger.function("assign_plan").await;
        let user = stack.user().await;
        let assign =
            |plan: &str| ask(Some(&admin), "PUT", format!("/api/users/{}/plan", user.id), Some(json!({"plan": plan})));
        ledger.costs(&function, assign(&name), 202, &budget).await;
        ledger.costs(&function, assign("Basic"), 202, &budget).await;
        let function = ledger.function("delete_plan").await;
        ledger.first(&function, ask(Some(&admin), "DELETE", &at, None), 204).await;
        let function = ledger.function("list_users").await;
        let some = get(Some(&admin), format!("/api/users?email_prefix={}&limit=50", &admin.email[..8]));
        ledger.costs(&function, some, 200, &[READ, "ListUsers", READ]).await;
        ledger.compare(OF_PLANS);
    });
}

#[test]
fn the_page_costs_nothing_and_that_of_an_image_one_read() {
    on_stack(async |stack| {
        let mut ledger = Ledger::new(stack);
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let function = ledger.function("page").await;
        for (target, status) in
            [("/", 200), ("/login", 200), ("/robots.txt", 200), ("/api/docs", 200), ("/assets/nothing.js", 404)]
        {
            ledger.costs(&function, get(None, target), status, &[]).await;
        }
        let function = ledger.function("image_page").await;
        for id in [image.str("id"), &unknown_id(&user.id)] {
            ledger.costs(&function, get(None, format!("/i/{id}")), 200, &[READ]).await;
        }
        ledger.costs(&function, get(None, "/i/nonsense"), 200, &[]).await;
        ledger.compare(OF_THE_PAGE);
    });
}

#[test]
fn the_workers_have_only_the_permissions_that_they_use() {
    on_stack(async |stack| {
        let mut ledger = Ledger::new(stack);
        let user = stack.user_on("Enterprise").await;
        let image = user.publish("Harbour", Picture::small()).await;
        let id = image.str("id");
        stack.builder_is_idle().await;
        let builder = ledger.function("build_thumbnails").await;
        let key = stack.original_key(id).await;
        let built = async || {
            let answer = builder.invoke(told_of(&key)).await.expect("it builds");
            assert_eq!(answer["batchItemFailures"], json!([]));
        };
        unbuild(stack, &user, id).await;
        built().await;
        user.ready(id).await;
        ledger.note(&builder);

        // Both the function and the deployed function sweep the deletions.
        let link = user.link(&image, json!({})).await;
        let sweeper = ledger.function("sweep").await;
        let item = stack.image_item(id).await.expect("it is there");
        sweeper.invoke(removal(&[item])).await.expect("it sweeps");
        ledger.note(&sweeper);
        eventually("the link to go", async || (stack.link_traces(&link).await == 0).then_some(())).await;
        user.delete(format!("/api/images/{id}")).await.assert_status(204);

        // An image that is none of its declared type, and blobs of no image.
        let image = user.publish("Quay", Picture::small()).await;
        let id = image.str("id");
        stack.builder_is_idle().await;
        unbuild(stack, &user, id).await;
        stack.declare(id, "image/png").await;
        let key = stack.original_key(id).await;
        assert_eq!(builder.invoke(told_of(&key)).await.expect("it builds")["batchItemFailures"], json!([]));
        user.rejected(id).await;
        let nobody = unknown_id(&user.id);
        let (owner, key) = parts(&nobody);
        let stray = format!("thumbnails/{owner}/{key}/0/200.jpg");
        let put = stack.s3.put_object().bucket(&stack.thumbnails).key(stray).body(b"stray".to_vec().into());
        put.send().await.expect("the operator may write");
        builder.invoke(told_of(&format!("originals/{owner}/{key}/original"))).await.expect("it builds");
        stack.no_blobs(&nobody).await;
        ledger.note(&builder);
        user.delete(format!("/api/images/{id}")).await.assert_status(204);

        let operator = ledger.function("operate").await;
        let name = format!("plan-{}", unique());
        for heights in [[100], [50]] {
            operator.invoke(load(&name, &heights, false)).await.expect("it writes the plan");
        }
        let email = &user.email;
        operator.invoke(json!({"command": "make_admin", "email": email})).await.expect("an admin");
        let assign = json!({"command": "assign_plan", "email": email, "plan": name});
        operator.invoke(assign).await.expect("it assigns the plan");
        ledger.note(&operator);
        ledger.compare(OF_WORKERS);
    });
}

#[test]
fn every_function_is_held_to_its_role() {
    on_stack(async |stack| {
        let groups = [OF_IMAGES, OF_ACCOUNTS, OF_LINKS, OF_MANY, OF_PLANS, OF_THE_PAGE, OF_WORKERS, OF_THE_AUDIT];
        let mut held: Vec<&str> = groups.concat();
        held.sort_unstable();
        let ledger = Ledger::new(stack);
        assert_eq!(held, ledger.roles.keys().map(String::as_str).collect::<Vec<_>>());
    });
}
