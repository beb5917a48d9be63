//! What etcdctl and etcdutl say, as their JSON.
//!
//! Source: etcd-io/etcd `etcdctl/ctlv3/command/printer_json.go` and `api/etcdserverpb/rpc.proto`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::Sections;
use crate::cluster::facts::{EtcdFacts, EtcdMember, ExternalReleases};
use crate::host::op::{AnswerError, Output};

#[derive(Deserialize)]
struct MemberList {
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    #[serde(rename = "ID")]
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(rename = "clientURLs", default)]
    client_urls: Vec<String>,
    #[serde(rename = "isLearner", default)]
    learner: bool,
}

#[derive(Deserialize)]
struct EndpointHealth {
    endpoint: String,
    health: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EndpointStatus {
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    header: Header,
    version: String,
    db_size: u64,
}

#[derive(Deserialize)]
struct Header {
    member_id: u64,
}

#[derive(Deserialize)]
struct Alarms {
    #[serde(default)]
    alarms: Vec<Alarm>,
}

#[derive(Deserialize)]
struct Alarm {
    #[serde(rename = "memberID")]
    member: u64,
    #[serde(default)]
    alarm: u32,
}

/// Reads the answer to `Query::Etcd`.
///
/// # Errors
/// If it is not the answer expected; also while no member answers.
pub fn etcd(output: &Output) -> Result<EtcdFacts, AnswerError> {
    let sections = Sections::read("etcdctl", output)?;
    let list: MemberList = sections.json("members")?;
    if list.members.is_empty() {
        return Err(sections.wrong("etcd has no member"));
    }
    // both exit non-zero, and still print, when one of the members does not answer
    let partial = |name: &str| -> Result<&str, AnswerError> {
        let section = sections.get(name)?;
        if section.text.trim().is_empty() {
            return Err(sections.failed(section));
        }
        Ok(section.text.trim())
    };
    let health: Vec<EndpointHealth> = super::json("etcdctl endpoint health", partial("health")?)?;
    let status: Vec<EndpointStatus> = super::json("etcdctl endpoint status", partial("status")?)?;
    let alarms: Alarms = sections.json("alarms")?;
    let mut members: Vec<EtcdMember> = list
        .members
        .iter()
        .map(|member| {
            let status = status
                .iter()
                .map(|endpoint| &endpoint.status)
                .find(|status| status.header.member_id == member.id);
            EtcdMember {
                name: member.name.clone(),
                id: format!("{:x}", member.id),
                learner: member.learner,
                healthy: health
                    .iter()
                    .any(|answer| answer.health && member.client_urls.contains(&answer.endpoint)),
                version: status.map(|status| status.version.clone()),
                db_size: status.map(|status| status.db_size),
            }
        })
        .collect();
    members.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let mut alarms: Vec<String> = alarms
        .alarms
        .iter()
        .filter(|alarm| alarm.alarm != 0)
        .map(|alarm| {
            let kind = match alarm.alarm {
                1 => "NOSPACE".to_owned(),
                2 => "CORRUPT".to_owned(),
                other => format!("alarm {other}"),
            };
            let member = list.members.iter().find(|member| member.id == alarm.member);
            format!(
                "{kind} on {}",
                member.map_or("an unknown member", |member| &member.name)
            )
        })
        .collect();
    alarms.sort();
    Ok(EtcdFacts { members, alarms })
}

/// What etcd says at `/version`.
///
/// Source: etcd-io/etcd `api/version/version.go`, `Versions`.
#[derive(Deserialize)]
struct Versions {
    etcdserver: String,
}

/// Reads the answer to `Query::ExternalEtcd`. An endpoint that does not answer is told with its error.
///
/// # Errors
/// If it is not the answer expected.
pub fn external_etcd(output: &Output) -> Result<ExternalReleases, AnswerError> {
    let sections = Sections::read("/version of external etcd", output)?;
    let all = sections.in_pairs("endpoint", "version")?;
    Ok(all
        .into_iter()
        .map(|(endpoint, version)| {
            let release = version.and_then(|text| {
                let versions: Versions = super::json("/version of external etcd", text)?;
                Ok(versions.etcdserver)
            });
            (endpoint.to_owned(), release.into())
        })
        .collect())
}

/// Answer to `Query::Snapshot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Snapshot {
    /// No such file.
    Absent,
    /// A file that etcdutl does not accept: an unfinished or damaged snapshot.
    Broken(String),
    /// A good snapshot.
    Good(SnapshotStatus),
}

/// A good snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotStatus {
    /// SHA-256 of the file.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// etcdutl's own hash of the content.
    pub hash: u32,
    /// etcd's revision.
    pub revision: i64,
    /// How many keys it holds.
    pub keys: u64,
    /// Size and SHA-256 of its archive.
    pub archive: (u64, String),
    /// The release of the etcdutl that judged it, which is its member's: `3.6.5`.
    pub release: String,
    /// SHA-256 of the cluster's authority, `/etc/kubernetes/pki/ca.crt`.
    pub authority_sha256: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    hash: u32,
    revision: i64,
    total_key: u64,
}

/// Reads the answer to `Query::Snapshot`.
///
/// # Errors
/// If it is not the answer expected.
pub fn snapshot(output: &Output) -> Result<Snapshot, AnswerError> {
    let sections = Sections::read("etcdutl snapshot status", output)?;
    let file = |sha256: &str, size: &str| -> Result<Option<(u64, String)>, AnswerError> {
        let printed = sections.text(sha256)?;
        if printed.is_empty() {
            return Ok(None);
        }
        let size = sections.text(size)?;
        let bytes = size
            .parse()
            .map_err(|_| sections.wrong(format!("`{size}` is not a size")))?;
        Ok(Some((bytes, sections.digest(printed)?)))
    };
    let archive = file("archive-sha256", "archive-size")?;
    let Some((size, sha256)) = file("sha256", "size")? else {
        return Ok(match archive {
            None => Snapshot::Absent,
            Some(_) => Snapshot::Broken("only its archive is there".to_owned()),
        });
    };
    let verdict = sections.get("verdict")?;
    if verdict.status != 0 {
        return Ok(Snapshot::Broken(super::last_words(sections.stderr)));
    }
    let verdict: Verdict = sections.json("verdict")?;
    if verdict.total_key == 0 {
        return Ok(Snapshot::Broken("it holds no key".to_owned()));
    }
    let Some(archive) = archive else {
        return Ok(Snapshot::Broken("its archive is not there".to_owned()));
    };
    let release = sections
        .text("release")?
        .lines()
        .find_map(|line| line.strip_prefix("etcdutl version: "))
        .ok_or_else(|| sections.wrong("etcdutl does not tell its release"))?;
    Ok(Snapshot::Good(SnapshotStatus {
        archive,
        release: release.trim().to_owned(),
        authority_sha256: sections.digest(sections.text("authority")?)?,
        sha256,
        size,
        hash: verdict.hash,
        revision: verdict.revision,
        keys: verdict.total_key,
    }))
}

/// Reads the answer to `Query::LeftSnapshots`: each file's name, and for how long nobody has written to it. One from the
/// future, as after a clock that was set back, is new.
///
/// # Errors
/// If it is not the answer expected.
pub fn left_snapshots(output: &Output) -> Result<BTreeMap<String, Duration>, AnswerError> {
    let sections = Sections::read("left snapshots", output)?;
    sections
        .text("left")?
        .lines()
        .map(|line| {
            let (age, name) = line.split_once('\t')?;
            let age = u64::try_from(age.parse::<i64>().ok()?).unwrap_or(0);
            Some((name.to_owned(), Duration::from_secs(age)))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| sections.wrong("a file without an age"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::answer;
    use super::*;
    use crate::cluster::facts::Observed;

    const MEMBERS: &str = r#"{"header":{"cluster_id":12102231493559379567,"member_id":2677674080080550774,"raft_term":2},"members":[{"ID":735564497879250378,"name":"cp3","peerURLs":["https://10.77.0.13:2380"],"clientURLs":["https://10.77.0.13:2379"]},{"ID":2677674080080550774,"name":"cp1","peerURLs":["https://10.77.0.11:2380"],"clientURLs":["https://10.77.0.11:2379"]},{"ID":15195450785286365867,"name":"cp2","peerURLs":["https://10.77.0.12:2380"],"clientURLs":["https://10.77.0.12:2379"],"isLearner":true}]}"#;
    const STATUS: &str = r#"[{"Endpoint":"https://10.77.0.13:2379","Status":{"header":{"cluster_id":12102231493559379567,"member_id":735564497879250378,"revision":1830,"raft_term":2},"version":"3.6.5","dbSize":4505600,"leader":2677674080080550774,"raftIndex":2089}},{"Endpoint":"https://10.77.0.11:2379","Status":{"header":{"cluster_id":12102231493559379567,"member_id":2677674080080550774,"revision":1830,"raft_term":2},"version":"3.6.5","dbSize":4501504}}]"#;
    const HEALTH: &str = r#"[{"endpoint":"https://10.77.0.11:2379","health":true,"took":"24.402329ms"},{"endpoint":"https://10.77.0.13:2379","health":true,"took":"29.232132ms"},{"endpoint":"https://10.77.0.12:2379","health":false,"took":"5.0s","error":"context deadline exceeded"}]"#;

    #[test]
    fn members_are_put_together_and_a_silent_one_is_unhealthy() {
        let alarms =
            r#"{"header":{"member_id":1},"alarms":[{"memberID":2677674080080550774,"alarm":1}]}"#;
        let facts = etcd(&answer(&[
            ("members", 0, MEMBERS),
            ("health", 1, HEALTH),
            ("status", 1, STATUS),
            ("alarms", 0, alarms),
        ]))
        .unwrap();
        let shown: Vec<_> = facts
            .members
            .iter()
            .map(|m| (m.name.as_str(), m.learner, m.healthy, m.db_size))
            .collect();
        assert_eq!(
            shown,
            [
                ("cp1", false, true, Some(4_501_504)),
                ("cp2", true, false, None),
                ("cp3", false, true, Some(4_505_600))
            ]
        );
        assert_eq!(facts.alarms, ["NOSPACE on cp1"]);
    }

    #[test]
    fn silence_is_an_error() {
        let sections = [
            ("members", 0, MEMBERS),
            ("health", 1, ""),
            ("status", 0, STATUS),
            ("alarms", 0, "{}"),
        ];
        assert!(etcd(&answer(&sections)).is_err());
        assert!(etcd(&answer(&[("members", 1, "")])).is_err());
    }

    #[test]
    fn each_endpoint_of_external_etcd_tells_its_release_or_why_not() {
        let said = r#"{"etcdserver":"3.5.21","etcdcluster":"3.5.0"}"#;
        let all = external_etcd(&answer(&[
            ("endpoint", 0, "https://e1:2379"),
            ("version", 0, said),
            ("endpoint", 0, "https://e2:2379"),
            ("version", 7, ""),
            ("endpoint", 0, "https://e3:2379"),
            ("version", 0, "<html>"),
        ]))
        .unwrap();
        assert_eq!(all["https://e1:2379"], Observed::Known("3.5.21".to_owned()));
        for silent in ["https://e2:2379", "https://e3:2379"] {
            assert!(matches!(&all[silent], Observed::Unknown(_)), "{all:?}");
        }
        assert!(external_etcd(&answer(&[("endpoint", 0, "https://e1:2379")])).is_err());
    }

    #[test]
    fn a_snapshot_is_absent_broken_or_good() {
        const SHA: &str =
            "d7adf89cbf90a86bdeea00ec08e74ec66acabc372d0cdc7ce2054b9da02b3fbe  /var/lib/etcd/x";
        let no_archive = [("archive-sha256", 0, ""), ("archive-size", 0, "")];
        let archive = [("archive-sha256", 0, SHA), ("archive-size", 0, "4096")];
        let told = [
            ("release", 0, "etcdutl version: 3.6.5\nAPI version: 3.6"),
            ("authority", 0, SHA),
        ];
        let absent = [("sha256", 0, ""), ("size", 0, ""), ("verdict", 0, "")];
        let absent = [&absent[..], &no_archive].concat();
        assert_eq!(snapshot(&answer(&absent)), Ok(Snapshot::Absent));
        let alone = [&[("sha256", 0, ""), ("size", 0, "")][..], &archive].concat();
        let archive_only = Snapshot::Broken("only its archive is there".to_owned());
        assert_eq!(snapshot(&answer(&alone)), Ok(archive_only));
        let broken = [("sha256", 0, SHA), ("size", 0, "17"), ("verdict", 1, "")];
        let broken = [&broken[..], &archive].concat();
        assert!(matches!(
            snapshot(&answer(&broken)),
            Ok(Snapshot::Broken(_))
        ));
        let verdict = r#"{"hash":3525087221,"revision":4209,"totalKey":834,"totalSize":7462912,"version":"3.6.0"}"#;
        let good = [
            ("sha256", 0, SHA),
            ("size", 0, "7462944"),
            ("verdict", 0, verdict),
        ];
        let bare = [&good[..], &no_archive, &told].concat();
        let without = Snapshot::Broken("its archive is not there".to_owned());
        assert_eq!(snapshot(&answer(&bare)), Ok(without));
        let good = [&good[..], &archive, &told].concat();
        let Ok(Snapshot::Good(status)) = snapshot(&answer(&good)) else {
            unreachable!("a good snapshot")
        };
        assert_eq!(
            (status.size, status.keys, status.revision),
            (7_462_944, 834, 4209)
        );
        assert_eq!((status.release.as_str(), status.archive.0), ("3.6.5", 4096));
    }
}
