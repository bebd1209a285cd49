//! Printing to standard output and error, and prompts on the terminal.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::MultiProgress;
use serde::Serialize;

use crate::args::PasswordArgs;
use crate::error::{Error, Result, exit};
use crate::retry::Backoff;

/// True if the command goes on when nobody reads its output any more.
static OUTLIVES_READER: AtomicBool = AtomicBool::new(false);

/// Time between two messages about a service that does not answer.
const PAUSE: Duration = Duration::from_secs(5);

/// The format of results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
}

impl Output {
    /// Prints a result: text for people, or its JSON for programs.
    pub(crate) fn print_result(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            line(&serde_json::to_string(value).expect("results have text keys"));
        } else {
            let text = text();
            if !text.is_empty() {
                line(&text);
            }
        }
    }

    /// Prints a note for people to standard error.
    pub(crate) fn note(self, text: &str) {
        if !self.quiet {
            complain(text);
        }
    }
}

/// Prints a line to standard error. Where that cannot be written, the work goes on.
pub(crate) fn complain(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
}

/// Tells the user that requests fail and are tried again, or wait for an answer: at once, then every few seconds.
#[derive(Debug)]
pub(crate) struct Waiting {
    out: Output,
    bars: Mutex<Option<MultiProgress>>,
    /// The last message, until a request succeeds.
    last: Mutex<Option<Instant>>,
}

impl Waiting {
    pub(crate) fn new(out: Output) -> Self {
        Self { out, bars: Mutex::default(), last: Mutex::default() }
    }

    /// Prints messages above these bars from now on.
    pub(crate) fn print_above(&self, bars: &MultiProgress) {
        *self.bars.lock().expect("no panic while it is held") = Some(bars.clone());
    }

    /// A request failed for the reason `why`, a sentence, and is tried again. A first failure is not worth a message.
    pub(crate) fn retrying(&self, why: &str, backoff: &Backoff, asked: Option<Duration>) {
        let seconds = |time: Duration| humantime::format_duration(Duration::from_secs(time.as_secs()));
        match asked {
            Some(asked) => self.tell(|| format!("{why} It asks to wait for {}.", seconds(asked))),
            None if backoff.tries() > 1 => {
                self.tell(|| format!("{why} Retrying for {} more.", seconds(backoff.left())))
            }
            None => {}
        }
    }

    /// `who` has not answered for so long.
    pub(crate) fn silent(&self, who: &str, time: Duration) {
        self.tell(|| format!("{who} has not answered for {} s. Still waiting.", time.as_secs()));
    }

    /// A request succeeded.
    pub(crate) fn over(&self) {
        if self.last.lock().expect("no panic while it is held").take().is_some() {
            self.print("The service answers again.");
        }
    }

    fn tell(&self, text: impl FnOnce() -> String) {
        let mut last = self.last.lock().expect("no panic while it is held");
        if last.is_none_or(|last| last.elapsed() >= PAUSE) {
            *last = Some(Instant::now());
            drop(last);
            self.print(&text());
        }
    }

    fn print(&self, text: &str) {
        self.above_bars(|| self.out.note(text));
    }

    /// Prints a failure above the bars.
    pub(crate) fn print_failure(&self, text: &str) {
        self.above_bars(|| complain(text));
    }

    fn above_bars(&self, print: impl FnOnce()) {
        match &*self.bars.lock().expect("no panic while it is held") {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}

/// For commands that do more than print: their work goes on when the reader of standard output has closed the pipe.
pub(crate) fn outlive_reader() {
    OUTLIVES_READER.store(true, Ordering::Relaxed);
}

/// Prints a line to standard output. Ends the program if the reader has closed the pipe, unless [`outlive_reader`] was called.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            if OUTLIVES_READER.load(Ordering::Relaxed) {
                return;
            }
            process::exit(i32::from(exit::DONE));
        }
        complain(&format!("tintype: cannot write: {error}"));
        process::exit(i32::from(exit::FAILED));
    }
}

/// Replaces control characters, on which a terminal would act.
pub(crate) fn escape_control(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// Reads a secret from the terminal without echo, or from standard input.
pub(crate) fn secret(prompt: &str, from: &PasswordArgs) -> Result<String> {
    let text = if from.password_stdin {
        let mut text = String::new();
        io::stdin().lock().read_line(&mut text).map_err(|error| Error::file("standard input", error))?;
        text.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        rpassword::prompt_password(prompt)
            .map_err(|_| Error::Usage("No terminal to ask for the password: use --password-stdin.".into()))?
    };
    if text.is_empty() { Err(Error::Usage("The password is empty.".into())) } else { Ok(text) }
}

/// Asks on the terminal. Without one, returns an error that says what to use `instead`.
pub(crate) fn question(prompt: &str, instead: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        return Err(Error::Usage(format!("No terminal for the prompt: {instead}.")));
    }
    write!(io::stderr(), "{prompt}").and_then(|()| io::stderr().flush()).ok();
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text).map_err(|error| Error::file("the terminal", error))?;
    Ok(text.trim().to_owned())
}

/// Formats rows under their heads; each column but the last is as wide as its widest cell.
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
