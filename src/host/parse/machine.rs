//! What a machine says of itself and of its kubelet.

use super::{Sections, wrong};
use crate::cluster::facts::{CgroupMode, Identity};
use crate::host::op::{AnswerError, DiskFree, Output};

/// Answer to `Query::Basics`. What could not be told is an error of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basics {
    /// Which machine it is.
    pub identity: Result<Identity, AnswerError>,
    /// We are root.
    pub root: Result<(), AnswerError>,
    /// cgroup hierarchy.
    pub cgroup: Result<CgroupMode, AnswerError>,
    /// Bytes free, by directory.
    pub disk_free: Result<DiskFree, AnswerError>,
    /// The operation of refit that is under way: run and step, as its unit wrote them.
    pub operation: Result<Option<String>, AnswerError>,
    /// The host's clock, in milliseconds since the epoch, when it answered.
    pub clock_ms: Result<i64, AnswerError>,
}

/// Reads the answer to `Query::Basics`.
///
/// # Errors
/// If it is not an answer at all.
pub fn basics(output: &Output) -> Result<Basics, AnswerError> {
    let sections = Sections::read("basics", output)?;
    let text = |name: &str| sections.text(name).map(str::to_owned);
    let filled = |name: &str| {
        text(name).and_then(|text| {
            if text.is_empty() {
                Err(sections.wrong(format!("`{name}` is empty")))
            } else {
                Ok(text)
            }
        })
    };
    let identity = || {
        Ok(Identity {
            hostname: filled("hostname")?,
            machine_id: filled("machine-id")?,
            boot_id: filled("boot-id")?,
            os: filled("os")?,
        })
    };
    let disk_free = || {
        filled("disk")?
            .lines()
            .map(|line| {
                let (dir, bytes) = line.split_once('\t')?;
                Some((dir.to_owned(), bytes.parse().ok()?))
            })
            .collect::<Option<DiskFree>>()
            .ok_or_else(|| sections.wrong("free space is not a number"))
    };
    Ok(Basics {
        identity: identity(),
        root: match filled("uid")?.as_str() {
            "0" => Ok(()),
            uid => Err(sections.wrong(format!(
                "the login has user id {uid}: it must be root, or become root by `become: sudo`"
            ))),
        },
        // statfs(2): kubelet tells the hierarchies apart in the same way
        cgroup: filled("cgroup").and_then(|kind| match kind.as_str() {
            "cgroup2fs" => Ok(CgroupMode::V2),
            "tmpfs" => Ok(CgroupMode::V1),
            other => {
                Err(sections.wrong(format!("/sys/fs/cgroup is of the unknown type `{other}`")))
            }
        }),
        disk_free: disk_free(),
        operation: text("operation")
            .map(|text| (!text.is_empty()).then(|| text.replace('\t', " "))),
        clock_ms: filled("clock-ms").and_then(|text| {
            text.parse()
                .map_err(|_| sections.wrong(format!("`{text}` is not a time")))
        }),
    })
}

/// Reads the answer to `Query::Directory`.
///
/// # Errors
/// If it is not the answer expected; test(1) exits with more than 1 on an error.
pub fn directory(output: &Output) -> Result<bool, AnswerError> {
    match output.status {
        0 => Ok(true),
        1 => Ok(false),
        other => Err(wrong("test -d", format!("exit status {other}"))),
    }
}

/// Whether the kubelet that runs is the one that is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunningKubelet {
    /// It is.
    Installed,
    /// Its program was replaced since it started.
    Replaced,
    /// None runs.
    Stopped,
}

impl RunningKubelet {
    pub(super) fn read(text: &str, command: &str) -> Result<Self, AnswerError> {
        match text {
            "installed" => Ok(Self::Installed),
            "replaced" => Ok(Self::Replaced),
            "stopped" => Ok(Self::Stopped),
            other => Err(wrong(
                command,
                format!("`{other}` is no state of a kubelet"),
            )),
        }
    }
}

/// Answer to `Query::Kubelet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubelet {
    /// Flags, one by one.
    pub flags: Result<Vec<String>, AnswerError>,
    /// SHA-256 of its configuration.
    pub config_sha256: Result<String, AnswerError>,
    /// What runs.
    pub running: Result<RunningKubelet, AnswerError>,
    /// The flags of what runs, one by one.
    pub command: Result<Vec<String>, AnswerError>,
    /// kubeadm's `instance-config.yaml` is there.
    pub instance_config: Result<bool, AnswerError>,
}

/// Reads the answer to `Query::Kubelet`.
///
/// # Errors
/// If it is not an answer at all.
pub fn kubelet(output: &Output) -> Result<Kubelet, AnswerError> {
    let sections = Sections::read("kubelet", output)?;
    Ok(Kubelet {
        flags: sections.text("flags").map(|text| {
            text.trim_matches(['"', '\''])
                .split_whitespace()
                .map(redacted)
                .collect()
        }),
        config_sha256: sections
            .text("config-sha256")
            .and_then(|text| sections.digest(text)),
        running: sections
            .text("kubelet")
            .and_then(|text| RunningKubelet::read(text, "kubelet")),
        command: sections
            .text("command")
            .map(|text| text.lines().skip(1).map(redacted).collect()),
        instance_config: sections
            .text("instance-config")
            .and_then(|text| match text {
                "present" => Ok(true),
                "absent" => Ok(false),
                other => Err(sections.wrong(format!("`{other}` is neither present nor absent"))),
            }),
    })
}

/// A flag, without its value where that may be a secret itself. A file's name is not.
#[must_use]
pub fn redacted(flag: &str) -> String {
    let Some((name, value)) = flag.split_once('=') else {
        return flag.to_owned();
    };
    let lower = name.to_ascii_lowercase();
    let telling = ["token", "password", "secret", "credential"]
        .iter()
        .any(|word| lower.contains(word))
        || lower.ends_with("key");
    // a switch, a duration or a path says nothing secret, and the planner needs it
    let harmless = value.starts_with('/')
        || matches!(value, "true" | "false")
        || (value.len() <= 8
            && value.ends_with(['s', 'm', 'h'])
            && value.starts_with(|c: char| c.is_ascii_digit()));
    let credentials_in_url = value.contains("://") && value.contains('@');
    if (telling && !harmless) || credentials_in_url {
        format!("{name}=<redacted>")
    } else {
        flag.to_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    fn lab() -> Vec<(&'static str, i32, &'static str)> {
        vec![
            ("uid", 0, "0"),
            ("hostname", 0, "cp1"),
            ("machine-id", 0, "160caa67da014089a869ec1a03d58c51"),
            ("boot-id", 0, "d799a61b-e569-42cc-a346-2a434bcec207"),
            ("os", 0, "Debian GNU/Linux 12 (bookworm)"),
            ("cgroup", 0, "tmpfs"),
            (
                "disk",
                0,
                "/etc/kubernetes\t57644773376\n/var/lib/etcd\t57644531712",
            ),
            ("operation", 0, ""),
            ("clock-ms", 0, "1795261953627"),
        ]
    }

    #[test]
    fn a_lab_node_is_read() {
        let basics = basics(&answer(&lab())).unwrap();
        assert_eq!(basics.identity.unwrap().hostname, "cp1");
        assert_eq!(basics.root, Ok(()));
        assert_eq!(basics.cgroup, Ok(CgroupMode::V1));
        assert_eq!(basics.disk_free.unwrap()["/var/lib/etcd"], 57_644_531_712);
        assert_eq!(basics.operation, Ok(None));
        assert_eq!(basics.clock_ms, Ok(1_795_261_953_627));
    }

    #[test]
    fn what_is_missing_or_odd_is_unknown_and_the_rest_is_known() {
        let mut sections = lab();
        sections[0].2 = "1000";
        sections[2] = ("machine-id", 1, "");
        sections[5].2 = "ext4";
        let basics = basics(&answer(&sections)).unwrap();
        assert!(
            basics
                .root
                .unwrap_err()
                .to_string()
                .contains("become: sudo")
        );
        assert!(basics.identity.is_err() && basics.cgroup.is_err() && basics.disk_free.is_ok());
    }

    #[test]
    fn kubelet_flags_come_one_by_one() {
        let read = kubelet(&answer(&[
            (
                "flags",
                0,
                "\"--pod-infra-container-image=registry.k8s.io/pause:3.10.1 --a=b\"",
            ),
            ("config-sha256", 1, ""),
            ("kubelet", 0, "replaced"),
        ]))
        .unwrap();
        assert_eq!(read.flags.unwrap()[1], "--a=b");
        assert!(read.config_sha256.is_err());
        assert_eq!(read.running, Ok(RunningKubelet::Replaced));
        let more = kubelet(&answer(&[
            (
                "command",
                0,
                "/usr/bin/kubelet\n--config=/var/lib/kubelet/config.yaml\n--api-token=abc",
            ),
            ("instance-config", 0, "present"),
        ]))
        .unwrap();
        assert_eq!(
            more.command.unwrap(),
            [
                "--config=/var/lib/kubelet/config.yaml",
                "--api-token=<redacted>"
            ]
        );
        assert_eq!(more.instance_config, Ok(true));
        let empty = kubelet(&answer(&[("flags", 0, "\"\"")])).unwrap();
        assert!(empty.command.is_err() && empty.instance_config.is_err());
        assert_eq!(empty.flags, Ok(vec![]));
    }

    #[test]
    fn a_flag_loses_a_value_that_may_be_secret_and_no_other() {
        for (flag, kept) in [
            ("--token=abcdef.0123456789abcdef", false),
            ("--encryption-provider-key=c2VjcmV0", false),
            ("--etcd-servers=https://user:pass@10.0.0.1:2379", false),
            (
                "--tls-private-key-file=/etc/kubernetes/pki/apiserver.key",
                true,
            ),
            (
                "--service-account-signing-key-file=/etc/kubernetes/pki/sa.key",
                true,
            ),
            ("--enable-bootstrap-token-auth=true", true),
            ("--authentication-token-webhook-cache-ttl=2m0s", true),
            ("--etcd-servers=https://127.0.0.1:2379", true),
            ("--use-service-account-credentials=true", true),
        ] {
            assert_eq!(redacted(flag) == flag, kept, "{flag}");
        }
    }
}
