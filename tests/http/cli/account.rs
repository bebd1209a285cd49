//! `login`, `logout`, `whoami`, `plans`, `account delete`, and what needs no service.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::gate::{Do, Gate};
use super::tool::{Tool, photos};
use crate::harness::{Body, PASSWORD, on_stack};

fn session(tool: &Tool) -> Value {
    let path = tool.kept("sessions", "json").expect("a session is kept");
    serde_json::from_slice(&fs::read(path).expect("it can be read")).expect("it is JSON")
}

#[test]
fn session_file_is_private_and_invalid_after_logout() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let path = tool.kept("sessions", "json").expect("a session is kept");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a folder")), 0o700);
        let me = tool.run(["whoami", "--json"]).await.assert_status(0).json().remove(0);
        assert_eq!(me["email"], user.email);
        tool.run(["whoami"]).await.assert_status(0).says("Plan     Basic");

        let kept = session(&tool);
        let token = kept.str("access_token");
        stack.get("/api/me").token(token).await.assert_status(200);
        tool.run(["logout"]).await.assert_status(0);
        stack.get("/api/me").token(token).await.assert_status(401);
        stack.post("/api/auth/refresh", json!({"refresh_token": kept["refresh_token"]})).await.assert_status(401);
        assert!(!path.exists());
        tool.run(["whoami"]).await.assert_status(3).says("tintype login");
        tool.run(["logout"]).await.assert_status(0).says("not logged in");
        // This session, not the user's others.
        user.get("/api/me").await.assert_status(200);
    });
}

#[test]
fn a_logout_everywhere_ends_all_sessions() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        tool.run(["logout", "--everywhere"]).await.assert_status(0);
        user.get("/api/me").await.assert_status(401);
    });
}

#[test]
fn a_login_needs_the_right_password_from_somewhere() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::new(&stack.url);
        let login = ["login", "--email", user.email.as_str()];
        tool.run(login).await.assert_status(2).says("--password-stdin");
        let login = [&login[..], &["--password-stdin"]].concat();
        tool.run_with(login.clone(), "wrong\n").await.assert_status(3).says("Wrong e-mail address or password");
        assert!(tool.kept("sessions", "json").is_none());
        let ran = tool.run_with([&login[..], &["--json"]].concat(), "wrong\n").await.assert_status(3);
        assert_eq!(ran.json()[0]["error"]["code"], "bad_credentials");
        tool.run_with(login, &format!("{PASSWORD}\r\n")).await.assert_status(0);
        // The first service is remembered.
        let config = fs::read_to_string(tool.folder.path().join("config.toml")).expect("it is there");
        assert!(config.contains(&stack.url), "{config}");
        let mut elsewhere = tool.command(["whoami"]);
        elsewhere.env_remove("TINTYPE_URL");
        super::tool::Running::of(elsewhere).ends().await.assert_status(0).says(&user.email);
        let ran = tool.run(["--url", "http://127.0.0.1:9", "whoami"]).await.assert_status(3);
        ran.says("tintype login");
    });
}

#[test]
fn concurrent_requests_refresh_a_session_once() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let gate = Gate::open().await;
        let tool = Tool::of(&user).await.through(&gate);
        let path = tool.kept("sessions", "json").expect("a session is kept");
        let spoil = |change: fn(&mut Value)| {
            let mut kept = session(&tool);
            change(&mut kept);
            fs::write(&path, kept.to_string()).expect("it can be written");
        };
        let refreshed = || gate.asked("/api/auth/refresh").len();

        spoil(|kept| kept["expires_at"] = json!(0));
        tool.run(["whoami"]).await.assert_status(0);
        assert_eq!(refreshed(), 1);
        tool.run(["whoami"]).await.assert_status(0);
        assert_eq!(refreshed(), 1);

        // One that only the service knows to be over.
        spoil(|kept| kept["access_token"] = json!(format!("{}x", kept["access_token"].as_str().expect("text"))));
        let folder = photos(40);
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
        assert_eq!(refreshed(), 2);

        spoil(|kept| {
            kept["expires_at"] = json!(0);
            kept["refresh_token"] = json!("over");
        });
        tool.run(["whoami"]).await.assert_status(3).says("log in again");
        assert!(!path.exists());
    });
}

#[test]
fn a_command_goes_on_with_a_newer_session_of_its_user_and_spares_any_other() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let path = tool.kept("sessions", "json").expect("a session is kept");
        let (newer, others) = (session(&Tool::of(&user).await), session(&Tool::of(&stack.user().await).await));
        let mut renewable = session(&tool);
        renewable["expires_at"] = json!(0);
        let mut over = renewable.clone();
        over["refresh_token"] = json!("over");
        // While the command renews its session, a login beside it stores another one.
        for (own, stored, status) in
            [(&over, &newer, 0), (&over, &others, 3), (&renewable, &newer, 0), (&renewable, &others, 0)]
        {
            fs::write(&path, own.to_string()).expect("it can be written");
            let (to, text) = (path.clone(), stored.to_string());
            let gate = Gate::with(move |seen| {
                if seen.path == "/api/auth/refresh" {
                    fs::write(&to, &text).expect("it can be written");
                }
                Do::Pass
            })
            .await;
            let ran = tool.run_through(&gate, ["whoami"]).await.assert_status(status);
            if status == 0 {
                ran.says(&user.email);
            }
            assert_eq!(session(&tool), *stored);
        }
    });
}

#[test]
fn plans_are_listed_for_anyone() {
    on_stack(async |stack| {
        let nobody = Tool::new(&stack.url);
        let plans = nobody.run(["plans", "--json"]).await.assert_status(0).json();
        assert!(plans.iter().any(|plan| plan["name"] == "Enterprise" && plan["expiring_links"] == true));
        let tool = Tool::of(&stack.user_on("Premium").await).await;
        tool.run(["plans"]).await.assert_status(0).says("Premium (yours)");
    });
}

#[test]
fn an_account_is_deleted_after_questions_and_with_its_password() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let folder = photos(2);
        tool.run([Path::new("upload"), folder.path()]).await.assert_status(0);
        let delete = ["account", "delete", "--yes", "--password-stdin"];
        tool.run_with(["account", "delete", "--password-stdin"], PASSWORD).await.assert_status(2).says("--yes");
        tool.run_with(delete, "wrong").await.assert_status(3).says("password");
        user.get("/api/me").await.assert_status(200);
        let job = tool.run_with([&delete[..], &["--json"]].concat(), PASSWORD).await.assert_status(0).json().remove(0);
        // The client waits for the job without a login: the account has none.
        assert_eq!((job.str("kind"), job.str("status"), job.number("done")), ("delete_account", "done", 2), "{job}");
        user.get("/api/me").await.assert_status(401);
        assert!(tool.kept("sessions", "json").is_none());
        assert!(tool.kept("journals", "jsonl").is_none());
    });
}

#[test]
fn help_completions_and_manual_need_no_service() {
    on_stack(async |_| {
        let tool = Tool::new("");
        let ran = tool.run(["--help"]).await.assert_status(0);
        for command in ["login", "upload", "get", "link", "account", "Exit status", "Examples"] {
            assert!(ran.out.contains(command), "{command}");
        }
        tool.run(["upload", "--help"]).await.assert_status(0).says("Examples:");
        for shell in ["bash", "zsh", "fish"] {
            tool.run(["completions", shell]).await.assert_status(0).says("tintype");
        }
        tool.run(["man"]).await.assert_status(0).says(".TH tintype 1");
        let folder = tempfile::tempdir().expect("a temporary folder");
        tool.run([Path::new("man"), Path::new("--dir"), folder.path()]).await.assert_status(0);
        assert!(folder.path().join("tintype-link-create.1").exists());
        tool.run(["whoami"]).await.assert_status(2);
        tool.run(["frobnicate"]).await.assert_status(2);
    });
}
