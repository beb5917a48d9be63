//! What can go wrong between here and a command's exit status, in words that say what to do.

use std::io::ErrorKind;

use crate::documents::settings::{Become, Host};
use crate::host::clause::{brief, clause};
use crate::host::op::Output;
use crate::ports::Failure;

/// Why there is no output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No connection: nothing was sent. It may be there in a moment.
    Unreachable(String),
    /// No connection, and there will be none until someone changes something.
    Hopeless(String),
    /// The command was sent, and the connection broke before its end.
    Broken(String),
    /// The command did not end in time.
    Slow(String),
    /// The host does not let us.
    Refused(String),
}

impl Trouble {
    /// Whether it may go away by itself.
    pub const fn passes(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Broken(_) => true,
            Self::Hopeless(_) | Self::Slow(_) | Self::Refused(_) => false,
        }
    }

    /// For a question: nothing changes, whether it arrived or not.
    pub fn of_question(self) -> Failure {
        match self {
            Self::Unreachable(text)
            | Self::Hopeless(text)
            | Self::Broken(text)
            | Self::Slow(text) => Failure::NotSent(text),
            Self::Refused(text) => Failure::Refused(text),
        }
    }
}

/// Why ssh did not connect, from what it wrote; `jump_log` is what the jump host's ssh wrote.
pub fn connecting(host: &Host, error: &openssh::Error, jump_log: &str) -> Trouble {
    let openssh::Error::Connect(error) = error else {
        return lost(host, &chain(error));
    };
    if error.kind() == ErrorKind::NotFound {
        return Trouble::Hopeless(
            "the program `ssh` is not installed here: install the OpenSSH client".to_owned(),
        );
    }
    let said = error.to_string();
    match (&host.ssh.jump, jump_log.trim()) {
        (Some(jump), log) if !log.is_empty() => {
            let place = format!("{} (through jump host {})", host.name, jump.address);
            // the jump host was reached, and could not reach the host behind it
            if log.contains("open failed") {
                let (address, port) = (&host.address, host.ssh.port);
                return explain(host, &place, address, port, &host.ssh.user, log);
            }
            explain(host, &place, &jump.address, jump.port, &jump.user, log)
        }
        _ => explain(
            host,
            host.name.as_str(),
            &host.address,
            host.ssh.port,
            &host.ssh.user,
            &said,
        ),
    }
}

fn explain(host: &Host, place: &str, address: &str, port: u16, user: &str, said: &str) -> Trouble {
    let known_hosts = host.ssh.known_hosts.as_ref().map_or_else(
        || "~/.ssh/known_hosts".to_owned(),
        |file| file.display().to_string(),
    );
    let entry = if port == 22 {
        address.to_owned()
    } else {
        format!("[{address}]:{port}")
    };
    if said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        return Trouble::Hopeless(format!(
            "{place}: the host key of {address} is not the one in {known_hosts}; if the machine was replaced, \
             `ssh-keygen -R '{entry}' -f {known_hosts}` and add the key that the machine itself shows"
        ));
    }
    if said.contains("host key is known for") || said.contains("Host key verification failed") {
        return Trouble::Hopeless(format!(
            "{place}: the host key of {address} is not in {known_hosts}; \
             `ssh-keyscan -p {port} {address} >> {known_hosts}`, and compare it with what the machine itself shows"
        ));
    }
    if said.contains("Permission denied (") {
        let key = host.ssh.identity_file.as_ref().map_or_else(
            || "the keys of the agent".to_owned(),
            |file| file.display().to_string(),
        );
        return Trouble::Hopeless(format!(
            "{place}: {address} does not accept the login `{user}` with {key}; try `ssh -p {port} {user}@{address}`"
        ));
    }
    if said.contains("no such identity")
        || said.contains("bad permissions")
        || said.contains("Bad configuration option")
    {
        return Trouble::Hopeless(format!("{place}: {}", brief(said)));
    }
    Trouble::Unreachable(format!(
        "{place}: {address} port {port} cannot be reached over SSH: {}",
        clause(said)
    ))
}

/// A connection that was there is not any more, and nothing was sent over it.
pub fn lost(host: &Host, said: &str) -> Trouble {
    Trouble::Unreachable(format!("{}: {}", host.name, clause(said)))
}

/// What a command that ended may have met before it began: a `sudo` that refuses.
///
/// `sudo` prefixes its own messages with its name in every language.
pub fn refused(host: &Host, output: &Output) -> Option<Trouble> {
    match host.ssh.become_root {
        Become::None => return None,
        Become::Sudo => {}
    }
    let said = output.stderr.lines().find(|line| {
        line.starts_with("sudo: ")
            || line.contains("is not in the sudoers file")
            || line.contains("is not allowed to execute")
            || (line.contains("sudo") && line.contains("not found"))
    })?;
    let by_sudo = (output.status == 1 && output.stdout.is_empty()) || output.status == 127;
    by_sudo.then(|| {
        Trouble::Refused(format!(
            "{}: the login `{}` may not become root ({}); give it `NOPASSWD: ALL` in /etc/sudoers.d, or log in as root \
             with `become: none`",
            host.name,
            host.ssh.user,
            brief(said)
        ))
    })
}

/// A whole chain of errors in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::cluster::model::{HostName, NodeName, Role};
    use crate::documents::settings::{Jump, Ssh};

    fn host() -> Host {
        Host {
            name: HostName::new("w1"),
            address: "10.77.0.21".to_owned(),
            node: NodeName::new("w1"),
            role: Role::Worker,
            group: "workers".to_owned(),
            labels: BTreeMap::new(),
            ssh: Ssh {
                user: "ops".to_owned(),
                port: 22,
                identity_file: None,
                known_hosts: Some(PathBuf::from("/lab/known_hosts")),
                jump: None,
                become_root: Become::Sudo,
            },
        }
    }

    fn said(text: &str) -> Trouble {
        let error = openssh::Error::Connect(std::io::Error::other(text.to_owned()));
        connecting(&host(), &error, "")
    }

    #[test]
    fn each_reason_says_what_to_do() {
        for (text, hopeless, needle) in [
            (
                "@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                true,
                "ssh-keygen -R '10.77.0.21' -f /lab/known_hosts",
            ),
            (
                "No ED25519 host key is known for 10.77.0.21 and you have requested strict checking.\r\nHost key verification failed.",
                true,
                "ssh-keyscan -p 22 10.77.0.21 >> /lab/known_hosts",
            ),
            (
                "ops@10.77.0.21: Permission denied (publickey).",
                true,
                "the login `ops` with the keys of the agent",
            ),
            (
                "connect to host 10.77.0.21 port 22: Connection refused",
                false,
                "cannot be reached",
            ),
            (
                "connect to host 10.77.0.21 port 22: No route to host",
                false,
                "w1: 10.77.0.21 port 22 cannot be reached over SSH: no route to host",
            ),
            (
                "Could not resolve hostname w1: Name or service not known",
                false,
                "its name cannot be resolved",
            ),
            (
                "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 10.77.0.21 port 22",
                false,
                "cannot be reached over SSH: connection cut",
            ),
            (
                "Control socket connect(/tmp/refit.x/3/s): Connection timed out",
                false,
                "cannot be reached over SSH: no answer in time",
            ),
        ] {
            let trouble = said(text);
            assert_eq!(
                matches!(trouble, Trouble::Hopeless(_)),
                hopeless,
                "{trouble:?}"
            );
            let text = trouble.of_question().to_string();
            assert!(text.contains(needle), "{needle}: {text}");
            assert!(text.starts_with("w1: ") && !text.contains('\n'), "{text}");
            assert!(text.chars().count() < 200, "{text}");
        }
    }

    #[test]
    fn a_missing_client_is_named() {
        let error = openssh::Error::Connect(std::io::Error::from(ErrorKind::NotFound));
        let trouble = connecting(&host(), &error, "");
        assert!(
            matches!(trouble, Trouble::Hopeless(text) if text.contains("install the OpenSSH client"))
        );
    }

    #[test]
    fn the_jump_hosts_own_words_are_used() {
        let mut host = host();
        host.ssh.jump = Some(Jump {
            address: "bastion".to_owned(),
            user: "gate".to_owned(),
            port: 2200,
        });
        let error = openssh::Error::Connect(std::io::Error::other(
            "Connection closed by UNKNOWN port 65535",
        ));
        let log = "gate@bastion: Permission denied (publickey).";
        let text = connecting(&host, &error, log).of_question().to_string();
        assert!(
            text.contains("through jump host bastion") && text.contains("login `gate`"),
            "{text}"
        );
    }

    #[test]
    fn sudo_is_told_from_what_it_runs() {
        let output = |status: i32, stderr: &str| Output {
            status,
            stdout: String::new(),
            stderr: stderr.to_owned(),
        };
        assert!(refused(&host(), &output(1, "sudo: a password is required\n")).is_some());
        assert!(refused(&host(), &output(127, "bash: sudo: command not found\n")).is_some());
        assert!(refused(&host(), &output(1, "E: no such package\n")).is_none());
        assert!(refused(&host(), &output(100, "sudo: x\n")).is_none());
        let mut root = host();
        root.ssh.become_root = Become::None;
        assert!(refused(&root, &output(1, "sudo: a password is required\n")).is_none());
    }
}
