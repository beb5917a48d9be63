//! etcd, asked through this machine's member, and its snapshots.

use serde_json::json;

use super::{Said, unseen};
use crate::cluster::facts::{EtcdMember, Observed};
use crate::host::op::{Output, archive_of};
use crate::ports::Failure;
use crate::sim::machine::Machine;
use crate::sim::seam::View;

fn number(id: &str) -> u64 {
    u64::from_str_radix(id, 16).unwrap_or_default()
}

fn url(member: &EtcdMember) -> String {
    format!("https://{}:2379", member.name)
}

impl Machine {
    /// `scripts/etcd.sh`.
    pub(super) fn etcd(&self, view: &View<'_>) -> Result<Output, Failure> {
        let (_, api) = match self.own_api() {
            Ok(found) => found,
            Err(output) => return Ok(output),
        };
        let etcd = match &self.etcd {
            Observed::Known(etcd) => etcd,
            Observed::Unknown(why) => return unseen(why),
        };
        let mut said = Said::default();
        if !self.api_server_answers(view) {
            for section in ["members", "health", "status", "alarms"] {
                said.fails(section, 1, &self.refused(view, &api));
            }
            return Ok(said.done());
        }
        let members: Vec<_> = etcd
            .members
            .iter()
            .map(|member| {
                json!({"ID": number(&member.id), "name": member.name, "clientURLs": [url(member)],
                       "isLearner": member.learner})
            })
            .collect();
        said.text("members", &json!({"members": members}).to_string());
        let healthy = |member: &EtcdMember| self.healthy(member, view);
        let health: Vec<_> = etcd
            .members
            .iter()
            .map(|member| match healthy(member) {
                true => json!({"endpoint": url(member), "health": true, "took": "9.2ms"}),
                false => json!({"endpoint": url(member), "health": false, "took": "5.0s",
                                "error": "context deadline exceeded"}),
            })
            .collect();
        let status: Vec<_> = etcd
            .members
            .iter()
            .filter(|member| healthy(member) || !member.healthy)
            .filter_map(|member| {
                let (version, size) = self.status_of(member, view);
                Some(
                    json!({"Endpoint": url(member), "Status": {"header": {"member_id": number(&member.id)},
                           "version": version?, "dbSize": size?}}),
                )
            })
            .collect();
        let worst = i32::from(!etcd.members.iter().all(healthy));
        said.section("health", worst, &json!(health).to_string());
        said.section("status", worst, &json!(status).to_string());
        let alarms: Vec<_> = etcd
            .alarms
            .iter()
            .map(|alarm| {
                let (kind, member) = alarm.split_once(" on ").unwrap_or((alarm, ""));
                let member = etcd.members.iter().find(|known| known.name == member);
                let kind = match kind {
                    "NOSPACE" => 1,
                    "CORRUPT" => 2,
                    other => other
                        .strip_prefix("alarm ")
                        .and_then(|n| n.parse().ok())
                        .unwrap_or(3),
                };
                json!({"memberID": member.map_or(0, |member| number(&member.id)), "alarm": kind})
            })
            .collect();
        said.text("alarms", &json!({"alarms": alarms}).to_string());
        Ok(said.done())
    }

    /// A member's release and size, as its own machine has them now.
    fn status_of(&self, member: &EtcdMember, view: &View<'_>) -> (Option<String>, Option<u64>) {
        let elsewhere = view.others.values().find(|other| other.has(member));
        let machine = if self.has(member) {
            Some(self)
        } else {
            elsewhere
        };
        let own = machine.and_then(|machine| {
            let members = &machine.etcd.known()?.members;
            members.iter().find(|known| known.name == member.name)
        });
        let now = own.unwrap_or(member);
        (now.version.clone(), now.db_size)
    }

    /// `scripts/external-etcd.sh`.
    pub(super) fn external_etcd(&self, endpoints: &[String]) -> Output {
        let mut said = Said::default();
        for endpoint in endpoints {
            said.text("endpoint", endpoint);
            match self.external_etcd.get(endpoint) {
                Some(Observed::Known(release)) => {
                    said.text("version", &json!({"etcdserver": release}).to_string());
                }
                Some(Observed::Unknown(why)) => said.fails("version", 7, why),
                None => said.fails("version", 7, "curl: (7) Failed to connect"),
            }
        }
        said.done()
    }

    /// `scripts/snapshot.sh`.
    pub(super) fn snapshot_status(&self, file: &str) -> Output {
        let mut said = Said::default();
        let authority = format!("{}  /etc/kubernetes/pki/ca.crt", self.authority());
        said.text("authority", &authority);
        let Some(snapshot) = self.snapshots.get(file) else {
            for section in [
                "sha256",
                "size",
                "archive-sha256",
                "archive-size",
                "verdict",
                "release",
            ] {
                said.text(section, "");
            }
            return said.done();
        };
        let archive = archive_of(file);
        let (size, sha256) = snapshot.archive();
        said.text("archive-sha256", &format!("{sha256}  {archive}"));
        said.text("archive-size", &size.to_string());
        let release = self.etcd_release().unwrap_or_default();
        said.text(
            "release",
            &format!("etcdutl version: {release}\nAPI version: 3.6"),
        );
        said.text("sha256", &format!("{}  {file}", snapshot.sha256));
        said.text("size", &snapshot.size.to_string());
        let verdict = json!({"hash": snapshot.hash, "revision": snapshot.revision, "totalKey": snapshot.keys,
                             "totalSize": snapshot.size, "version": "3.6.0"});
        said.text("verdict", &verdict.to_string());
        said.done()
    }

    /// `scripts/left-snapshots.sh`.
    pub(super) fn left_snapshots(&self, view: &View<'_>, directory: &str) -> Output {
        let mut said = Said::default();
        let mut left = String::new();
        for (path, snapshot) in &self.snapshots {
            let name = path
                .strip_prefix(directory)
                .and_then(|rest| rest.strip_prefix('/'));
            if let Some(name) = name.filter(|name| name.starts_with("refit-")) {
                let age = view.now.saturating_sub(snapshot.written).as_secs();
                left.push_str(&format!("{age}\t{name}\n"));
            }
        }
        said.text("left", &left);
        said.done()
    }
}
