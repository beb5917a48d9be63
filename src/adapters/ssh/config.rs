//! The ssh configuration that refit writes for each host.
//!
//! Everything comes from the inventory and nothing from `~/.ssh/config`, so that a run does not depend on who starts it,
//! and the jump host is held to the same strictness as the host behind it. Source: ssh_config(5).

use std::fmt::Write as _;
use std::path::Path;

use crate::documents::settings::{Host, Jump, Ssh};

/// The name under which the configuration knows the host.
pub const TARGET: &str = "refit-target";
const JUMP: &str = "refit-jump";

/// Seconds for a TCP connection and the key exchange.
pub const CONNECT_TIMEOUT_S: u64 = 10;

/// The text of the configuration; `file` is where it will be, `jump_log` where the jump host's ssh writes its errors.
///
/// # Errors
/// If a value cannot be written so that ssh reads it back unchanged.
pub fn text(host: &Host, file: &Path, jump_log: &Path) -> Result<String, String> {
    let ssh = &host.ssh;
    let mut text = String::new();
    section(&mut text, TARGET, &host.address, &ssh.user, ssh.port)?;
    if let Some(Jump {
        address,
        user,
        port,
    }) = &ssh.jump
    {
        // not ProxyJump: its ssh would have nowhere to write why it failed
        let _ = writeln!(
            text,
            "  ProxyCommand ssh -F {} -E {} -W [%h]:%p {JUMP}",
            plain(file)?,
            plain(jump_log)?
        );
        section(&mut text, JUMP, address, user, *port)?;
    }
    everywhere(&mut text, ssh)?;
    Ok(text)
}

fn section(
    text: &mut String,
    name: &str,
    address: &str,
    user: &str,
    port: u16,
) -> Result<(), String> {
    let _ = writeln!(text, "Host {name}");
    let _ = writeln!(text, "  HostName {}", quoted(&address.replace('%', "%%"))?);
    let _ = writeln!(text, "  User {}", quoted(user)?);
    let _ = writeln!(text, "  Port {port}");
    Ok(())
}

fn everywhere(text: &mut String, ssh: &Ssh) -> Result<(), String> {
    let _ = writeln!(text, "Host *");
    if let Some(file) = &ssh.identity_file {
        let _ = writeln!(text, "  IdentityFile {}\n  IdentitiesOnly yes", path(file)?);
    }
    if let Some(file) = &ssh.known_hosts {
        let _ = writeln!(
            text,
            "  UserKnownHostsFile {}\n  GlobalKnownHostsFile none",
            path(file)?
        );
    }
    let _ = write!(
        text,
        "  StrictHostKeyChecking yes
  UpdateHostKeys no
  BatchMode yes
  ConnectTimeout {CONNECT_TIMEOUT_S}
  ServerAliveInterval 5
  ServerAliveCountMax 3
  TCPKeepAlive yes
  ForwardAgent no
  ForwardX11 no
  ClearAllForwardings yes
  PermitLocalCommand no
  EscapeChar none
"
    );
    Ok(())
}

/// A word in quotes. ssh has no way to write a quote itself that all its releases read alike.
fn quoted(value: &str) -> Result<String, String> {
    if value.is_empty() || value.contains(|c: char| c.is_control() || c == '"' || c == '\\') {
        return Err(format!(
            "{value:?} cannot be written in ssh's configuration"
        ));
    }
    Ok(format!("\"{value}\""))
}

/// A file's path, with what ssh would expand taken literally; `~` is the user's home as everywhere.
fn path(file: &Path) -> Result<String, String> {
    let text = file
        .to_str()
        .ok_or_else(|| format!("{} is not UTF-8", file.display()))?;
    if text.contains("${") {
        return Err(format!("{text} holds `${{`, which ssh would expand"));
    }
    quoted(&text.replace('%', "%%"))
}

/// A path of refit's own, which goes through a shell.
fn plain(file: &Path) -> Result<&str, String> {
    file.to_str()
        .filter(|text| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
        })
        .ok_or_else(|| format!("{} is no plain path", file.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::cluster::model::{HostName, NodeName, Role};
    use crate::documents::settings::Become;

    fn host() -> Host {
        Host {
            name: HostName::new("cp1"),
            address: "10.77.0.11".to_owned(),
            node: NodeName::new("cp1"),
            role: Role::ControlPlane,
            group: "control-plane".to_owned(),
            labels: BTreeMap::new(),
            ssh: Ssh {
                user: "ops".to_owned(),
                port: 2222,
                identity_file: Some(PathBuf::from("~/.ssh/50% key")),
                known_hosts: Some(PathBuf::from("/lab/known_hosts")),
                jump: Some(Jump {
                    address: "bastion.example.org".to_owned(),
                    user: "gate".to_owned(),
                    port: 22,
                }),
                become_root: Become::Sudo,
            },
        }
    }

    fn written(host: &Host) -> Result<String, String> {
        text(
            host,
            Path::new("/tmp/refit.x/c"),
            Path::new("/tmp/refit.x/j"),
        )
    }

    #[test]
    fn host_and_jump_are_held_to_the_same_keys() {
        let text = written(&host()).unwrap();
        let (own, shared) = text.split_once("Host *").unwrap();
        assert!(
            own.contains(
                "Host refit-target\n  HostName \"10.77.0.11\"\n  User \"ops\"\n  Port 2222"
            )
        );
        assert!(own.contains(
            "Host refit-jump\n  HostName \"bastion.example.org\"\n  User \"gate\"\n  Port 22"
        ));
        assert!(own.contains(
            "ProxyCommand ssh -F /tmp/refit.x/c -E /tmp/refit.x/j -W [%h]:%p refit-jump"
        ));
        for line in [
            "StrictHostKeyChecking yes",
            "UserKnownHostsFile \"/lab/known_hosts\"",
            "GlobalKnownHostsFile none",
            "IdentityFile \"~/.ssh/50%% key\"",
            "IdentitiesOnly yes",
            "BatchMode yes",
            "ServerAliveCountMax 3",
        ] {
            assert!(shared.contains(line), "{line}");
        }
    }

    #[test]
    fn a_value_cannot_add_a_line_or_an_option() {
        for hostile in ["x\n  ProxyCommand touch /tmp/x", "x\" \"y", "", "a\\"] {
            let mut bad = host();
            hostile.clone_into(&mut bad.ssh.user);
            assert!(written(&bad).is_err(), "{hostile:?}");
            let mut bad = host();
            hostile.clone_into(&mut bad.address);
            assert!(written(&bad).is_err(), "{hostile:?}");
        }
        let mut bad = host();
        bad.ssh.identity_file = Some(PathBuf::from("/${HOME}/key"));
        assert!(written(&bad).is_err());
    }
}
