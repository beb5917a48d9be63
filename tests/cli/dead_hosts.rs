//! Hosts that take connections and never say a word, as behind a firewall that drops, or with a kernel that hangs.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use refit::adapters::ssh::Ssh;
use refit::cluster::model::{HostName, NodeName, Role};
use refit::documents::settings::{Become, Host, Inventory, Ssh as Settings};
use refit::host::op::Query;
use refit::ports::{Failure, Hosts as _};
use tokio::time::Instant;

const HOSTS: usize = 60;

fn inventory(port: u16) -> Inventory {
    let host = |number: usize| {
        let name = HostName::new(format!("h{number}"));
        let host = Host {
            name: name.clone(),
            address: "127.0.0.1".to_owned(),
            node: NodeName::new(name.as_str()),
            role: Role::Worker,
            group: "workers".to_owned(),
            labels: BTreeMap::new(),
            ssh: Settings {
                user: "ops".to_owned(),
                port,
                identity_file: None,
                known_hosts: None,
                jump: None,
                become_root: Become::None,
            },
        };
        (name, host)
    };
    Inventory {
        name: "dead".to_owned(),
        kubeconfig: PathBuf::from("none"),
        context: None,
        hosts: (0..HOSTS).map(host).collect(),
        ignore_nodes: vec![],
    }
}

/// One host's patience is ten seconds, and so is that of all together. Two questions to one host share it.
#[tokio::test]
async fn they_do_not_wait_for_each_other() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let inventory = inventory(listener.local_addr().unwrap().port());
    let ssh = Ssh::new(&inventory).unwrap();
    let began = Instant::now();
    let questions = inventory.hosts.keys().flat_map(|host| {
        let ssh = &ssh;
        [Query::Basics, Query::Packages].map(|query| async move { ssh.query(host, &query).await })
    });
    let answers = futures::future::join_all(questions).await;
    let took = began.elapsed();
    assert_eq!(answers.len(), 2 * HOSTS);
    for answer in answers {
        let failure = answer.unwrap_err();
        assert!(
            matches!(&failure, Failure::NotSent(why) if why.ends_with("cannot be reached over SSH: no answer in time")),
            "{failure:?}"
        );
    }
    // room for a machine that is busy with other things; one after the other, or six at a time, is far beyond
    assert!(took < Duration::from_secs(30), "{took:?}");
    ssh.close().await;
}
