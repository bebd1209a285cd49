//! The progress of an upload or an export: bars on a terminal, otherwise a line every few seconds.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{
    HumanBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};

use crate::output::{Waiting, complain, escape_control};

/// Bytes of a file that has a bar of its own. Smaller ones come and go too fast, and too many at a time.
const SHOWN: u64 = 1 << 20;

/// Time between two lines.
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct Progress {
    began: Instant,
    bars: Option<Bars>,
    lines: bool,
    files: AtomicU64,
    /// True while the files are being counted.
    counting: AtomicBool,
    bytes: AtomicU64,
    done: AtomicU64,
    done_bytes: AtomicU64,
    /// Of `done_bytes`, those that were sent or received.
    sent: AtomicU64,
    failed: AtomicU64,
    note: Mutex<String>,
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    style: ProgressStyle,
}

/// A file that is being uploaded or downloaded.
pub(crate) struct OneFile<'a> {
    progress: &'a Progress,
    bar: Option<ProgressBar>,
}

/// The rate, and the time that is left: from the first byte to the last.
fn write_left(state: &ProgressState, out: &mut dyn fmt::Write) {
    if state.pos() > 0 && state.len().is_some_and(|all| state.pos() < all) {
        write!(out, "{}/s  {:#} left  ", HumanBytes(state.per_sec() as u64), HumanDuration(state.eta())).ok();
    }
}

impl Progress {
    pub(crate) fn new(quiet: bool, waiting: &Waiting) -> Self {
        let terminal = console_is_terminal();
        let bars = (terminal && !quiet).then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            let style = |template: &str| ProgressStyle::with_template(template).expect("a template known to be right");
            let whole = all.add(ProgressBar::new(0));
            let whole_style = style("{bar:30} {bytes} of {total_bytes}  {left}{msg}").with_key("left", write_left);
            whole.set_style(whole_style.progress_chars("=> "));
            waiting.print_above(&all);
            Bars { all, whole, style: style("  {bar:20} {bytes:>10} of {total_bytes:10}  {msg}").progress_chars("=> ") }
        });
        Self {
            began: Instant::now(),
            lines: !terminal && !quiet,
            bars,
            files: AtomicU64::default(),
            counting: AtomicBool::new(true),
            bytes: AtomicU64::default(),
            done: AtomicU64::default(),
            done_bytes: AtomicU64::default(),
            sent: AtomicU64::default(),
            failed: AtomicU64::default(),
            note: Mutex::default(),
        }
    }

    /// Says whether files are still being counted.
    pub(crate) fn counting(&self, counting: bool) {
        self.counting.store(counting, Ordering::Relaxed);
    }

    pub(crate) fn is_counting(&self) -> bool {
        self.counting.load(Ordering::Relaxed)
    }

    /// Returns how many of the files counted so far are not done.
    pub(crate) fn left(&self) -> u64 {
        self.files.load(Ordering::Relaxed).saturating_sub(self.done.load(Ordering::Relaxed))
    }

    /// Adds files to the total.
    pub(crate) fn count(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        let all = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bars) = &self.bars {
            bars.whole.set_length(all);
        }
    }

    /// Counts a file as done, with this many bytes.
    pub(crate) fn over(&self, bytes: u64, failed: bool) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let failed = self.failed.fetch_add(u64::from(failed), Ordering::Relaxed) + u64::from(failed);
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(bars) = &self.bars {
            bars.whole.inc(bytes);
            bars.whole.set_message(self.counts(done, failed));
        }
    }

    /// Counts a file that was done as failed.
    pub(crate) fn failed_late(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn counts(&self, done: u64, failed: u64) -> String {
        let files = self.files.load(Ordering::Relaxed).max(done);
        let failed = if failed == 0 { String::new() } else { format!(", {} failed", HumanCount(failed)) };
        format!("{} of {} files{failed}", HumanCount(done), HumanCount(files))
    }

    pub(crate) fn one(&self, title: &str, bytes: u64) -> OneFile<'_> {
        let bar = self.bars.as_ref().filter(|_| bytes >= SHOWN).map(|bars| {
            let bar = bars.all.insert_before(&bars.whole, ProgressBar::new(bytes));
            bar.set_style(bars.style.clone());
            bar.set_message(escape_control(title));
            bar
        });
        OneFile { progress: self, bar }
    }

    /// Prints lines for ever where there are no bars.
    pub(crate) async fn report(&self) {
        let mut last = (0, 0);
        loop {
            tokio::time::sleep(PAUSE).await;
            let note = std::mem::take(&mut *self.note.lock().expect("no panic while it is held"));
            if self.lines && !note.is_empty() {
                complain(&note);
            }
            let now = (self.done.load(Ordering::Relaxed), self.done_bytes.load(Ordering::Relaxed));
            if !self.lines || now == last {
                continue;
            }
            last = now;
            let (bytes, sent) = (self.bytes.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed));
            let rate = (sent as f64 / self.began.elapsed().as_secs_f64()) as u64;
            let left = bytes.saturating_sub(now.1).checked_div(rate).map(Duration::from_secs);
            let left = left.map_or_else(String::new, |left| format!(", {} left", HumanDuration(left)));
            complain(&format!(
                "{}, {} of {}, {}/s{left}",
                self.counts(now.0, self.failed.load(Ordering::Relaxed)),
                HumanBytes(now.1),
                HumanBytes(bytes),
                HumanBytes(rate),
            ));
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Shows a message; without bars, the latest one since the last line.
    pub(crate) fn note(&self, text: String) {
        match &self.bars {
            Some(bars) => bars.whole.set_message(text),
            None => *self.note.lock().expect("no panic while it is held") = text,
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(bars) = &self.bars {
            bars.all.clear().ok();
            bars.all.set_draw_target(ProgressDrawTarget::hidden());
        }
    }
}

fn console_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

impl OneFile<'_> {
    /// Moves the bar of this file.
    pub(crate) fn set(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.progress.sent.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for OneFile<'_> {
    fn drop(&mut self) {
        if let (Some(bar), Some(bars)) = (&self.bar, &self.progress.bars) {
            bar.finish_and_clear();
            bars.all.remove(bar);
        }
    }
}
