//! How a person becomes root on each host: what a runbook has them type, by the inventory.
//!
//! Key and known hosts count at a jump host as they do behind it, as for the executor's own connections (`adapters::ssh`).
//! `ssh -J` would not hand them on, so the jump is a `ProxyCommand`, which is what `-J` becomes anyway. Source: ssh(1), `-J`.

use std::path::Path;

use crate::documents::settings::{Become, Inventory, Ssh};
use crate::report::runbook::{Logins, quoted};

/// For each host a command that runs what comes after it as root.
pub(super) fn logins(inventory: &Inventory) -> Logins {
    inventory
        .hosts
        .values()
        .map(|host| (host.name.clone(), login(&host.ssh, &host.address)))
        .collect()
}

fn login(ssh: &Ssh, address: &str) -> String {
    let mut words = to(ssh, ssh.port);
    if let Some(jump) = &ssh.jump {
        let mut through = to(ssh, jump.port);
        through.push(format!("{}@{}", jump.user, jump.address));
        // its own tokens come last: those of the paths before them are doubled twice, as two programs read them
        let through = line(&through).replace('%', "%%");
        // quoted, as it is run by whatever shell the person has, and some take brackets for a pattern
        let command = through.replacen("ssh", "ssh -W '[%h]:%p'", 1);
        words.extend(["-o".to_owned(), format!("ProxyCommand={command}")]);
    }
    words.push(format!("{}@{address}", ssh.user));
    match ssh.become_root {
        Become::None => {}
        Become::Sudo => words.push("sudo".to_owned()),
    }
    line(&words)
}

/// `ssh` with what it takes to be let in, short of where to.
fn to(ssh: &Ssh, port: u16) -> Vec<String> {
    let mut words = vec!["ssh".to_owned()];
    if port != 22 {
        words.extend(["-p".to_owned(), port.to_string()]);
    }
    if let Some(file) = &ssh.identity_file {
        words.extend(["-i".to_owned(), literal(file)]);
    }
    if let Some(file) = &ssh.known_hosts {
        let option = format!("UserKnownHostsFile=\"{}\"", literal(file));
        words.extend(["-o".to_owned(), option]);
    }
    words
}

/// A path in which `ssh` finds no token.
fn literal(file: &Path) -> String {
    file.display().to_string().replace('%', "%%")
}

fn line(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::documents::settings::Jump;

    fn ssh() -> Ssh {
        Ssh {
            user: "ops".to_owned(),
            port: 22,
            identity_file: Some(PathBuf::from("keys/50% of it")),
            known_hosts: Some(PathBuf::from("known hosts")),
            jump: None,
            become_root: Become::Sudo,
        }
    }

    #[test]
    fn a_host_by_itself() {
        assert_eq!(
            login(&ssh(), "10.0.0.1"),
            r#"ssh -i 'keys/50%% of it' -o 'UserKnownHostsFile="known hosts"' ops@10.0.0.1 sudo"#
        );
    }

    #[test]
    fn root_by_another_port() {
        let host = Ssh {
            user: "root".to_owned(),
            port: 2222,
            identity_file: None,
            known_hosts: None,
            become_root: Become::None,
            ..ssh()
        };
        assert_eq!(login(&host, "10.0.0.1"), "ssh -p 2222 root@10.0.0.1");
    }

    #[test]
    fn through_a_jump_host_with_the_same_key_and_known_hosts() {
        let host = Ssh {
            identity_file: Some(PathBuf::from("key")),
            known_hosts: Some(PathBuf::from("/etc/50%/known")),
            jump: Some(Jump {
                address: "gate.example.org".to_owned(),
                user: "gate".to_owned(),
                port: 2022,
            }),
            ..ssh()
        };
        assert_eq!(
            login(&host, "10.0.0.1"),
            r#"ssh -i key -o 'UserKnownHostsFile="/etc/50%%/known"' -o 'ProxyCommand=ssh -W '\''[%h]:%p'\'' -p 2022 -i key -o '\''UserKnownHostsFile="/etc/50%%%%/known"'\'' gate@gate.example.org' ops@10.0.0.1 sudo"#
        );
    }
}
