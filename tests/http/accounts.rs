//! /api/auth

use serde_json::json;

use crate::harness::{
    Body, PASSWORD, Stack, User, administrators_user, eventually, get_user, on_stack, unique, unknown_id,
};

const NEW_PASSWORD: &str = "Loud-Mountain-77";

fn address() -> String {
    format!("grace-{}@example.com", unique())
}

async fn sign_up(stack: &Stack, email: &str) {
    stack
        .post("/api/auth/signup", json!({"email": email, "password": PASSWORD, "name": "Grace"}))
        .await
        .assert_status(201);
}

async fn refresh(stack: &Stack, token: &str) -> crate::harness::Answer {
    stack.post("/api/auth/refresh", json!({"refresh_token": token})).await
}

/// Checks that both tokens of a session are rejected.
async fn is_ended(session: &User) {
    session.get("/api/me").await.assert_status(401);
    session.get("/api/images").await.assert_status(401);
    session.get(format!("/api/images/{}", unknown_id(&session.id))).await.assert_status(401);
    refresh(session.stack, &session.refresh_token).await.assert_status(401);
}

async fn is_alive(session: &User) {
    session.get("/api/me").await.assert_status(200);
    refresh(session.stack, &session.refresh_token).await.assert_status(200);
}

#[test]
fn signing_up_answers_with_an_id_and_mails_a_code() {
    on_stack(async |stack| {
        let email = address();
        let answer = stack
            .post("/api/auth/signup", json!({"email": email, "password": PASSWORD, "name": "Grace"}))
            .await
            .assert_json(201);
        assert_eq!(answer["confirmation"], "code_sent");
        assert!(!answer.str("user_id").is_empty());
        assert_eq!(stack.mailed_code(&email, 1).await.len(), 6);
    });
}

#[test]
fn a_user_who_signed_up_confirmed_and_logged_in_is_known() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let me = user.get("/api/me").await.assert_json(200);
        assert_eq!(me["id"], user.api_id);
        assert_eq!(me["email"], user.email);
        assert_eq!(me["name"], user.name);
    });
}

#[test]
fn an_email_that_has_an_account_cannot_sign_up_again_in_any_case() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for email in [user.email.clone(), user.email.to_uppercase()] {
            stack
                .post("/api/auth/signup", json!({"email": email, "password": NEW_PASSWORD, "name": "Other"}))
                .await
                .assert_problem(409, "email_taken");
        }
        stack.login(&user.email, PASSWORD).await.assert_status(200);
    });
}

#[test]
fn a_weak_password_is_refused_saying_which_rule_it_breaks() {
    on_stack(async |stack| {
        let password = "Ab1-x";
        let answer =
            stack.post("/api/auth/signup", json!({"email": address(), "password": password, "name": "Grace"})).await;
        assert!(!answer.text().contains(password), "a password comes back: {answer}");
        let problem = answer.problem(422);
        let errors = problem.list("errors");
        assert_eq!(errors.len(), 1, "{problem}");
        assert_eq!(errors[0]["field"], "password");
        let said = errors[0].str("message");
        assert!(said.contains("10"), "{said}");
    });
}

#[test]
fn everything_wrong_with_a_sign_up_is_said_at_once() {
    on_stack(async |stack| {
        let fields = stack
            .post("/api/auth/signup", json!({"email": "nowhere", "password": "x", "name": ""}))
            .await
            .invalid_fields();
        assert_eq!(fields, ["email", "name", "password"]);
        let fields = stack.post("/api/auth/signup", json!({})).await.invalid_fields();
        assert_eq!(fields, ["email", "name", "password"]);
    });
}

#[test]
fn a_wrong_code_confirms_nothing_and_the_right_one_still_does() {
    on_stack(async |stack| {
        let email = address();
        sign_up(stack, &email).await;
        let code = stack.mailed_code(&email, 1).await;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        stack.post("/api/auth/confirm", json!({"email": email, "code": wrong})).await.assert_problem(422, "bad_code");
        stack.login(&email, PASSWORD).await.assert_problem(403, "not_confirmed");
        stack.post("/api/auth/confirm", json!({"email": email, "code": code})).await.assert_status(204);
        stack.login(&email, PASSWORD).await.assert_status(200);
    });
}

#[test]
fn a_code_for_an_unknown_email_is_a_bad_code() {
    on_stack(async |stack| {
        stack
            .post("/api/auth/confirm", json!({"email": address(), "code": "424242"}))
            .await
            .assert_problem(422, "bad_code");
    });
}

#[test]
fn resend_sends_code_without_revealing_accounts() {
    on_stack(async |stack| {
        let email = address();
        sign_up(stack, &email).await;
        for asked in [email.clone(), address()] {
            let answer = stack.post("/api/auth/resend-code", json!({"email": asked})).await.assert_status(202);
            assert!(!answer.text().contains("grace"), "{answer}");
        }
        let code = stack.mailed_code(&email, 2).await;
        stack.post("/api/auth/confirm", json!({"email": email, "code": code})).await.assert_status(204);
        stack.post("/api/auth/resend-code", json!({"email": email})).await.assert_status(202);
    });
}

#[test]
fn codes_may_have_spaces_and_invalid_codes_get_422() {
    on_stack(async |stack| {
        let email = address();
        sign_up(stack, &email).await;
        let code = stack.mailed_code(&email, 1).await;
        let confirm = async |code: &str| stack.post("/api/auth/confirm", json!({"email": email, "code": code})).await;
        assert_eq!(confirm(" \t ").await.invalid_fields(), ["code"]);
        assert_eq!(confirm(&"1".repeat(2049)).await.invalid_fields(), ["code"]);
        confirm(&"1".repeat(2048)).await.assert_problem(422, "bad_code");
        confirm(&format!(" {} {}\n", &code[..3], &code[3..])).await.assert_status(204);
    });
}

#[test]
fn addresses_that_the_pool_cannot_have_are_refused_or_unknown() {
    on_stack(async |stack| {
        let long = |length: usize| {
            let tail = format!("-{}@example.com", unique());
            format!("{}{tail}", "a".repeat(length - tail.len()))
        };
        sign_up(stack, &long(128)).await;
        let body = json!({"email": long(129), "password": PASSWORD, "name": "Ada"});
        assert_eq!(stack.post("/api/auth/signup", body).await.invalid_fields(), ["email"]);
        // U+200B is neither a letter, mark, symbol, number nor punctuation, which are what Cognito takes.
        let strange = format!("ada\u{200b}-{}@example.com", unique());
        let body = json!({"email": strange, "password": PASSWORD, "name": "Ada"});
        assert_eq!(stack.post("/api/auth/signup", body).await.invalid_fields(), ["email"]);
        stack.login(&strange, PASSWORD).await.assert_problem(401, "bad_credentials");
        let code = json!({"email": strange, "code": "123456"});
        stack.post("/api/auth/confirm", code).await.assert_problem(422, "bad_code");
        for path in ["resend-code", "forgot-password"] {
            stack.post(format!("/api/auth/{path}"), json!({"email": strange})).await.assert_status(202);
        }
        let reset = json!({"email": strange, "code": "123456", "new_password": PASSWORD});
        stack.post("/api/auth/reset-password", reset).await.assert_problem(422, "bad_code");
    });
}

#[test]
fn user_without_name_is_listed_and_logs_in() {
    on_stack(async |stack| {
        let (admin, email) = (stack.admin().await, administrators_user(stack, None).await);
        let name = email.split('@').next().expect("an address").to_owned();
        let listed = admin.get(format!("/api/users?email_prefix={name}")).await.assert_json(200);
        assert_eq!(listed.list("results")[0]["name"], name.as_str());
        stack.login(&email, PASSWORD).await.assert_problem(403, "password_change_required");
        let body = json!({"email": email, "password": PASSWORD, "new_password": "Quiet-Harbour-43"});
        let session = stack.post("/api/auth/login", body).await.assert_json(200);
        let me = stack.get("/api/me").token(session.str("access_token")).await;
        assert_eq!(me.assert_json(200)["name"], name.as_str());

        // One whose password the console set for good never gives a name.
        let email = administrators_user(stack, None).await;
        let set = stack.cognito.admin_set_user_password().user_pool_id(&stack.user_pool).username(&email);
        set.password(PASSWORD).permanent(true).send().await.expect("an administrator sets passwords");
        stack.login(&email, PASSWORD).await.assert_status(200);
    });
}

#[test]
fn a_login_gives_bearer_tokens() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let session = stack.login(&user.email, PASSWORD).await.assert_json(200);
        assert_eq!(session["token_type"], "Bearer");
        assert!(session.number("expires_in") > 0);
        assert!(!session.str("access_token").is_empty());
        assert!(!session.str("refresh_token").is_empty());
        assert!(session.get("id_token").is_none(), "{session}");
    });
}

#[test]
fn an_email_logs_in_in_any_case() {
    on_stack(async |stack| {
        let user = stack.user().await;
        stack.login(&user.email.to_uppercase(), PASSWORD).await.assert_status(200);
    });
}

#[test]
fn an_unknown_email_and_a_wrong_password_get_the_same_answer() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let mut known = stack.login(&user.email, "Wrong-Harbour-1").await.assert_problem(401, "bad_credentials");
        let mut unknown = stack.login(&address(), "Wrong-Harbour-1").await.assert_problem(401, "bad_credentials");
        for problem in [&mut known, &mut unknown] {
            problem["instance"].take();
        }
        assert_eq!(known, unknown);
    });
}

#[test]
fn only_the_right_password_learns_that_the_email_is_not_confirmed() {
    on_stack(async |stack| {
        let email = address();
        sign_up(stack, &email).await;
        stack.login(&email, "Wrong-Harbour-1").await.assert_problem(401, "bad_credentials");
        stack.login(&email, PASSWORD).await.assert_problem(403, "not_confirmed");
    });
}

#[test]
fn user_made_by_administrator_sets_password_at_login() {
    on_stack(async |stack| {
        let email = administrators_user(stack, Some("Grace")).await;
        stack.login(&email, PASSWORD).await.assert_problem(403, "password_change_required");
        let session = stack
            .post("/api/auth/login", json!({"email": email, "password": PASSWORD, "new_password": NEW_PASSWORD}))
            .await
            .assert_json(200);
        let me = stack.get("/api/me").token(session.str("access_token")).await.assert_json(200);
        assert_eq!(me["email"], email);
        stack.login(&email, NEW_PASSWORD).await.assert_status(200);
        stack.login(&email, PASSWORD).await.assert_status(401);
    });
}

#[test]
fn a_refresh_token_gives_an_access_token_that_works() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let renewed = refresh(stack, &user.refresh_token).await.assert_json(200);
        assert_eq!(renewed["token_type"], "Bearer");
        assert!(!renewed.str("refresh_token").is_empty());
        let me = stack.get("/api/me").token(renewed.str("access_token")).await.assert_json(200);
        assert_eq!(me["id"], user.api_id);
    });
}

#[test]
fn an_invalid_refresh_token_is_rejected() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for token in ["nonsense", "a.b.c", user.access_token.as_str()] {
            refresh(stack, token).await.problem(401);
        }
        let fields = stack.post("/api/auth/refresh", json!({})).await.invalid_fields();
        assert_eq!(fields, ["refresh_token"]);
    });
}

#[test]
fn logging_out_ends_this_session_at_once_and_no_other() {
    on_stack(async |stack| {
        let here = stack.user().await;
        let there = here.another_session().await;
        is_alive(&here).await;
        here.post("/api/auth/logout", json!({})).await.assert_status(204);
        is_ended(&here).await;
        is_alive(&there).await;
    });
}

#[test]
fn logging_out_with_a_refresh_token_ends_it_too() {
    on_stack(async |stack| {
        let here = stack.user().await;
        let there = here.another_session().await;
        here.post("/api/auth/logout", json!({"refresh_token": here.refresh_token})).await.assert_status(204);
        is_ended(&here).await;
        is_alive(&there).await;
    });
}

#[test]
fn logging_out_ends_the_refreshed_session_too() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let renewed = refresh(stack, &user.refresh_token).await.assert_json(200);
        let renewed = User {
            access_token: renewed.str("access_token").to_owned(),
            refresh_token: renewed.str("refresh_token").to_owned(),
            ..user.clone()
        };
        is_alive(&renewed).await;
        renewed.post("/api/auth/logout", json!({"refresh_token": renewed.refresh_token})).await.assert_status(204);
        is_ended(&renewed).await;
        is_ended(&user).await;
    });
}

#[test]
fn logging_out_everywhere_ends_every_session_at_once() {
    on_stack(async |stack| {
        let here = stack.user().await;
        let there = here.another_session().await;
        here.post("/api/auth/logout", json!({"everywhere": true})).await.assert_status(204);
        is_ended(&here).await;
        is_ended(&there).await;
    });
}

#[test]
fn a_user_who_logged_out_everywhere_can_log_in_again() {
    on_stack(async |stack| {
        let user = stack.user().await;
        user.post("/api/auth/logout", json!({"everywhere": true})).await.assert_status(204);
        // Sign-in times are whole seconds, and a session of the second of the logout counts as ended.
        eventually("a session that began after the logout", async || {
            let session = user.another_session().await;
            (session.get("/api/me").await.status == 200).then_some(())
        })
        .await;
    });
}

#[test]
fn logging_out_ends_no_other_session() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let other = stack.user().await;
        let answer = user.post("/api/auth/logout", json!({"refresh_token": other.refresh_token})).await;
        assert!(answer.status < 500, "{answer}");
        is_alive(&other).await;
    });
}

#[test]
fn logging_out_needs_a_login() {
    on_stack(async |stack| {
        stack.post("/api/auth/logout", json!({})).await.assert_status(401);
    });
}

#[test]
fn password_reset_with_code_ends_all_sessions() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let there = user.another_session().await;
        stack.post("/api/auth/forgot-password", json!({"email": user.email})).await.assert_status(202);
        let code = stack.mailed_code(&user.email, 2).await;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        stack
            .post("/api/auth/reset-password", json!({"email": user.email, "code": wrong, "new_password": NEW_PASSWORD}))
            .await
            .assert_problem(422, "bad_code");
        is_alive(&user).await;
        stack
            .post("/api/auth/reset-password", json!({"email": user.email, "code": code, "new_password": NEW_PASSWORD}))
            .await
            .assert_status(204);
        is_ended(&user).await;
        is_ended(&there).await;
        stack.login(&user.email, PASSWORD).await.assert_problem(401, "bad_credentials");
        stack.login(&user.email, NEW_PASSWORD).await.assert_status(200);
        stack
            .post("/api/auth/reset-password", json!({"email": user.email, "code": code, "new_password": PASSWORD}))
            .await
            .problem(422);
    });
}

#[test]
fn asking_for_a_reset_never_tells_whether_the_email_is_known() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let known = stack.post("/api/auth/forgot-password", json!({"email": user.email})).await.assert_status(202);
        let unknown = stack.post("/api/auth/forgot-password", json!({"email": address()})).await.assert_status(202);
        assert_eq!(known.text(), unknown.text());
        stack
            .post(
                "/api/auth/reset-password",
                json!({"email": address(), "code": "424242", "new_password": NEW_PASSWORD}),
            )
            .await
            .assert_problem(422, "bad_code");
    });
}

#[test]
fn a_reset_to_a_weak_password_is_refused() {
    on_stack(async |stack| {
        let user = stack.user().await;
        stack.post("/api/auth/forgot-password", json!({"email": user.email})).await.assert_status(202);
        let code = stack.mailed_code(&user.email, 2).await;
        let fields = stack
            .post("/api/auth/reset-password", json!({"email": user.email, "code": code, "new_password": "weak"}))
            .await
            .invalid_fields();
        assert_eq!(fields, ["new_password"]);
    });
}

#[test]
fn a_password_is_stored_nowhere_in_the_table() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let profile = stack
            .item(format!("PROFILE#{}", user.id), "PROFILE".to_owned())
            .await
            .expect("a confirmed user has a profile");
        assert!(!format!("{profile:?}").contains(PASSWORD));
    });
}

#[test]
fn unconfirmed_sign_up_frees_email_after_a_day() {
    on_stack(async |stack| {
        const DAY: u64 = 24 * 3600;
        let email = address();
        let sign_up = |name: &str| Some(json!({"email": email, "password": NEW_PASSWORD, "name": name}));
        let first = stack
            .post("/api/auth/signup", json!({"email": email, "password": PASSWORD, "name": "Grace"}))
            .await
            .assert_json(201);
        let function = stack.function("signup").await;
        function.proxy.rule("AdminGetUser", 1, get_user(stack, &email, DAY - 60).await);
        let taken =
            function.call(None, "POST", "/api/auth/signup", sign_up("Rose")).await.assert_problem(409, "email_taken");
        let told = taken.str("detail");
        assert!(told.contains("/api/auth/resend-code") && told.contains("24 hours"), "{told}");
        // The first sign-up is as it was.
        stack.login(&email, PASSWORD).await.assert_problem(403, "not_confirmed");

        function.proxy.rule("AdminGetUser", 1, get_user(stack, &email, DAY + 1).await);
        let second = function.call(None, "POST", "/api/auth/signup", sign_up("Rose")).await.assert_json(201);
        assert_ne!(first["user_id"], second["user_id"]);
        stack.login(&email, PASSWORD).await.assert_problem(401, "bad_credentials");
        let code = stack.mailed_code(&email, 2).await;
        stack.post("/api/auth/confirm", json!({"email": email, "code": code})).await.assert_status(204);
        let session = stack.login(&email, NEW_PASSWORD).await.assert_json(200);
        let me = stack.get("/api/me").token(session.str("access_token")).await.assert_json(200);
        assert_eq!((&me["id"], me.str("name")), (&second["user_id"], "Rose"));

        // Confirmed, it keeps the address however old it is.
        function.proxy.rule("AdminGetUser", 1, get_user(stack, &email, 400 * DAY).await);
        function.call(None, "POST", "/api/auth/signup", sign_up("Iris")).await.assert_problem(409, "email_taken");
    });
}
