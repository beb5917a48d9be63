//! A file of this machine, copied to a host whole or not at all.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tracing::debug;

use super::command::{collect, wrapped};
use super::connection::{Running, Target};
use super::trouble::{Trouble, chain, refused};
use crate::adapters::seal;
use crate::host::clause::clause;
use crate::host::command::receive;
use crate::host::op::Output;
use crate::ports::Failure;

/// Copies the file, opened where an identity is given. It has its name there only if it has this digest.
pub async fn upload(
    target: &Target,
    from: &Path,
    identity: Option<&Path>,
    file: &str,
    sha256: &str,
) -> Result<(), Failure> {
    /// The longest silence in a transfer; at its end the host puts all of it on its disk.
    const SILENCE: Duration = Duration::from_secs(120);
    let host = &target.host.name;
    let failed = |why: String| Failure::NotSent(format!("{host}: {file} was not written: {why}"));
    let mut source = seal::open(from, identity).map_err(|error| failed(error.to_string()))?;

    let _channel = target.channels.acquire().await;
    let command = receive(file, sha256);
    let Running { session, mut child } = target
        .spawn(&wrapped(&target.host, &command, None), true)
        .await
        .map_err(Trouble::of_question)?;
    let (Some(mut stdin), stdout, stderr) = (
        child.stdin().take(),
        child.stdout().take(),
        child.stderr().take(),
    ) else {
        return Err(failed("no channel".to_owned()));
    };
    let feed = async {
        let mut buffer = vec![0_u8; 1 << 16];
        loop {
            let count = source
                .read(&mut buffer)
                .map_err(|error| error.to_string())?;
            if count == 0 {
                break;
            }
            let bytes = buffer.get(..count).unwrap_or_default();
            match timeout(SILENCE, stdin.write_all(bytes)).await {
                Ok(Ok(())) => {}
                // why it takes no more, it says itself
                Ok(Err(_)) => break,
                Err(_) => return Err(format!("it took nothing for {} s", SILENCE.as_secs())),
            }
        }
        drop(stdin);
        Ok(())
    };
    let (fed, _, said) = futures::join!(feed, collect(stdout), collect(stderr));
    if let Err(why) = fed {
        target.forget(&session).await;
        return Err(failed(why));
    }
    let status = child
        .wait()
        .await
        .map_err(|error| failed(clause(&chain(&error))))?;
    if !status.success() {
        let output = Output {
            status: status.code().unwrap_or(255),
            stdout: String::new(),
            stderr: said.clone(),
        };
        return Err(match refused(&target.host, &output) {
            Some(trouble) => trouble.of_question(),
            None => failed(said.trim().to_owned()),
        });
    }
    debug!(%host, file, "written");
    Ok(())
}
