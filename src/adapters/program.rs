//! Programs on this machine, which a declaration names word by word.
//!
//! No shell stands between: words are arguments. What a program says is kept as far as its last part only. One that is not
//! waited for any longer is killed; what it has started itself is its own concern.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, join, select};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::ports::{Ended, Programs};

/// So much of the end of what a program says is kept.
const KEPT: usize = 8 * 1024;

/// So long what it said last is read for after its end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// This machine's programs.
#[derive(Debug, Clone, Copy)]
pub struct LocalPrograms;

#[async_trait(?Send)]
impl Programs for LocalPrograms {
    async fn run(
        &self,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> io::Result<Ended> {
        let [program, arguments @ ..] = words else {
            return Err(io::Error::other("it has no words"));
        };
        let directory = std::path::absolute(directory)?;
        // A name is looked for in PATH, a path from the directory on, wherever refit itself works.
        let program = match program.contains('/') {
            true => directory.join(program),
            false => PathBuf::from(program),
        };
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C at the terminal is for refit, which ends what is under way by itself.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let kept = RefCell::new(Vec::new());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let mut reading = pin!(join(keep(out, &kept), keep(err, &kept)));
        let whole = async {
            match select(pin!(child.wait()), reading.as_mut()).await {
                // What it has started may hold on to its output, and is not waited for.
                Either::Left((status, _)) => {
                    let _ = tokio::time::timeout(LAST_WORDS, reading.as_mut()).await;
                    status
                }
                Either::Right((_, ends)) => ends.await,
            }
        };
        let status = match tokio::time::timeout(at_most, whole).await {
            Ok(status) => status?.code(),
            Err(_) => None,
        };
        let output = String::from_utf8_lossy(&kept.borrow()).into_owned();
        Ok(Ended { status, output })
    }
}

/// Reads to the end and keeps the last part.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, kept: &RefCell<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let mut kept = kept.borrow_mut();
        kept.extend_from_slice(&buffer[..read]);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn run(directory: &Path, words: &[&str], seconds: u64) -> io::Result<Ended> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        LocalPrograms
            .run(directory, &words, Duration::from_secs(seconds))
            .await
    }

    #[tokio::test]
    async fn words_are_arguments_and_paths_begin_at_the_directory() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("smoke.sh");
        std::fs::write(&script, "#!/bin/sh\npwd; echo \"$2\" >&2; exit 3\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        let ended = run(folder.path(), &["./smoke.sh", "a b", "$HOME; *"], 60)
            .await
            .unwrap();
        assert_eq!(ended.status, Some(3));
        let real = folder.path().canonicalize().unwrap();
        assert!(
            ended.output.contains(&real.to_string_lossy().into_owned()),
            "{ended:?}"
        );
        assert!(ended.output.contains("$HOME; *\n"), "{ended:?}");
        assert!(run(folder.path(), &["./none.sh"], 60).await.is_err());
        assert_eq!(
            run(folder.path(), &["true"], 60).await.unwrap().status,
            Some(0)
        );
    }

    #[tokio::test]
    async fn what_it_leaves_behind_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let began = tokio::time::Instant::now();
        let ended = run(folder.path(), &["sh", "-c", "sleep 30 & echo done"], 20)
            .await
            .unwrap();
        assert_eq!((ended.status, ended.output.as_str()), (Some(0), "done\n"));
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test]
    async fn only_the_end_of_what_it_says_is_kept_and_no_time_is_lost_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let ended = run(folder.path(), &["seq", "100000"], 60).await.unwrap();
        assert!(ended.output.ends_with("99999\n100000\n"));
        assert!(ended.output.len() <= KEPT);
        let ended = run(folder.path(), &["sleep", "600"], 1).await.unwrap();
        assert_eq!(ended.status, None);
    }
}
