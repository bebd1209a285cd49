//! `login`, `logout`, `whoami`, `account delete` and `plans`.

use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use crate::api::{self, Tokens};
use crate::args::{self, PasswordArgs};
use crate::client::Client;
use crate::config::ConfigDir;
use crate::error::{Error, Result};
use crate::jobs;
use crate::journal;
use crate::output::{Output, escape_control, question, secret, table};
use crate::session::{Session, StoredIn};

pub(crate) async fn login(client: &Client, folder: &ConfigDir, out: Output, arguments: args::LoginArgs) -> Result<()> {
    let email = match arguments.email {
        Some(email) => email,
        None => question("E-mail: ", "use --email")?,
    };
    let password = secret("Password: ", &arguments.password)?;
    let mut body = api::LogIn { email, password, new_password: None, cookie: None };
    let tokens: Tokens = match client.request(api::LOGIN).json(&body).no_retry().send().await {
        Err(error) if error.refused_with("password_change_required") && !arguments.password.password_stdin => {
            out.note("You must set a new password.");
            body.new_password = Some(new_password()?);
            client.request(api::LOGIN).json(&body).no_retry().send().await?
        }
        result => result?,
    };
    let place = client.begin(Session::from(tokens)).await?;
    let me = client.request(api::GET_ME).send().await?;
    remember(client, folder)?;
    let kept = match place {
        StoredIn::Keyring => "the system's keyring",
        StoredIn::File => "a file that only you can read",
    };
    out.print_result(&me, || {
        format!(
            "Logged in to {} as {} ({}). The session is kept in {kept}.",
            client.url,
            me.email,
            escape_control(&me.name)
        )
    });
    Ok(())
}

fn new_password() -> Result<String> {
    let from = PasswordArgs { password_stdin: false };
    let new = secret("New password: ", &from)?;
    if secret("Repeat password: ", &from)? == new {
        Ok(new)
    } else {
        Err(Error::Usage("The passwords do not match.".into()))
    }
}

/// Makes the first service that the user logs in to the default.
fn remember(client: &Client, folder: &ConfigDir) -> Result<()> {
    let mut config = folder.config()?;
    if config.url.is_none() {
        config.url = Some(client.url.to_string());
        folder.set_config(&config)?;
    }
    Ok(())
}

pub(crate) async fn logout(client: &Client, out: Output, everywhere: bool) -> Result<()> {
    if let Some(refresh_token) = client.refresh_token().await {
        let body = api::LogOut { refresh_token: Some(refresh_token), everywhere: Some(everywhere), cookie: None };
        match client.request(api::LOGOUT).json(&body).idempotent().send().await {
            Ok(()) => {}
            // The session had already ended.
            Err(error) if error.exit_status() == crate::error::exit::NOT_LOGGED_IN => {}
            Err(error) => {
                out.note("Could not reach the service: you are still logged in.");
                return Err(error);
            }
        }
        client.forget().await;
        out.print_result(&json!({"logged_out": true}), || {
            if everywhere { "Logged out, on every device." } else { "Logged out." }.to_owned()
        });
    } else {
        out.print_result(&json!({"logged_out": false}), || "You were not logged in.".to_owned());
    }
    Ok(())
}

pub(crate) async fn whoami(client: &Client, out: Output) -> Result<()> {
    let me = client.request(api::GET_ME).send().await?;
    out.print_result(&me, || {
        let plan = me.plan.as_deref().unwrap_or("none");
        let admin = if me.is_admin { "\nRights   admin" } else { "" };
        format!(
            "E-mail   {}\nName     {}\nPlan     {plan}{admin}\nImages   {} ({})\nSince    {}\nService  {}",
            me.email,
            escape_control(&me.name),
            HumanCount(me.usage.images),
            HumanBytes(me.usage.bytes),
            me.created_at,
            client.url,
        )
    });
    Ok(())
}

pub(crate) async fn plans(client: &Client, out: Output) -> Result<()> {
    let plans = client.request(api::LIST_PLANS).send().await?.results;
    let mine = if client.is_logged_in().await {
        client.request(api::GET_ME).send().await.ok().and_then(|me| me.plan)
    } else {
        None
    };
    if out.json {
        for plan in &plans {
            out.print_result(plan, String::new);
        }
        return Ok(());
    }
    let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
    let rows: Vec<Vec<String>> = plans
        .iter()
        .map(|plan| {
            let heights: Vec<String> = plan.thumbnail_heights.iter().map(u32::to_string).collect();
            vec![
                format!("{}{}", plan.name, if mine.as_ref() == Some(&plan.name) { " (yours)" } else { "" }),
                HumanCount(plan.max_images).to_string(),
                HumanBytes(plan.max_image_bytes).to_string(),
                yes(plan.original_link),
                yes(plan.expiring_links),
                heights.join(", "),
                yes(plan.webp_thumbnails),
            ]
        })
        .collect();
    let heads = ["Plan", "Images", "Largest", "Originals", "Links", "Thumbnail heights", "WebP"];
    out.print_result(&(), || table(&heads, &rows));
    Ok(())
}

pub(crate) async fn delete(
    client: &Client,
    folder: &ConfigDir,
    out: Output,
    password: &PasswordArgs,
    yes: bool,
    no_wait: bool,
) -> Result<()> {
    let me = client.request(api::GET_ME).send().await?;
    if !yes {
        out.note(&format!(
            "This deletes the account {} at {} and its {} images for good. Nobody can bring them back.",
            me.email,
            client.url,
            HumanCount(me.usage.images)
        ));
        let typed = question("Type its e-mail address to go on: ", "use --yes")?;
        if !typed.eq_ignore_ascii_case(&me.email) {
            return Err(Error::Usage("That is another address: nothing was deleted.".into()));
        }
    }
    let password = secret("Password: ", password)?;
    let accepted = client.request(api::DELETE_ME).json(&api::DeleteMe { password }).no_retry().send().await?;
    client.forget().await;
    journal::forget(folder, &client.url, &me.id);
    out.note("The account is closed: it can no longer log in, and its images and links are gone for others.");
    let job = if no_wait { accepted.job } else { jobs::wait(client, out, accepted.job).await? };
    out.print_result(&job, || match job.status.as_str() {
        "done" => format!("Deleted, with {} images.", HumanCount(job.done)),
        _ => "What it stored is being deleted.".to_owned(),
    });
    Ok(())
}
