//! A file of a host, copied here whole or not at all.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use sha2::Digest as _;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tracing::debug;

use super::command::{collect, wrapped};
use super::connection::{Running, Target};
use super::place::private;
use super::trouble::{Trouble, chain, refused};
use crate::adapters::seal::Sealing;
use crate::host::clause::clause;
use crate::host::op::{Command, Output};
use crate::ports::Failure;

/// Copies the file; its size and SHA-256 as received. What is there of an earlier attempt is replaced.
pub async fn download(
    target: &Target,
    file: &str,
    to: &Path,
    seal_to: &[String],
) -> Result<(u64, String), Failure> {
    /// The longest silence in a transfer.
    const SILENCE: Duration = Duration::from_secs(60);
    let host = &target.host.name;
    let failed = |why: String| Failure::NotSent(format!("{host}: {file} was not copied: {why}"));
    let local = |error: std::io::Error| failed(format!("{}: {error}", to.display()));
    let command = Command {
        argv: ["cat", "--", file].map(str::to_owned).to_vec(),
        stdin: Vec::new(),
        root: true,
    };
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = to.with_file_name(name);
    let _ = fs::remove_file(&partial); // so that its mode is ours
    let out = private(&partial).map_err(local)?;
    let mut out = Sealing::begin(out, seal_to).map_err(local)?;

    let _channel = target.channels.acquire().await;
    let Running { session, mut child } = target
        .spawn(&wrapped(&target.host, &command, None), false)
        .await
        .map_err(Trouble::of_question)?;
    let (Some(mut stdout), stderr) = (child.stdout().take(), child.stderr().take()) else {
        return Err(failed("no channel".to_owned()));
    };
    let mut digest = sha2::Sha256::new();
    let mut size = 0_u64;
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let read = timeout(SILENCE, stdout.read(&mut buffer)).await;
        let count = match read {
            Ok(Ok(0)) => break,
            Ok(Ok(count)) => count,
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(_) => {
                target.forget(&session).await;
                return Err(failed(format!("nothing came for {} s", SILENCE.as_secs())));
            }
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        out.write_all(bytes).map_err(local)?;
        digest.update(bytes);
        size += count as u64;
    }
    let said = collect(stderr).await;
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
    out.end().and_then(|out| out.sync_all()).map_err(local)?;
    fs::rename(&partial, to).map_err(local)?;
    if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::File::open(parent)
            .and_then(|dir| dir.sync_all())
            .map_err(local)?;
    }
    debug!(%host, file, size, "copied");
    let sha256 = digest
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok((size, sha256))
}
