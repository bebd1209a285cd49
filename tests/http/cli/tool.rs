use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use image::{ExtendedColorType, ImageEncoder};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use super::gate::Gate;
use crate::harness::{PASSWORD, User, eventually};

/// The client, logged in as one user, with a configuration of its own.
pub(super) struct Tool {
    pub(super) folder: TempDir,
    url: String,
    proxy: Option<String>,
}

/// A running command. Its output is read at once: a full pipe would block it.
pub(super) struct Running {
    id: u32,
    ran: JoinHandle<Ran>,
}

/// The output and exit status of a command.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) status: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Tool {
    /// Logged out.
    pub(super) fn new(url: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The tests' sessions are no business of whoever runs them.
        std::fs::write(folder.path().join("config.toml"), "keyring = false\n").expect("it can be written");
        Self { folder, url: url.to_owned(), proxy: None }
    }

    pub(super) async fn of(user: &User) -> Self {
        let tool = Self::new(&user.stack.url);
        let _lifetime = user.stack.token_lifetime.read().await;
        let login = ["login", "--email", user.email.as_str(), "--password-stdin"];
        tool.run_with(login, &format!("{PASSWORD}\n")).await.assert_status(0);
        tool
    }

    /// All its requests, those to the bucket too, go through this gate from now on.
    pub(super) fn through(self, gate: &Gate) -> Self {
        let url = gate.url.clone();
        self.through_proxy(&url)
    }

    pub(super) fn through_proxy(mut self, url: &str) -> Self {
        self.proxy = Some(url.to_owned());
        self
    }

    pub(super) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(executable());
        command
            .args(arguments)
            .env_clear()
            .env("TINTYPE_CONFIG_DIR", self.folder.path())
            .env("TINTYPE_URL", &self.url)
            .envs(std::env::var_os("SSL_CERT_FILE").map(|file| ("SSL_CERT_FILE", file)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(proxy) = &self.proxy {
            command.env("http_proxy", proxy);
        }
        command
    }

    pub(super) async fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        self.start(arguments).ends().await
    }

    /// Its requests go through this gate, those of other commands do not.
    pub(super) async fn run_through<A: AsRef<OsStr>>(
        &self,
        gate: &Gate,
        arguments: impl IntoIterator<Item = A>,
    ) -> Ran {
        let mut command = self.command(arguments);
        command.env("http_proxy", &gate.url);
        Running::of(command).ends().await
    }

    pub(super) fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running {
        Running::of(self.command(arguments))
    }

    /// Given this on its standard input.
    pub(super) async fn run_with<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>, input: &str) -> Ran {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the client starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // It may not want it.
        stdin.write_all(input.as_bytes()).await.ok();
        drop(stdin);
        Ran::of(child).await
    }

    /// The only file in a folder of its configuration with this extension.
    pub(super) fn kept(&self, folder: &str, extension: &str) -> Option<PathBuf> {
        let files = std::fs::read_dir(self.folder.path().join(folder)).ok()?;
        files.filter_map(|file| Some(file.ok()?.path())).find(|path| path.extension() == Some(OsStr::new(extension)))
    }

    /// The lines of its journal, so far.
    pub(super) fn journal(&self) -> Vec<Value> {
        let text =
            self.kept("journals", "jsonl").and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The entries of the journal with this word.
    pub(super) fn noted(&self, op: &str) -> Vec<String> {
        let lines = self.journal();
        lines
            .iter()
            .filter(|line| line["op"] == op)
            .map(|line| line["id"].as_str().unwrap_or_default().into())
            .collect()
    }

    pub(super) async fn has_noted(&self, count: usize, op: &str) {
        eventually(&format!("{count} times {op:?} in the journal"), async || {
            (self.noted(op).len() >= count).then_some(())
        })
        .await;
    }
}

/// Built beside these tests.
fn executable() -> PathBuf {
    let tests = std::env::current_exe().expect("it is known");
    let path = tests.ancestors().nth(2).expect("it is two folders down").join("tintype");
    assert!(path.exists(), "{} is not built: run `cargo build --package tintype-cli`", path.display());
    path
}

impl Running {
    pub(super) fn of(mut command: Command) -> Self {
        let child = command.spawn().expect("the client starts");
        Self { id: child.id().expect("it runs"), ran: tokio::spawn(Ran::of(child)) }
    }

    pub(super) fn signal(&self, name: &str) {
        let arguments = [format!("-{name}"), self.id.to_string()];
        let sent = std::process::Command::new("kill").args(arguments).status().expect("kill is there");
        assert!(sent.success());
    }

    pub(super) async fn ends(mut self) -> Ran {
        (&mut self.ran).await.expect("it can be read")
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        if !self.ran.is_finished() {
            self.ran.abort();
        }
    }
}

impl Ran {
    async fn of(child: Child) -> Self {
        let output = child.wait_with_output().await.expect("the client can be waited for");
        let text = |bytes| String::from_utf8(bytes).expect("the client writes UTF-8");
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub(super) fn assert_status(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Its lines, of which each is JSON.
    #[track_caller]
    pub(super) fn json(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}\n{}", self.err));
        self.out.lines().map(parse).collect()
    }

    /// The last line of an upload's.
    #[track_caller]
    pub(super) fn summary(&self) -> Value {
        let last = self.json().pop().unwrap_or_else(|| panic!("it said nothing: {}", self.err));
        assert_eq!(last["event"], "summary", "{last}");
        last
    }

    #[track_caller]
    pub(super) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "no {text:?} in\n{}\n{}", self.out, self.err);
        self
    }
}

/// A small image like no other of another number, of one of four types.
pub(super) fn photo(number: u32) -> Vec<u8> {
    let mut grain = fastrand::Rng::with_seed(u64::from(number));
    let (width, height) = (16 + number % 5, 12 + number % 3);
    let pixels: Vec<u8> = (0..width * height * 3).map(|_| grain.u8(..)).collect();
    let mut bytes = Vec::new();
    let color = ExtendedColorType::Rgb8;
    let written = match number % 4 {
        0 => image::codecs::png::PngEncoder::new(&mut bytes).write_image(&pixels, width, height, color),
        1 => image::codecs::webp::WebPEncoder::new_lossless(&mut bytes).write_image(&pixels, width, height, color),
        2 => image::codecs::gif::GifEncoder::new(&mut bytes).encode(&pixels, width, height, color),
        _ => image::codecs::jpeg::JpegEncoder::new(&mut bytes).write_image(&pixels, width, height, color),
    };
    written.expect("memory takes any image");
    bytes
}

pub(super) const EXTENSIONS: [&str; 4] = ["png", "webp", "gif", "jpg"];

/// Writes a file and the folders above it.
pub(super) fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder can be made");
    std::fs::write(path, bytes).expect("the file can be written");
}

/// A folder of that many photographs, `0.png` to `….jpg`.
pub(super) fn photos(count: u32) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for number in 0..count {
        write(&folder.path().join(name(number)), &photo(number));
    }
    folder
}

pub(super) fn name(number: u32) -> String {
    format!("{number}.{}", EXTENSIONS[number as usize % 4])
}
