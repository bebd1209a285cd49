//! Signing up, in, out and anew while the user pool or the table throttles, fails, loses its answers, or the function
//! dies between two calls: the client hears success or 503, and asking again brings it to an end.

use serde_json::{Value, json};

use crate::harness::{
    Answer, Body, Fault, PASSWORD, Rule, Stack, User, administrators_user, deaths, eventually, get_user, on_stack,
    unique, user_of,
};
use crate::resets::{half_a_minute_passes, note};

const ALWAYS: usize = usize::MAX;
const NEW_PASSWORD: &str = "Loud-Mountain-77";

#[track_caller]
fn is_busy(answer: Answer, moment: &str) {
    assert_eq!(answer.status, 503, "{moment}: {answer}");
    answer.must_header("retry-after");
    answer.assert_problem(503, "unavailable");
}

/// Errors that the pool or the table may answer a call with.
fn refusals(operation: &str) -> Vec<Fault> {
    let throttled = if is_of_the_table(operation) {
        vec!["ThrottlingException", "ProvisionedThroughputExceededException"]
    } else {
        vec!["TooManyRequestsException"]
    };
    let mut faults: Vec<Fault> = throttled.into_iter().map(|kind| Fault::json(400, kind)).collect();
    faults.push(Fault::json(500, "InternalErrorException"));
    faults.push(Fault::Answer { status: 503, kind: "text/plain", body: String::new() });
    faults.push(Fault::Refuse);
    faults
}

/// The calls of a function before its first request, once.
const KEYS: &str = "GetSecretValue";
const CLIENT: &str = "DescribeUserPoolClient";

fn is_of_the_table(operation: &str) -> bool {
    ["BatchGetItem", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].contains(&operation)
}

/// A request to one route, and how whoever made it gets on.
struct AccountCall<'a> {
    operation: &'static str,
    user: Option<&'a User>,
    target: &'static str,
    body: Value,
    success: u16,
}

impl AccountCall<'_> {
    /// The calls that it takes when all goes well.
    async fn calls(&self, stack: &Stack) -> Vec<String> {
        let function = stack.function(self.operation).await;
        self.send(&function).await.assert_status(self.success);
        function.proxy.take_operations()
    }

    async fn send(&self, function: &crate::harness::FunctionUnderTest) -> Answer {
        function.call(self.user, "POST", self.target, Some(self.body.clone())).await
    }

    /// Sends it once, and its calls meet this rule: success, or busy.
    async fn under(&self, stack: &Stack, rule: Rule, moment: &str) {
        let function = stack.function(self.operation).await;
        if rule.kills() {
            let event = function.event(self.user, "POST", self.target, Some(self.body.clone()));
            function.kill_at(rule, event).await.expect("it makes this call");
            return;
        }
        function.proxy.add(rule);
        let answer = self.send(&function).await;
        if answer.status != self.success {
            is_busy(answer, moment);
        }
    }
}

/// What a route with these calls is given: each call fails, or loses its answer, and the process is killed.
fn cuts(calls: &[String]) -> impl Iterator<Item = Rule> {
    let faults = [Fault::json(500, "InternalErrorException"), Fault::LoseAnswer];
    let of_each = faults.into_iter().flat_map(|fault| (0..calls.len()).map(move |call| (call, fault.clone())));
    of_each.map(|(call, fault)| Rule::once("*", call, fault)).chain(deaths(calls))
}

fn address() -> String {
    format!("ada-{}@example.com", unique())
}

fn sign_up(email: &str) -> AccountCall<'static> {
    AccountCall {
        operation: "signup",
        user: None,
        target: "/api/auth/signup",
        body: json!({"email": email, "password": PASSWORD, "name": "Ada"}),
        success: 201,
    }
}

/// The code of the newest mail, as soon as that confirms; and then the user can log in.
async fn confirm_and_log_in(stack: &Stack, email: &str, id: &str, moment: &str) {
    eventually("the code that was mailed last", async || {
        let code = stack.mailed_code(email, 1).await;
        let answer = stack.post("/api/auth/confirm", json!({"email": email, "code": code})).await;
        (answer.status == 204).then_some(())
    })
    .await;
    let session = stack.login(email, PASSWORD).await.assert_json(200);
    let me = stack.get("/api/me").token(session.str("access_token")).await.assert_json(200);
    assert_eq!((user_of(me.str("id")).as_str(), me.str("email")), (id, email), "{moment}");
}

#[test]
fn interrupted_sign_up_finishes_at_retry() {
    on_stack(async |stack| {
        let calls = sign_up(&address()).calls(stack).await;
        assert_eq!(calls, [CLIENT, "SignUp", "PutItem"]);
        for cut in cuts(&calls) {
            let moment = format!("{cut:?} of {calls:?}");
            let email = address();
            let ask = sign_up(&email);
            ask.under(stack, cut, &moment).await;
            let function = stack.function("signup").await;
            let mut answer = ask.send(&function).await;
            if answer.status == 503 {
                // Interrupted before the record was written: the first request may run for a minute.
                is_busy(answer, &moment);
                function.proxy.rule("AdminGetUser", 1, get_user(stack, &email, 61).await);
                answer = ask.send(&function).await;
            }
            let signed_up = answer.assert_json(201);
            stack.login(&email, PASSWORD).await.assert_problem(403, "not_confirmed");
            let stranger = json!({"email": email, "password": NEW_PASSWORD, "name": "Ada"});
            stack.post("/api/auth/signup", stranger).await.assert_problem(409, "email_taken");
            confirm_and_log_in(stack, &email, &user_of(signed_up.str("user_id")), &moment).await;
            ask.send(&function).await.assert_problem(409, "email_taken");
        }
    });
}

#[test]
fn a_sign_up_at_a_pool_or_table_that_fails_says_so() {
    on_stack(async |stack| {
        let function = stack.function("signup").await;
        for operation in ["SignUp", "PutItem"] {
            for fault in refusals(operation) {
                let moment = format!("{operation}: {fault:?}");
                let email = address();
                function.proxy.rule(operation, ALWAYS, fault);
                is_busy(sign_up(&email).send(&function).await, &moment);
                function.proxy.clear();
            }
        }
        // The limit of one user is reported to that user.
        function.proxy.rule("SignUp", 1, Fault::json(400, "LimitExceededException"));
        let answer = sign_up(&address()).send(&function).await;
        answer.must_header("retry-after");
        answer.assert_problem(429, "too_many_requests");
    });
}

/// A user who has signed up, and the request that confirms them.
async fn unconfirmed(stack: &Stack) -> (String, String, AccountCall<'static>) {
    let email = address();
    let signed_up = stack
        .post("/api/auth/signup", json!({"email": email, "password": PASSWORD, "name": "Ada"}))
        .await
        .assert_json(201);
    let code = stack.mailed_code(&email, 1).await;
    let ask = AccountCall {
        operation: "confirm",
        user: None,
        target: "/api/auth/confirm",
        body: json!({"email": email, "code": code}),
        success: 204,
    };
    (email, user_of(signed_up.str("user_id")), ask)
}

#[test]
fn interrupted_confirmation_finishes_at_retry() {
    on_stack(async |stack| {
        let (.., ask) = unconfirmed(stack).await;
        let calls = ask.calls(stack).await;
        assert_eq!(calls, [CLIENT, "ConfirmSignUp", "AdminGetUser", "TransactWriteItems", "DeleteItem"]);
        for cut in cuts(&calls) {
            let moment = format!("{cut:?} of {calls:?}");
            let (email, id, ask) = unconfirmed(stack).await;
            ask.under(stack, cut, &moment).await;
            let function = stack.function("confirm").await;
            for _ in 0..2 {
                let answer = ask.send(&function).await;
                assert_eq!(answer.status, 204, "{moment}: {answer}");
            }
            let session = stack.login(&email, PASSWORD).await.assert_json(200);
            let me = stack.get("/api/me").token(session.str("access_token")).await.assert_json(200);
            assert_eq!((user_of(me.str("id")).as_str(), me.str("plan")), (id.as_str(), "Basic"), "{moment}");
            // Nothing of the sign-up is left.
            assert!(stack.item(format!("PROFILE#{id}"), "SIGNUP".into()).await.is_none(), "{moment}");
        }
    });
}

#[test]
fn login_after_interrupted_confirm_creates_profile() {
    on_stack(async |stack| {
        let cut_off = async || {
            let (email, id, ask) = unconfirmed(stack).await;
            // Before the profile.
            ask.under(stack, Rule::once("*", 2, Fault::HangBefore), "the confirmation is killed").await;
            assert!(stack.item(format!("PROFILE#{id}"), "PROFILE".into()).await.is_none());
            (id, log_in(&email, json!({"password": PASSWORD})))
        };
        let (_, ask) = cut_off().await;
        let calls = ask.calls(stack).await;
        assert_eq!(calls, [KEYS, CLIENT, "AdminInitiateAuth", "BatchGetItem", "TransactWriteItems"]);
        for cut in cuts(&calls) {
            let moment = format!("{cut:?} of {calls:?}");
            let (id, ask) = cut_off().await;
            ask.under(stack, cut, &moment).await;
            let session = ask.send(&stack.function("login").await).await.assert_json(200);
            let me = stack.get("/api/me").token(session.str("access_token")).await.assert_json(200);
            assert_eq!((user_of(me.str("id")).as_str(), me.str("name")), (id.as_str(), "Ada"), "{moment}");
        }
    });
}

#[test]
fn wrong_code_does_not_confirm() {
    on_stack(async |stack| {
        let wrong = |email: &str| stack.post("/api/auth/confirm", json!({"email": email, "code": "000000"}));
        let (email, ..) = unconfirmed(stack).await;
        wrong(&email).await.assert_problem(422, "bad_code");
        stack.login(&email, PASSWORD).await.assert_problem(403, "not_confirmed");
        let made = administrators_user(stack, Some("Grace")).await;
        wrong(&made).await.assert_problem(422, "bad_code");
        let user = stack.user().await;
        stack.age_profile(&user.id, 16 * 60).await;
        wrong(&user.email).await.assert_problem(422, "bad_code");
    });
}

fn log_in(email: &str, more: Value) -> AccountCall<'static> {
    let mut body = json!({"email": email});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("fields").clone());
    AccountCall { operation: "login", user: None, target: "/api/auth/login", body, success: 200 }
}

#[test]
fn new_password_at_first_login_survives_lost_responses() {
    on_stack(async |stack| {
        let new = json!({"password": PASSWORD, "new_password": NEW_PASSWORD});
        let calls = log_in(&administrators_user(stack, Some("Grace")).await, new.clone()).calls(stack).await;
        assert_eq!(
            calls,
            [KEYS, CLIENT, "AdminInitiateAuth", "AdminRespondToAuthChallenge", "BatchGetItem", "TransactWriteItems"]
        );
        for cut in cuts(&calls) {
            let moment = format!("{cut:?} of {calls:?}");
            let email = administrators_user(stack, Some("Grace")).await;
            let ask = log_in(&email, new.clone());
            ask.under(stack, cut, &moment).await;
            let answer = ask.send(&stack.function("login").await).await;
            assert_eq!(answer.status, 200, "{moment}: {answer}");
            stack.login(&email, NEW_PASSWORD).await.assert_status(200);
            stack.login(&email, PASSWORD).await.assert_problem(401, "bad_credentials");
        }
    });
}

#[test]
fn login_and_refresh_during_faults_are_unavailable_or_succeed() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let refresh = AccountCall {
            operation: "refresh",
            user: None,
            target: "/api/auth/refresh",
            body: json!({"refresh_token": user.refresh_token}),
            success: 200,
        };
        for ask in [log_in(&user.email, json!({"password": PASSWORD})), refresh] {
            let calls = ask.calls(stack).await;
            assert_eq!(calls, [KEYS, CLIENT, "AdminInitiateAuth", "BatchGetItem"]);
            let function = stack.function(ask.operation).await;
            for operation in &calls {
                for fault in refusals(operation) {
                    let moment = format!("{}, {operation}: {fault:?}", ask.operation);
                    let operation = if operation == "BatchGetItem" { "BatchGetItem" } else { "AdminInitiateAuth" };
                    function.proxy.rule(operation, 1, fault.clone());
                    let answer = ask.send(&function).await;
                    assert_eq!(answer.status, 200, "{moment}: {answer}");
                    function.proxy.rule(operation, ALWAYS, fault);
                    is_busy(ask.send(&function).await, &moment);
                    function.proxy.clear();
                }
            }
            // The limit of one user is reported to that user.
            function.proxy.rule("AdminInitiateAuth", ALWAYS, Fault::json(400, "LimitExceededException"));
            ask.send(&function).await.assert_problem(429, "too_many_requests");
            function.proxy.clear();
            for cut in cuts(&calls) {
                let moment = format!("{}, {cut:?}", ask.operation);
                ask.under(stack, cut, &moment).await;
                let session = ask.send(&function).await.assert_json(200);
                stack.get("/api/me").token(session.str("access_token")).await.assert_status(200);
            }
        }
    });
}

#[test]
fn logout_succeeds_or_can_be_retried() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for (body, last) in [(json!({}), "PutItem"), (json!({"everywhere": true}), "UpdateItem")] {
            // Whoever ended all sessions of a second gets none in it.
            let session = async || {
                if body["everywhere"] == true { stack.user().await } else { user.another_session().await }
            };
            let function = stack.function("logout").await;
            for operation in ["BatchGetItem", last] {
                for fault in refusals(operation) {
                    let session = session().await;
                    let moment = format!("{body} {operation}: {fault:?}");
                    let ask = logout(&session, &body);
                    function.proxy.rule(operation, ALWAYS, fault.clone());
                    is_busy(ask.send(&function).await, &moment);
                    function.proxy.clear();
                    // It says that nothing has happened, and nothing has.
                    session.get("/api/me").await.assert_status(200);
                    function.proxy.rule(operation, 1, fault);
                    let answer = ask.send(&function).await;
                    assert_eq!(answer.status, 204, "{moment}: {answer}");
                    is_over(&session, &moment).await;
                }
            }
            let calls = logout(&session().await, &body).calls(stack).await;
            for cut in cuts(&calls) {
                let session = session().await;
                let moment = format!("{body} {cut:?} of {calls:?}");
                let ask = logout(&session, &body);
                ask.under(stack, cut, &moment).await;
                // Its token is refused where the first did it.
                let answer = ask.send(&function).await;
                assert!([204, 401].contains(&answer.status), "{moment}: {answer}");
                is_over(&session, &moment).await;
            }
        }
    });
}

#[test]
fn a_pool_that_fails_does_not_keep_a_session_alive() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for (operation, everywhere) in [("RevokeToken", false), ("AdminUserGlobalSignOut", true)] {
            for fault in refusals(operation) {
                let session = user.fresh_session().await;
                let function = stack.function("logout").await;
                function.proxy.rule(operation, ALWAYS, fault.clone());
                let body = json!({"refresh_token": session.refresh_token, "everywhere": everywhere});
                logout(&session, &body).send(&function).await.assert_status(204);
                is_over(&session, &format!("{operation}: {fault:?}")).await;
            }
        }
    });
}

fn logout<'a>(session: &'a User, body: &Value) -> AccountCall<'a> {
    AccountCall {
        operation: "logout",
        user: Some(session),
        target: "/api/auth/logout",
        body: body.clone(),
        success: 204,
    }
}

async fn is_over(session: &User, moment: &str) {
    let answers = [
        session.get("/api/me").await,
        session.stack.post("/api/auth/refresh", json!({"refresh_token": session.refresh_token})).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, 401, "{moment}: {answer}");
    }
}

#[test]
fn codes_are_sent_or_the_client_hears_that_they_were_not() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let (email, ..) = unconfirmed(stack).await;
        for (operation, target, email, call) in [
            ("forgot_password", "/api/auth/forgot-password", &user.email, "ForgotPassword"),
            ("resend_code", "/api/auth/resend-code", &email, "ResendConfirmationCode"),
        ] {
            let function = stack.function(operation).await;
            let body = json!({"email": email});
            for fault in refusals(call) {
                let moment = format!("{call}: {fault:?}");
                function.proxy.rule(call, 1, fault.clone());
                function.call(None, "POST", target, Some(body.clone())).await.assert_status(202);
                function.proxy.rule(call, ALWAYS, fault);
                is_busy(function.call(None, "POST", target, Some(body.clone())).await, &moment);
                function.proxy.clear();
            }
            // The limit of one user would reveal that the account exists.
            function.proxy.rule(call, 1, Fault::json(400, "LimitExceededException"));
            function.call(None, "POST", target, Some(body.clone())).await.assert_status(202);
        }
    });
}

/// Cognito's words where the mails of a day are used up, and where its mailer fails.
fn unsent() -> [Fault; 2] {
    [
        Fault::of_the_pool(
            "LimitExceededException",
            "Exceeded daily email limit for the operation or the account. If a higher limit is required, please \
             configure your user pool to use your own Amazon SES configuration for sending email.",
        ),
        Fault::of_the_pool("CodeDeliveryFailureException", "Unable to deliver message"),
    ]
}

#[test]
fn sign_up_without_mail_returns_503_and_logs_error() {
    on_stack(async |stack| {
        for fault in unsent() {
            let function = stack.function("signup").await;
            let email = address();
            let body = json!({"email": email, "password": PASSWORD, "name": "Ada"});
            function.proxy.rule("SignUp", 1, fault.clone());
            let answer = function.call(None, "POST", "/api/auth/signup", Some(body.clone())).await;
            assert_eq!(answer.must_header("retry-after"), "3600");
            answer.assert_problem(503, "unavailable");
            function.logs("ERROR", "SignUp: ").await;
            // Whoever repeats a sign-up knows its password, and hears of it too.
            function.call(None, "POST", "/api/auth/signup", Some(body.clone())).await.assert_status(201);
            // The SDK tries a call again that met a limit.
            function.proxy.rule("ResendConfirmationCode", ALWAYS, fault);
            function.call(None, "POST", "/api/auth/signup", Some(body)).await.assert_problem(503, "unavailable");
        }
    });
}

#[test]
fn code_without_mail_logs_error_and_hides_accounts() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let (unconfirmed, ..) = unconfirmed(stack).await;
        for (operation, target, email, call) in [
            ("forgot_password", "/api/auth/forgot-password", &user.email, "ForgotPassword"),
            ("resend_code", "/api/auth/resend-code", &unconfirmed, "ResendConfirmationCode"),
        ] {
            for fault in unsent() {
                let function = stack.function(operation).await;
                function.proxy.rule(call, ALWAYS, fault);
                function.call(None, "POST", target, Some(json!({"email": email}))).await.assert_status(202);
                function.logs("ERROR", call).await;
            }
        }
    });
}

#[test]
fn parameter_refused_by_pool_is_internal_error() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let function = stack.function("login").await;
        let body = json!({"email": user.email, "password": PASSWORD});
        let message = "Auth flow not enabled for this client";
        function.proxy.rule("AdminInitiateAuth", 1, Fault::of_the_pool("InvalidParameterException", message));
        function.call(None, "POST", "/api/auth/login", Some(body)).await.assert_problem(500, "internal");
        function.logs("ERROR", message).await;
    });
}

#[test]
fn failed_reset_keeps_old_password_or_completes() {
    on_stack(async |stack| {
        let user = stack.user().await;
        stack.post("/api/auth/forgot-password", json!({"email": user.email})).await.assert_status(202);
        let code = stack.mailed_code(&user.email, 2).await;
        let function = stack.function("reset_password").await;
        let body = json!({"email": user.email, "code": code, "new_password": NEW_PASSWORD});
        for operation in ["AdminGetUser", "ConfirmForgotPassword"] {
            for fault in refusals(operation) {
                let moment = format!("{operation}: {fault:?}");
                function.proxy.rule(operation, ALWAYS, fault);
                is_busy(function.call(None, "POST", "/api/auth/reset-password", Some(body.clone())).await, &moment);
                function.proxy.clear();
                stack.login(&user.email, PASSWORD).await.assert_status(200);
                stack.login(&user.email, NEW_PASSWORD).await.assert_status(401);
            }
        }
        // The code is as good as it was, once a try that may have been done counts as one.
        if note(stack, &user).await.is_some() {
            half_a_minute_passes(stack, &user).await;
        }
        function.call(None, "POST", "/api/auth/reset-password", Some(body)).await.assert_status(204);
        user.get("/api/me").await.assert_status(401);
        stack.login(&user.email, NEW_PASSWORD).await.assert_status(200);
        stack.login(&user.email, PASSWORD).await.assert_status(401);
    });
}
