//! What takes minutes: `make hold`.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::many::{sha256, upload_survives_interruptions};
use super::tool::{Running, Tool, photos};
use crate::harness::{id_of, on_stack, parts};

#[test]
#[ignore = "takes minutes; make hold runs it"]
fn upload_of_2000_files_survives_three_interruptions() {
    upload_survives_interruptions(2000, [100, 700, 1300]);
}

#[test]
#[ignore = "takes minutes; make hold runs it"]
fn memory_is_bounded_with_100000_files() {
    on_stack(async |stack| {
        const FILES: u32 = 100_000;
        let user = stack.user().await;
        let tool = Tool::of(&user).await;
        let one = photos(1);
        tool.run([Path::new("upload"), one.path()]).await.assert_status(0);
        let journal = tool.kept("journals", "jsonl").expect("the upload made one");
        let mut lines = fs::read_to_string(&journal).expect("it is text");
        let owner = parts(&tool.noted("ready")[0]).0;
        for number in 0..FILES {
            let image = uuid::Uuid::now_v7();
            let id = id_of(&owner.to_string(), &image.to_string());
            let (hash, title) = (sha256(&number.to_be_bytes()), sha256(image.as_bytes()));
            let (title, stamp) = (&title[..32], &title[32..]);
            lines += &format!(
                "{{\"op\":\"registered\",\"sha256\":\"{hash}\",\"title\":\"{title}\",\"stamp\":\"{stamp}\",\"id\":\"{id}\"}}\n\
                 {{\"op\":\"uploaded\",\"id\":\"{id}\"}}\n{{\"op\":\"ready\",\"id\":\"{id}\"}}\n"
            );
        }
        fs::write(&journal, lines).expect("it can be written");
        let root = tempfile::tempdir().expect("a temporary folder");
        for folder in 0..100 {
            let folder = root.path().join(format!("folder {folder}"));
            fs::create_dir(&folder).expect("a folder");
            for file in 0..FILES / 100 {
                let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
                bytes.extend(folder.to_string_lossy().bytes().chain(file.to_be_bytes()));
                fs::write(folder.join(format!("a photograph with a name of some length {file}.png")), bytes)
                    .expect("a file");
            }
        }
        // The largest of a process's children counts what it was before it became one, so it must be small itself.
        let measure = "import resource, subprocess, sys\n\
                       status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n\
                       print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, status)";
        let client = tool.command([Path::new("upload"), root.path(), Path::new("--dry-run")]);
        let client = client.as_std();
        let mut python = tokio::process::Command::new("python3");
        python.args(["-c", measure]).arg(client.get_program()).args(client.get_args()).stdout(Stdio::piped());
        python.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
        python.stderr(Stdio::piped());
        let ran = Running::of(python).ends().await.assert_status(0);
        let (memory, status) = ran.out.trim().split_once(' ').expect("two numbers");
        assert_eq!(status, "0", "{}", ran.err);
        let megabytes = memory.parse::<f64>().expect("kilobytes") / 1024.0;
        eprintln!("{megabytes:.1} MB");
        assert!(megabytes < 64.0, "{megabytes} MB");
    });
}
