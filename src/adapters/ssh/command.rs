//! One command at a host, from its start to its end.
//!
//! Becoming root, the environment and the time limit are wrapped around it here; what its output means is the caller's.

use std::cell::Cell;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::connection::{Running, Target};
use super::trouble::{Trouble, chain, refused};
use crate::documents::settings::{Become, Host};
use crate::host::clause::clause;
use crate::host::command::shorten;
use crate::host::op::{Command, Output};

/// What a host may print in answer to one question.
const MOST_OUTPUT: u64 = 64 << 20;
/// `PATH` at the hosts: a login without a shell's start-up files often lacks the `sbin` directories.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The command as it is sent: as root where it must be, in a known environment, and ended by the host itself in time.
pub fn wrapped(host: &Host, command: &Command, limit: Option<Duration>) -> Vec<String> {
    let mut argv: Vec<String> = match host.ssh.become_root {
        Become::Sudo if command.root => ["sudo", "-n", "--"].map(str::to_owned).to_vec(),
        Become::Sudo | Become::None => Vec::new(),
    };
    argv.extend(["env", "LC_ALL=C", PATH].map(str::to_owned));
    if let Some(limit) = limit {
        argv.extend(["timeout", "-k", "5"].map(str::to_owned));
        argv.push(limit.as_secs().max(1).to_string());
    }
    argv.extend(command.argv.iter().cloned());
    argv
}

/// A stream's whole text.
pub async fn collect(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // what came before an error is still shown; the exit status tells whether it is whole
        let _ = stream.take(MOST_OUTPUT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs a command to its end; `limit` is also kept at the host.
pub async fn run(target: &Target, command: &Command, limit: Duration) -> Result<Output, Trouble> {
    let name = &target.host.name;
    let began = Instant::now();
    let argv = wrapped(&target.host, command, Some(limit));
    let _channel = target.channels.acquire().await;
    let Running { session, mut child } = target.spawn(&argv, !command.stdin.is_empty()).await?;
    let (input, stdout, stderr) = (
        child.stdin().take(),
        child.stdout().take(),
        child.stderr().take(),
    );
    let work = async {
        let feed = async {
            if let Some(mut input) = input {
                let _ = input.write_all(&command.stdin).await; // a command need not read it all
            }
        };
        let ((), stdout, stderr) = futures::join!(feed, collect(stdout), collect(stderr));
        let status = child.wait().await;
        (stdout, stderr, status)
    };
    let Ok((stdout, stderr, status)) = timeout(limit + Duration::from_secs(20), work).await else {
        target.forget(&session).await;
        return Err(Trouble::Broken(format!(
            "{name}: the connection does not answer"
        )));
    };
    let status = match status {
        Ok(status) => status.code().unwrap_or(255),
        // 127 is an exit status like any other
        Err(openssh::Error::Remote(_)) => 127,
        Err(error) => {
            target.forget(&session).await;
            return Err(Trouble::Broken(format!(
                "{name}: the connection broke while `{}` ran: {}",
                shorten(&command.argv),
                clause(&chain(&error))
            )));
        }
    };
    let output = Output {
        status,
        stdout,
        stderr,
    };
    debug!(
        host = %name,
        command = shorten(&command.argv),
        status,
        ms = began.elapsed().as_millis(),
        "ran"
    );
    if let Some(trouble) = refused(&target.host, &output) {
        return Err(trouble);
    }
    // timeout(1): 124 when it ended the command, 137 when it had to kill it
    if matches!(status, 124 | 137) && began.elapsed() >= limit {
        return Err(Trouble::Slow(format!(
            "{name}: `{}` did not end within {} s",
            shorten(&command.argv),
            limit.as_secs()
        )));
    }
    Ok(output)
}

/// Runs a command that changes nothing; tried again for half a minute while the connection fails. Where the host has never
/// been reached, once more at most.
pub async fn ask(target: &Target, command: &Command, limit: Duration) -> Result<Output, Trouble> {
    let tries = Cell::new(0_u32);
    let once = || {
        tries.set(tries.get() + 1);
        run(target, command, limit)
    };
    once.retry(
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(300))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(12)
            .with_total_delay(Some(Duration::from_secs(30))),
    )
    .when(|trouble: &Trouble| trouble.passes() && target.worth_another_try(tries.get()))
    .notify(|trouble: &Trouble, delay| {
        debug!(host = %target.host.name, ?trouble, ?delay, "trying again");
    })
    .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::model::{HostName, NodeName, Role};
    use crate::documents::settings::Ssh;

    #[test]
    fn a_command_becomes_root_only_where_it_must() {
        let mut host = Host {
            name: HostName::new("w1"),
            address: "10.0.0.1".to_owned(),
            node: NodeName::new("w1"),
            role: Role::Worker,
            group: "g".to_owned(),
            labels: BTreeMap::new(),
            ssh: Ssh {
                user: "ops".to_owned(),
                port: 22,
                identity_file: None,
                known_hosts: None,
                jump: None,
                become_root: Become::Sudo,
            },
        };
        let mut command = Command {
            argv: vec!["id".to_owned()],
            stdin: vec![],
            root: true,
        };
        let limit = Some(Duration::from_secs(30));
        let sent = wrapped(&host, &command, limit);
        assert_eq!(sent[..5], ["sudo", "-n", "--", "env", "LC_ALL=C"]);
        assert_eq!(sent[6..], ["timeout", "-k", "5", "30", "id"]);
        command.root = false;
        assert_eq!(wrapped(&host, &command, limit)[0], "env");
        host.ssh.become_root = Become::None;
        command.root = true;
        assert_eq!(wrapped(&host, &command, None)[3..], ["id"]);
    }
}
