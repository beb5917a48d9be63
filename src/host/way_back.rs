//! The way back of a cluster: every member of stacked etcd gets what a snapshot holds, while no control plane runs.
//!
//! All that takes long or may fail is done beside the data in use, before anything stops: the snapshot is sent, and restored into
//! a new directory by the member's own etcdutl. Then control planes stop, members are replaced by a rename, control planes start.
//! Nothing is deleted: what a member had is kept beside what it has now. Works while no API answers: containers are asked for
//! from the runtime, and static pods stop and start by their manifests.
//!
//! Sources: kubernetes/website `content/en/docs/tasks/administer-cluster/configure-upgrade-etcd.md`, "Restoring an etcd
//! cluster" (all API servers stop before, everything starts after); etcd-io/website `content/en/docs/v3.6/op-guide/recovery.md`,
//! "Restoring a cluster" (one initial cluster and token for all members) and "Restoring with revision bump" (so that watches
//! and informers of Kubernetes do not trust what they saw before).

use serde::{Deserialize, Serialize};

use super::command::script;
use super::op::{AnswerError, Command, Output, Standing};
use super::parse::{self, WayBack};

const CONTAINERS: &str = include_str!("scripts/containers.sh");

/// The static pods of a control plane with stacked etcd.
pub const COMPONENTS: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
];

/// Where things are on a control plane meanwhile. `{run}` stands for the run's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// Where manifests of static pods are put aside.
    pub aside: String,
    /// etcd's data directory.
    pub data: String,
    /// What is restored, in there.
    pub restored: String,
    /// The data that was in use before, in there.
    pub before: String,
    /// The snapshot, in there: etcd's pod shares no other directory with its host.
    pub snapshot: String,
}

impl Places {
    /// Those of runs to come.
    #[must_use]
    pub fn within(data: &str) -> Self {
        Self {
            aside: "/etc/kubernetes/refit-aside-{run}".to_owned(),
            data: data.to_owned(),
            restored: format!("{data}/refit-restored-{{run}}"),
            before: format!("{data}/member.before-{{run}}"),
            snapshot: format!("{data}/refit-{{run}}.db"),
        }
    }

    /// Those of one run.
    #[must_use]
    pub fn of_run(&self, run: &str) -> Self {
        let named = |text: &String| text.replace("{run}", run);
        Self {
            aside: named(&self.aside),
            data: self.data.clone(),
            restored: named(&self.restored),
            before: named(&self.before),
            snapshot: named(&self.snapshot),
        }
    }

    /// What asks how far they are.
    pub(super) fn query(&self) -> Command {
        let parameters = [
            &self.aside,
            &self.data,
            &self.restored,
            &self.before,
            &self.snapshot,
        ];
        script(
            "refit-way-back",
            &[CONTAINERS, include_str!("scripts/way-back.sh")],
            parameters.map(String::clone).into(),
        )
    }
}

/// A member of stacked etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// `--name`; kubeadm uses the node's.
    pub name: String,
    /// `--initial-advertise-peer-urls`.
    pub peer_url: String,
}

/// What is done to a control plane on the way back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// The snapshot is restored beside the data in use, with raised revisions.
    Restore {
        /// Where.
        at: Places,
        /// Whose data it becomes.
        member: Member,
        /// All members, the same for each of them.
        cluster: Vec<Member>,
        /// The snapshot's SHA-256.
        sha256: String,
        /// The minor of the member's etcdutl, such as `3.6`.
        etcd: String,
    },
    /// Its static pods end.
    Stop {
        /// Where.
        at: Places,
    },
    /// What was restored takes the place of the data in use.
    Replace {
        /// Where.
        at: Places,
        /// The snapshot's SHA-256.
        sha256: String,
    },
    /// Its static pods start again.
    Start {
        /// Where.
        at: Places,
    },
}

impl Change {
    /// Where.
    #[must_use]
    pub const fn places(&self) -> &Places {
        match self {
            Self::Restore { at, .. }
            | Self::Stop { at }
            | Self::Replace { at, .. }
            | Self::Start { at } => at,
        }
    }

    /// What a run does.
    #[must_use]
    pub fn of_run(&self, run: &str) -> Self {
        let mut change = self.clone();
        match &mut change {
            Self::Restore { at, .. }
            | Self::Stop { at }
            | Self::Replace { at, .. }
            | Self::Start { at } => *at = at.of_run(run),
        }
        change
    }

    pub(super) fn command(&self) -> Command {
        match self {
            Self::Restore {
                at,
                member,
                cluster,
                sha256,
                etcd,
            } => {
                let all: Vec<String> = cluster
                    .iter()
                    .map(|member| format!("{}={}", member.name, member.peer_url))
                    .collect();
                let token = at.restored.rsplit('/').next().unwrap_or_default();
                script(
                    "refit-restore-member",
                    &[CONTAINERS, include_str!("scripts/restore-member.sh")],
                    vec![
                        at.data.clone(),
                        at.restored.clone(),
                        at.snapshot.clone(),
                        sha256.clone(),
                        member.name.clone(),
                        member.peer_url.clone(),
                        all.join(","),
                        token.to_owned(),
                        etcd.clone(),
                    ],
                )
            }
            Self::Stop { at } => script(
                "refit-stop-control-plane",
                &[CONTAINERS, include_str!("scripts/stop-control-plane.sh")],
                vec![at.aside.clone()],
            ),
            Self::Replace { at, sha256 } => script(
                "refit-replace-member",
                &[CONTAINERS, include_str!("scripts/replace-member.sh")],
                vec![
                    at.data.clone(),
                    at.restored.clone(),
                    at.before.clone(),
                    at.snapshot.clone(),
                    sha256.clone(),
                ],
            ),
            Self::Start { at } => script(
                "refit-start-control-plane",
                &[include_str!("scripts/start-control-plane.sh")],
                vec![at.aside.clone()],
            ),
        }
    }

    pub(super) fn judge(&self, output: &Output) -> Result<Standing, AnswerError> {
        let found = parse::way_back(output)?;
        let done_if = |done: bool| {
            if done {
                Standing::Done
            } else {
                Standing::Ready
            }
        };
        Ok(match self {
            Self::Restore { sha256, .. } => {
                done_if(found.before || found.restored.as_ref() == Some(sha256))
            }
            Self::Stop { .. } => done_if(found.manifests.is_empty() && found.running.is_empty()),
            Self::Replace { .. } => replaced(&found),
            Self::Start { .. } => done_if(
                found.aside.is_empty()
                    && ["etcd", "kube-apiserver"]
                        .iter()
                        .all(|name| found.manifests.iter().any(|there| there == name)),
            ),
        })
    }
}

/// A member that is replaced while its control plane runs would be two members at once.
fn replaced(found: &WayBack) -> Standing {
    if found.before && found.member && found.restored.is_none() {
        return Standing::Done;
    }
    let up: Vec<&str> = found
        .running
        .iter()
        .chain(&found.manifests)
        .map(String::as_str)
        .collect();
    if up.is_empty() {
        Standing::Ready
    } else {
        Standing::Mismatch(format!(
            "its member of etcd is to be replaced, and {} runs there again",
            up.join(", ")
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::parse::testing::answer;
    use super::*;

    fn found(manifests: &str, aside: &str, running: &str, restored: &str, before: &str) -> Output {
        answer(&[
            ("manifests", 0, manifests),
            ("aside", 0, aside),
            ("running", 0, running),
            ("snapshot", 0, ""),
            ("restored", 0, restored),
            ("member", 0, "yes"),
            ("before", 0, before),
            ("authority", 0, ""),
            ("free", 0, "1000"),
        ])
    }

    const SHA: &str = "d7adf89cbf90a86bdeea00ec08e74ec66acabc372d0cdc7ce2054b9da02b3fbe";
    const ALL: &str = "kube-apiserver\nkube-controller-manager\nkube-scheduler\netcd";

    #[test]
    fn each_change_is_told_by_what_is_there() {
        let at = || Places::within("/var/lib/etcd").of_run("r1");
        let sha256 = SHA.to_owned();
        let stop = Change::Stop { at: at() };
        let replace = Change::Replace { at: at(), sha256 };
        let start = Change::Start { at: at() };
        let before = found(ALL, "", ALL, SHA, "no");
        assert_eq!(stop.judge(&before), Ok(Standing::Ready));
        assert!(matches!(
            replace.judge(&before),
            Ok(Standing::Mismatch(why)) if why.contains("kube-apiserver")
        ));
        let ending = found("", ALL, "etcd", SHA, "no");
        assert_eq!(stop.judge(&ending), Ok(Standing::Ready));
        assert!(matches!(
            replace.judge(&ending),
            Ok(Standing::Mismatch(why)) if why.contains("etcd")
        ));
        let stopped = found("", ALL, "", SHA, "no");
        assert_eq!(stop.judge(&stopped), Ok(Standing::Done));
        assert_eq!(replace.judge(&stopped), Ok(Standing::Ready));
        assert_eq!(start.judge(&stopped), Ok(Standing::Ready));
        // cut off before the last of it was tidied up
        let nearly = found("", ALL, "", SHA, "yes");
        assert_eq!(replace.judge(&nearly), Ok(Standing::Ready));
        let done = found("", ALL, "", "", "yes");
        assert_eq!(replace.judge(&done), Ok(Standing::Done));
        let started = found(ALL, "", "etcd", "", "yes");
        assert_eq!(start.judge(&started), Ok(Standing::Done));
        assert_eq!(replace.judge(&started), Ok(Standing::Done));
    }

    #[test]
    fn containers_that_cannot_be_asked_for_are_no_stopped_control_plane() {
        let mut output = found("", ALL, "", SHA, "no");
        output.stdout = output.stdout.replace("running\t0\t", "running\t1\t");
        let stop = Change::Stop {
            at: Places::within("/var/lib/etcd"),
        };
        assert!(stop.judge(&output).is_err());
    }

    #[test]
    fn a_run_has_places_of_its_own() {
        let at = Places::within("/var/lib/etcd").of_run("r1");
        assert_eq!(at.aside, "/etc/kubernetes/refit-aside-r1");
        assert_eq!(at.before, "/var/lib/etcd/member.before-r1");
        let restore = Change::Restore {
            at,
            member: Member {
                name: "cp1".to_owned(),
                peer_url: "https://10.0.0.1:2380".to_owned(),
            },
            cluster: vec![],
            sha256: SHA.to_owned(),
            etcd: "3.6".to_owned(),
        };
        let argv = restore.command().argv;
        assert_eq!(argv[11..], ["refit-restored-r1", "3.6"]);
    }
}
