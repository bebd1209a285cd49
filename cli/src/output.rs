//! What is said on standard output and error, and what is asked on the terminal.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process;

use serde::Serialize;

use crate::args::Password;
use crate::error::{Error, Result, exit};

/// How results are given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// A result: text for people, or its JSON for programs.
    pub(crate) fn give(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            line(&serde_json::to_string(value).expect("results have text keys"));
        } else {
            let text = text();
            if !text.is_empty() {
                line(&text);
            }
        }
    }

    /// Beside the result.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            writeln!(io::stderr(), "{text}").ok();
        }
    }
}

/// A line on standard output. Who reads it may have had enough.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            process::exit(i32::from(exit::DONE));
        }
        writeln!(io::stderr(), "tintype: cannot write: {error}").ok();
        process::exit(i32::from(exit::FAILED));
    }
}

/// Somebody else's text for a terminal, on which control characters act.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// A secret, from the terminal without echo, or from standard input.
pub(crate) fn secret(prompt: &str, from: &Password) -> Result<String> {
    let text = if from.password_stdin {
        let mut text = String::new();
        io::stdin().lock().read_line(&mut text).map_err(|error| Error::file("standard input", error))?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        rpassword::prompt_password(prompt)
            .map_err(|_| Error::Usage("There is no terminal to ask for the password: use --password-stdin.".into()))?
    };
    if text.is_empty() { Err(Error::Usage("The password is empty.".into())) } else { Ok(text) }
}

/// An answer from the terminal; without one an error that says what to use `instead`.
pub(crate) fn question(prompt: &str, instead: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        return Err(Error::Usage(format!("There is no terminal to ask on: {instead}.")));
    }
    write!(io::stderr(), "{prompt}").and_then(|()| io::stderr().flush()).ok();
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text).map_err(|error| Error::file("the terminal", error))?;
    Ok(text.trim().to_owned())
}

/// Rows under their heads, each column as wide as its widest cell but the last.
pub(crate) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].as_str()).chain([heads[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let put = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let head = put(&mut heads.iter().copied());
    let lines = rows.iter().map(|row| put(&mut row.iter().map(String::as_str)));
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}
