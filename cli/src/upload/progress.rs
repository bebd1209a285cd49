//! What an upload shows while it runs: bars on a terminal, now and then a line elsewhere.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::plain;

/// Between two plain lines.
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct Progress {
    began: Instant,
    bars: Option<Bars>,
    lines: bool,
    files: AtomicU64,
    bytes: AtomicU64,
    done: AtomicU64,
    done_bytes: AtomicU64,
    /// Of these, bytes that went over the wire.
    sent: AtomicU64,
    failed: AtomicU64,
    note: Mutex<String>,
}

struct Bars {
    all: MultiProgress,
    whole: ProgressBar,
    style: ProgressStyle,
}

/// A file on its way.
pub(crate) struct OneFile<'a> {
    progress: &'a Progress,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = console_is_terminal();
        let bars = (terminal && !quiet).then(|| {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            let style = |template: &str| ProgressStyle::with_template(template).expect("a template known to be right");
            let whole = all.add(ProgressBar::new(0));
            whole.set_style(
                style("{bar:30} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left  {msg}").progress_chars("=> "),
            );
            Bars { all, whole, style: style("  {bar:20} {bytes:>10} of {total_bytes:10}  {msg}").progress_chars("=> ") }
        });
        Self {
            began: Instant::now(),
            lines: !terminal && !quiet,
            bars,
            files: AtomicU64::default(),
            bytes: AtomicU64::default(),
            done: AtomicU64::default(),
            done_bytes: AtomicU64::default(),
            sent: AtomicU64::default(),
            failed: AtomicU64::default(),
            note: Mutex::default(),
        }
    }

    /// There is one more file than was known.
    pub(crate) fn count(&self, bytes: u64) {
        self.files.fetch_add(1, Ordering::Relaxed);
        let all = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(bars) = &self.bars {
            bars.whole.set_length(all);
        }
    }

    /// A file is over, of which so many bytes have not been counted by a [`OneFile`].
    pub(crate) fn over(&self, bytes: u64, failed: bool) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let failed = self.failed.fetch_add(u64::from(failed), Ordering::Relaxed) + u64::from(failed);
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(bars) = &self.bars {
            bars.whole.inc(bytes);
            bars.whole.set_message(self.counts(done, failed));
        }
    }

    /// A file that was counted as over has failed after all.
    pub(crate) fn failed_late(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn counts(&self, done: u64, failed: u64) -> String {
        let files = self.files.load(Ordering::Relaxed).max(done);
        let failed = if failed == 0 { String::new() } else { format!(", {} failed", HumanCount(failed)) };
        format!("{} of {} files{failed}", HumanCount(done), HumanCount(files))
    }

    pub(crate) fn one(&self, title: &str, bytes: u64) -> OneFile<'_> {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.all.insert_before(&bars.whole, ProgressBar::new(bytes));
            bar.set_style(bars.style.clone());
            bar.set_message(plain(title));
            bar
        });
        OneFile { progress: self, bar }
    }

    /// Says how far it is, again and again, where there are no bars.
    pub(crate) async fn tell(&self) {
        let mut last = (0, 0);
        loop {
            tokio::time::sleep(PAUSE).await;
            let note = std::mem::take(&mut *self.note.lock().expect("no panic while it is held"));
            if self.lines && !note.is_empty() {
                eprintln!("{note}");
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
            eprintln!(
                "{}, {} of {}, {}/s{left}",
                self.counts(now.0, self.failed.load(Ordering::Relaxed)),
                HumanBytes(now.1),
                HumanBytes(bytes),
                HumanBytes(rate),
            );
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// What comes before or after the files; of several since the last line, the last.
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
    /// So many bytes are on their way.
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
