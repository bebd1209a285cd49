//! `link create`, `link list` and `link revoke`.

use indicatif::HumanCount;
use serde_json::json;
use uuid::Uuid;

use crate::api::{self, Link};
use crate::args::{self, PasswordArgs};
use crate::client::Client;
use crate::error::{Result, exit};
use crate::images::{each, find};
use crate::output::{Output, complain, escape_control, line, secret};

pub(crate) async fn run(client: &Client, out: Output, command: args::LinkCommand) -> Result<u8> {
    match command {
        args::LinkCommand::Create { image, expires, max_downloads, description, password, password_stdin } => {
            let password = if password || password_stdin {
                Some(secret("Password for visitors: ", &PasswordArgs { password_stdin })?)
            } else {
                None
            };
            let base_image = find(client, &image).await?.id;
            let body = api::CreateLink {
                base_image,
                expiry_in_seconds: expires.secs().into(),
                description,
                max_downloads,
                password,
            };
            let key = Uuid::new_v4().to_string();
            let link = client.request(api::CREATE_LINK).json(&body).idempotency_key(&key).send().await?;
            if !out.json {
                out.note(&format!(
                    "Works until {}. To end it sooner: tintype link revoke {}",
                    link.expires_at, link.id
                ));
            }
            out.print_result(&link, || link.link_url.clone());
        }
        args::LinkCommand::List { image, pages } => {
            let base_image = match image {
                Some(name) => Some(find(client, &name).await?.id),
                None => None,
            };
            let ask = async |cursor, limit| {
                let query = api::ListLinks { cursor, limit, base_image: base_image.clone() };
                client.request(api::LIST_LINKS).query(&query).send().await
            };
            if each(&pages, ask, |link| put(out, &link)).await? && !out.json {
                out.note("There are more: use --all, or a larger --limit.");
            }
        }
        args::LinkCommand::Revoke { links } => {
            let mut failed = 0;
            for id in links {
                match client.request(api::DELETE_LINK).path_param(&id).send().await {
                    Ok(()) => out.print_result(&json!({"id": id, "revoked": true}), || format!("Revoked {id}")),
                    Err(error) if error.refused_with("not_found") => {
                        failed += 1;
                        let why = "no such link";
                        if out.json {
                            line(&json!({"id": id, "revoked": false, "error": why}).to_string());
                        } else {
                            complain(&format!("tintype: {}: {why}", escape_control(&id)));
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            return Ok(if failed == 0 { exit::DONE } else { exit::SOME_FAILED });
        }
    }
    Ok(exit::DONE)
}

fn put(out: Output, link: &Link) {
    out.print_result(link, || {
        let most = link.max_downloads.map_or_else(String::new, |most| format!(" of {}", HumanCount(u64::from(most))));
        let password = if link.has_password { ", password" } else { "" };
        let about = if link.description.is_empty() {
            String::new()
        } else {
            format!("  {}", escape_control(&link.description))
        };
        format!(
            "{}  until {}  {}{most} downloads{password}{about}\n  {}",
            link.id,
            link.expires_at,
            HumanCount(link.downloads),
            link.link_url
        )
    });
}
