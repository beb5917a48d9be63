//! API servers, etcd's majority, and the balancer in front of them.
//!
//! A client keeps its connection to one server until that goes; then the balancer needs a moment to lead it to another. Where
//! the facts do not show which servers there are, the endpoint always answers.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::facts::{Facts, Observed};
use crate::cluster::model::{HostName, NodeName};
use crate::rules::version::Version;

/// Until a balancer does not lead to a server any more that has gone.
const NOTICED: Duration = Duration::from_secs(2);

/// One API server.
#[derive(Debug, Clone)]
struct Server {
    up: bool,
    version: Version,
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Servers {
    servers: BTreeMap<NodeName, Server>,
    /// Voting members of stacked etcd, and whether each answers.
    members: BTreeMap<NodeName, bool>,
    /// To which server the client's connection leads.
    current: Option<NodeName>,
    /// The balancer leads nowhere until then.
    broken_until: Duration,
    /// What the endpoint said when the facts were taken.
    observed: Observed<Version>,
}

impl Servers {
    pub(super) fn of(facts: &Facts, nodes: &BTreeMap<HostName, NodeName>) -> Self {
        let mut servers = BTreeMap::new();
        let mut members = BTreeMap::new();
        for (host, observed) in &facts.hosts {
            let (Some(known), Some(node)) = (observed.known(), nodes.get(host)) else {
                continue;
            };
            let Some(control_plane) = &known.control_plane else {
                continue;
            };
            if let Observed::Known(version) = &control_plane.api_server {
                let server = Server {
                    up: true,
                    version: version.clone(),
                };
                servers.insert(node.clone(), server);
            }
            let of_node = |etcd: &crate::cluster::facts::EtcdFacts| {
                let member = etcd.members.iter().find(|one| one.name == node.as_str())?;
                (!member.learner).then_some(member.healthy)
            };
            if let Some(healthy) = facts.etcd.known().and_then(of_node) {
                members.insert(node.clone(), healthy);
            }
        }
        let observed = facts.cluster.api_version.clone();
        let current = servers
            .iter()
            .find(|(_, server)| Some(&server.version) == observed.known())
            .or_else(|| servers.iter().next())
            .map(|(node, _)| node.clone());
        Self {
            servers,
            members,
            current,
            broken_until: Duration::ZERO,
            observed,
        }
    }

    /// etcd has a majority, and a server is there.
    pub(super) fn answer(&self) -> bool {
        let voting = self.members.len();
        let healthy = self.members.values().filter(|healthy| **healthy).count();
        let majority = voting == 0 || healthy * 2 > voting;
        let up = self.servers.is_empty() || self.servers.values().any(|server| server.up);
        majority && up
    }

    /// A client reaches a server through the endpoint now.
    pub(super) fn reached(&self, now: Duration) -> bool {
        self.answer() && now >= self.broken_until
    }

    /// What the server says that the client reaches.
    pub(super) fn version(&self) -> Observed<Version> {
        let server = self
            .current
            .as_ref()
            .and_then(|node| self.servers.get(node));
        server.map_or_else(
            || self.observed.clone(),
            |server| Observed::Known(server.version.clone()),
        )
    }

    /// Every server's release.
    pub(super) fn releases(&self) -> impl Iterator<Item = (&NodeName, &Version)> {
        self.servers
            .iter()
            .map(|(node, server)| (node, &server.version))
    }

    pub(super) fn down(&mut self, node: &NodeName, now: Duration) {
        if let Some(server) = self.servers.get_mut(node) {
            server.up = false;
        }
        if self.current.as_ref() == Some(node) {
            self.lead_elsewhere();
            self.broken_until = now + NOTICED;
        }
    }

    pub(super) fn up(&mut self, node: &NodeName, version: Version) {
        let server = Server { up: true, version };
        self.servers.insert(node.clone(), server);
        let lost = self
            .current
            .as_ref()
            .and_then(|node| self.servers.get(node))
            .is_none_or(|server| !server.up);
        if lost {
            self.lead_elsewhere();
        }
    }

    fn lead_elsewhere(&mut self) {
        let up = self.servers.iter().find(|(_, server)| server.up);
        if let Some((node, _)) = up {
            self.current = Some(node.clone());
        }
    }

    pub(super) fn member(&mut self, node: &NodeName, healthy: bool) {
        self.members.insert(node.clone(), healthy);
    }
}
