//! `tintype`: the command-line client of a Tintype repository, which uses the HTTP API only.

#![warn(clippy::print_stderr, reason = "a failure to print must not end the work: see output::complain")]

mod account;
mod api;
mod args;
mod client;
mod config;
mod error;
mod export;
mod get;
mod images;
mod jobs;
mod journal;
mod links;
mod output;
mod progress;
mod retry;
mod session;
mod upload;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, io};

use clap::{CommandFactory, Parser};
use serde_json::json;

use args::{Account, Cli, Command};
use client::Client;
use config::{Config, ConfigDir, parse_url};
use error::{Error, Result, exit};
use output::{Output, complain, line, outlive_reader};

/// For how long failed requests are retried by commands other than `upload` and `export`.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let cli = Cli::parse_from(args::names_last(std::env::args_os()));
    let out = Output { json: cli.json, quiet: cli.quiet };
    // Requests share one thread; files are read on a few others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(cli, out));
            // Do not wait for threads that still read files.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Error::file("a runtime", error)),
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        if out.json {
            line(&json!({"error": {"code": error.code(), "message": error.to_string()}}).to_string());
        }
        complain(&format!("tintype: {error}"));
        error.exit_status()
    }))
}

async fn run(cli: Cli, out: Output) -> Result<u8> {
    match &cli.command {
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "tintype", &mut io::stdout());
            return Ok(exit::DONE);
        }
        Command::Man { dir } => return manual(dir.as_deref()).map(|()| exit::DONE),
        _ => {}
    }
    let folder = ConfigDir::find()?;
    let config = folder.config()?;
    let url = cli.url.as_deref().or(config.url.as_deref());
    let url =
        url.ok_or_else(|| Error::Usage("No service URL. Set --url, TINTYPE_URL or `url` in config.toml.".into()))?;
    let is_long = matches!(cli.command, Command::Upload(_) | Command::Export(_));
    let patience = if is_long { upload::PATIENCE } else { PATIENCE };
    let client = Client::new(parse_url(url)?, folder.clone(), config.keyring.unwrap_or(true), patience, out)?;
    dispatch(cli.command, &client, &folder, &config, out).await
}

async fn dispatch(command: Command, client: &Client, folder: &ConfigDir, config: &Config, out: Output) -> Result<u8> {
    if !command.only_prints() {
        outlive_reader();
    }
    match command {
        Command::Login(arguments) => account::login(client, folder, out, arguments).await?,
        Command::Logout { everywhere } => account::logout(client, out, everywhere).await?,
        Command::Whoami => account::whoami(client, out).await?,
        Command::Upload(arguments) => return upload::run(client, folder, config, out, &arguments).await,
        Command::List(arguments) => images::list(client, out, &arguments).await?,
        Command::Show { image } => images::show(client, out, &image).await?,
        Command::Get(arguments) => return get::run(client, out, &arguments).await,
        Command::Export(arguments) => return export::run(client, config, out, &arguments).await,
        Command::Rm(arguments) => return images::rm(client, folder, out, arguments).await,
        Command::Link { command } => return links::run(client, out, command).await,
        Command::Explore(pages) => images::explore(client, out, &pages).await?,
        Command::Account { command: Account::Delete { password, yes, no_wait } } => {
            account::delete(client, folder, out, &password, yes, no_wait).await?;
        }
        Command::Plans => account::plans(client, out).await?,
        Command::Completions { .. } | Command::Man { .. } => unreachable!("these need no service"),
    }
    Ok(exit::DONE)
}

/// Prints the main manual page, or writes a page for each command.
fn manual(dir: Option<&Path>) -> Result<()> {
    let command = Cli::command();
    let Some(dir) = dir else {
        let mut page = Vec::new();
        let render = clap_mangen::Man::new(command).render(&mut page);
        let print = render.and_then(|()| io::stdout().write_all(&page));
        return print.map_err(|error| Error::file("the manual", error));
    };
    let write = || {
        fs::create_dir_all(dir)?;
        clap_mangen::generate_to(command, dir)
    };
    write().map_err(|error| Error::file(dir.display(), error))
}
