//! A password reset is two things, the new password in the pool and the end of all sessions in the table, and may be cut
//! off between them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::{Fault, FunctionUnderTest, PASSWORD, Rule, Stack, User, number, on_stack, profile_at};

const NEW: &str = "Loud-Harbour-43";

async fn code(stack: &Stack, user: &User) -> String {
    stack.post("/api/auth/forgot-password", json!({"email": user.email})).await.assert_status(202);
    stack.mailed_code(&user.email, 2).await
}

fn reset(user: &User, code: &str) -> Value {
    json!({"email": user.email, "code": code, "new_password": NEW})
}

async fn sent(function: &FunctionUnderTest, user: &User, code: &str) -> u16 {
    function.call(None, "POST", "/api/auth/reset-password", Some(reset(user, code))).await.status
}

pub(crate) async fn note(stack: &Stack, user: &User) -> Option<i64> {
    let profile = stack.item(format!("PROFILE#{}", user.id), "PROFILE".into()).await.expect("a profile");
    profile.get("reset_begun_at").map(|at| at.as_n().expect("a number").parse().expect("a number"))
}

/// Lets a reset that began now have begun half a minute ago.
pub(crate) async fn half_a_minute_passes(stack: &Stack, user: &User) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
    let then = [(":then", number(now - 30_000))];
    stack.change(profile_at(&user.id), "reset_begun_at", "SET reset_begun_at = :then", &then).await;
}

async fn is_over(stack: &Stack, user: &User) {
    user.get("/api/me").await.assert_status(401);
    stack.post("/api/auth/refresh", json!({"refresh_token": user.refresh_token})).await.assert_status(401);
}

async fn cut_off(stack: &'static Stack, fault: Fault, operation: &'static str, pass: usize) -> User {
    let user = stack.user().await;
    let code = code(stack, &user).await;
    let function = stack.function("reset_password").await;
    let event = function.event(None, "POST", "/api/auth/reset-password", Some(reset(&user, &code)));
    function.kill_at(Rule::once(operation, pass, fault), event).await.expect("it makes this call");
    user
}

#[test]
fn interrupted_reset_ends_all_sessions_after_30_seconds() {
    on_stack(async |stack| {
        for (fault, operation, pass) in
            [(Fault::HangAfter, "ConfirmForgotPassword", 0), (Fault::HangBefore, "UpdateItem", 1)]
        {
            let user = cut_off(stack, fault, operation, pass).await;
            stack.login(&user.email, PASSWORD).await.assert_problem(401, "bad_credentials");
            user.get("/api/me").await.assert_status(200);
            half_a_minute_passes(stack, &user).await;
            is_over(stack, &user).await;
            // A failed try to reset it once more does not bring them back.
            stack.post("/api/auth/reset-password", reset(&user, "000000")).await.assert_status(422);
            assert_eq!(note(stack, &user).await, None);
            is_over(stack, &user).await;
        }
    });
}

#[test]
fn a_reset_that_the_pool_refuses_ends_nothing() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let code = code(stack, &user).await;
        stack.post("/api/auth/reset-password", reset(&user, "000000")).await.assert_problem(422, "bad_code");
        assert_eq!(note(stack, &user).await, None);
        user.get("/api/me").await.assert_status(200);
        // Throttled by the pool: refused all the same.
        let function = stack.function("reset_password").await;
        function.proxy.rule("ConfirmForgotPassword", 1, Fault::json(400, "TooManyRequestsException"));
        assert_eq!(sent(&function, &user, &code).await, 503);
        assert_eq!(note(stack, &user).await, None);
        user.get("/api/me").await.assert_status(200);
        assert_eq!(sent(&function, &user, &code).await, 204);
        is_over(stack, &user).await;
        assert_eq!(note(stack, &user).await, None);
    });
}

#[test]
fn a_reset_whose_answer_from_the_pool_is_lost_counts_as_done() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let code = code(stack, &user).await;
        let function = stack.function("reset_password").await;
        function.proxy.rule("ConfirmForgotPassword", 1, Fault::LoseAnswer);
        assert_eq!(sent(&function, &user, &code).await, 503);
        // Whoever tries again meets the first try, and is told to wait.
        assert_eq!(sent(&function, &user, &code).await, 503);
        half_a_minute_passes(stack, &user).await;
        is_over(stack, &user).await;
        stack.login(&user.email, NEW).await.assert_status(200);
    });
}
