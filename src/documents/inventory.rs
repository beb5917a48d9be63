//! The inventory: its table, what its values must agree on, and the settings made of it.

use std::collections::{BTreeMap, btree_map};

use crate::cluster::model::{HostName, LabelSelector, NodeName, Role};

use super::error::{DocumentError, Problem, Span, quote};
use super::range::{MOST_HOSTS, Pattern};
use super::selector;
use super::settings::{Become, Host, IgnoredNodes, Inventory, Jump, Ssh};
use super::table::METADATA;
use super::table::inventory::{GROUP, HOST, IGNORED, INVENTORY, JUMP, KUBERNETES, SSH};
use super::tree::{Entry, Node, Value};
use super::view::{Paths, View};

/// What the inventory's values must agree on.
pub(super) fn check_across(root: &Node, paths: Paths<'_>, errors: &mut Vec<DocumentError>) {
    let view = View {
        node: Some(root),
        object: &INVENTORY,
    };
    let kubernetes = view.sub("kubernetes", &KUBERNETES);
    paths.check(kubernetes.node("kubeconfig"), errors);
    if kubernetes.node("kubeconfig").is_none() && paths.resolve("~/.kube/config").is_none() {
        errors.push(DocumentError::at(
            Problem::MissingKey,
            root.span,
            "`kubernetes.kubeconfig` is missing, and no home folder to look in is known",
            "expected `kubernetes`",
        ));
    }
    for node in ssh_layers(view) {
        let ssh = View {
            node: Some(node),
            object: &SSH,
        };
        paths.check(ssh.node("identityFile"), errors);
        paths.check(ssh.node("knownHosts"), errors);
    }
    let mut names = Seen::default();
    let (mut total, mut control_planes, mut any_unreadable) = (0_usize, 0_usize, false);
    for declared in declared(view) {
        let Some(expansion) = declared.expansion(errors) else {
            any_unreadable = true;
            continue;
        };
        total = total.saturating_add(expansion.name.len());
        if total > MOST_HOSTS {
            errors.push(DocumentError::at(
                Problem::BadValue,
                declared.span,
                format!("more than {MOST_HOSTS} hosts"),
                "with these",
            ));
            return;
        }
        match declared.role() {
            Some(Role::ControlPlane) => control_planes += 1,
            Some(Role::Worker) => {}
            None => any_unreadable = true,
        }
        names.add(&declared, &expansion, errors);
        if declared.ssh("user").is_none() {
            errors.push(DocumentError::at(
                Problem::MissingKey,
                declared.span,
                format!("no login for host {}", quote(&expansion.name.get(0))),
                "expected `ssh.user` here, in its group or in the inventory",
            ));
        }
    }
    let groups = root.get("groups");
    if let Some(groups) = groups.filter(|groups| matches!(groups.value.value, Value::Mapping(_)))
        && control_planes == 0
        && !any_unreadable
    {
        errors.push(DocumentError::at(
            Problem::Conflict,
            groups.key_span,
            "no control plane in this inventory",
            "expected a group with `role: control-plane` and a host",
        ));
    }
}

fn ssh_layers(view: View<'_>) -> Vec<&Node> {
    let mut layers: Vec<&Node> = view.node("ssh").into_iter().collect();
    for group in view.node("groups").map(Node::entries).unwrap_or_default() {
        layers.extend(group.value.get("ssh").map(|entry| &entry.value));
        let hosts = group
            .value
            .get("hosts")
            .map(|entry| entry.value.items())
            .unwrap_or_default();
        layers.extend(
            hosts
                .iter()
                .filter_map(|host| host.get("ssh"))
                .map(|entry| &entry.value),
        );
    }
    layers
}

/// A host as written, before its ranges expand.
struct Declared<'a> {
    span: Span,
    inventory: View<'a>,
    group: &'a Entry,
    host: View<'a>,
}

/// The names and addresses of a host as written.
struct Expansion<'a> {
    name: Pattern<'a>,
    address: Pattern<'a>,
    node: Pattern<'a>,
}

fn declared(inventory: View<'_>) -> Vec<Declared<'_>> {
    let groups = inventory
        .node("groups")
        .map(Node::entries)
        .unwrap_or_default();
    groups
        .iter()
        .flat_map(|group| {
            let hosts = View {
                node: Some(&group.value),
                object: &GROUP,
            }
            .items("hosts");
            hosts.iter().map(move |host| Declared {
                span: host.get("name").map_or(host.span, |name| name.value.span),
                inventory,
                group,
                host: View {
                    node: Some(host),
                    object: &HOST,
                },
            })
        })
        .collect()
}

impl<'a> Declared<'a> {
    fn role(&self) -> Option<Role> {
        match (View {
            node: Some(&self.group.value),
            object: &GROUP,
        })
        .text("role")?
        {
            "control-plane" => Some(Role::ControlPlane),
            "worker" => Some(Role::Worker),
            _ => None,
        }
    }

    /// None when a pattern is not valid, which has been reported, or when lengths differ, which is reported here.
    fn expansion(&self, errors: &mut Vec<DocumentError>) -> Option<Expansion<'a>> {
        let pattern = |key: &str, otherwise: &'a str| {
            Pattern::parse(self.host.text(key).unwrap_or(otherwise)).ok()
        };
        let name = self.host.text("name")?;
        let expansion = Expansion {
            name: Pattern::parse(name).ok()?,
            address: pattern("address", name)?,
            node: pattern("nodeName", name)?,
        };
        for (key, other) in [
            ("address", &expansion.address),
            ("nodeName", &expansion.node),
        ] {
            if other.len() != expansion.name.len() {
                let span = self.host.node(key).map_or(self.span, |node| node.span);
                errors.push(
                    DocumentError::at(
                        Problem::Conflict,
                        span,
                        format!(
                            "`name` stands for {}, `{key}` for {}",
                            hosts(expansion.name.len()),
                            other.len()
                        ),
                        "ranges expand pairwise and must be equally long",
                    )
                    .also(self.span, hosts(expansion.name.len())),
                );
                return None;
            }
        }
        Some(expansion)
    }

    /// The value of an SSH setting: the host's, else the group's, else the inventory's. An explicit null is a value.
    fn ssh_node(&self, key: &str) -> Option<&'a Node> {
        [self.host.node, Some(&self.group.value), self.inventory.node]
            .into_iter()
            .flatten()
            .filter_map(|layer| layer.get("ssh")?.value.get(key))
            .map(|entry| &entry.value)
            .next()
    }

    fn ssh(&self, key: &str) -> Option<&'a str> {
        match self.ssh_node(key) {
            Some(node) => node.text(),
            None => View {
                node: None,
                object: &SSH,
            }
            .text(key),
        }
    }

    fn settings(&self, paths: Paths<'_>) -> Option<Ssh> {
        let path = |key: &str| match self.ssh(key) {
            Some(text) => paths.resolve(text).map(Some),
            None => Some(None),
        };
        let user = self.ssh("user")?.to_owned();
        let jump = match self.ssh_node("jump").filter(|node| !node.is_null()) {
            None => None,
            Some(node) => {
                let jump = View {
                    node: Some(node),
                    object: &JUMP,
                };
                Some(Jump {
                    address: jump.text("address")?.to_owned(),
                    user: jump.text("user").unwrap_or(&user).to_owned(),
                    port: jump.text("port")?.parse().ok()?,
                })
            }
        };
        Some(Ssh {
            port: self.ssh("port")?.parse().ok()?,
            identity_file: path("identityFile")?,
            known_hosts: path("knownHosts")?,
            jump,
            become_root: match self.ssh("become")? {
                "none" => Become::None,
                "sudo" => Become::Sudo,
                _ => return None,
            },
            user,
        })
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let group = View {
            node: Some(&self.group.value),
            object: &GROUP,
        };
        [group.node("labels"), self.host.node("labels")]
            .into_iter()
            .flatten()
            .flat_map(Node::entries)
            .filter_map(|entry| Some((entry.key.clone(), entry.value.text()?.to_owned())))
            .collect()
    }
}

fn hosts(count: usize) -> String {
    match count {
        1 => "1 host".to_owned(),
        many => format!("{many} hosts"),
    }
}

/// Names, addresses and nodes that exist already, and where.
#[derive(Default)]
struct Seen {
    names: BTreeMap<String, Span>,
    addresses: BTreeMap<String, Span>,
    nodes: BTreeMap<String, Span>,
}

impl Seen {
    /// At most one error for each kind of name: a doubled range is one mistake, not a thousand.
    fn add(
        &mut self,
        declared: &Declared<'_>,
        expansion: &Expansion<'_>,
        errors: &mut Vec<DocumentError>,
    ) {
        let span = |key: &str| {
            declared
                .host
                .node(key)
                .map_or(declared.span, |node| node.span)
        };
        let name = add(
            &mut self.names,
            &expansion.name,
            declared.span,
            "host name",
            errors,
        );
        // What follows from the name alone would only repeat the same mistake.
        if name || declared.host.node("address").is_some() {
            let ssh_port = declared.ssh("port").unwrap_or_default();
            let jump = declared
                .ssh_node("jump")
                .and_then(|jump| jump.get("address")?.value.text())
                .unwrap_or_default();
            let suffix = format!("|{ssh_port}|{jump}");
            add_with(
                &mut self.addresses,
                &expansion.address,
                &suffix,
                span("address"),
                "address",
                errors,
            );
        }
        if name || declared.host.node("nodeName").is_some() {
            add(
                &mut self.nodes,
                &expansion.node,
                span("nodeName"),
                "node name",
                errors,
            );
        }
    }
}

fn add(
    seen: &mut BTreeMap<String, Span>,
    pattern: &Pattern<'_>,
    span: Span,
    what: &str,
    errors: &mut Vec<DocumentError>,
) -> bool {
    add_with(seen, pattern, "", span, what, errors)
}

fn add_with(
    seen: &mut BTreeMap<String, Span>,
    pattern: &Pattern<'_>,
    suffix: &str,
    span: Span,
    what: &str,
    errors: &mut Vec<DocumentError>,
) -> bool {
    let mut fresh = true;
    for at in 0..pattern.len() {
        let text = pattern.get(at);
        match seen.entry(format!("{}{suffix}", text.to_ascii_lowercase())) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(span);
            }
            btree_map::Entry::Occupied(first) if fresh => {
                fresh = false;
                errors.push(
                    DocumentError::at(
                        Problem::Conflict,
                        span,
                        format!("the {what} {} stands for two hosts", quote(&text)),
                        "again here",
                    )
                    .also(*first.get(), "first here"),
                );
            }
            btree_map::Entry::Occupied(_) => {}
        }
    }
    fresh
}

/// The settings; none when the tree has errors.
pub(super) fn build(root: &Node, paths: Paths<'_>) -> Option<Inventory> {
    let view = View {
        node: Some(root),
        object: &INVENTORY,
    };
    let kubernetes = view.sub("kubernetes", &KUBERNETES);
    let mut hosts = BTreeMap::new();
    for declared in declared(view) {
        let expansion = declared.expansion(&mut Vec::new())?;
        let (role, ssh, labels) = (
            declared.role()?,
            declared.settings(paths)?,
            declared.labels(),
        );
        for at in 0..expansion.name.len() {
            let name = HostName::new(expansion.name.get(at));
            let host = Host {
                name: name.clone(),
                address: expansion.address.get(at),
                node: NodeName::new(expansion.node.get(at)),
                role,
                group: declared.group.key.clone(),
                labels: labels.clone(),
                ssh: ssh.clone(),
            };
            hosts.insert(name, host);
        }
    }
    let ignored = view
        .items("ignoreNodes")
        .iter()
        .map(ignored)
        .collect::<Option<_>>()?;
    Some(Inventory {
        name: view.sub("metadata", &METADATA).text("name")?.to_owned(),
        kubeconfig: paths.resolve(kubernetes.text("kubeconfig")?)?,
        context: kubernetes.text("context").map(str::to_owned),
        hosts,
        ignore_nodes: ignored,
    })
}

fn ignored(node: &Node) -> Option<IgnoredNodes> {
    let view = View {
        node: Some(node),
        object: &IGNORED,
    };
    let selector = |text: &str| -> Option<LabelSelector> { selector::parse(text).ok() };
    match &node.value {
        Value::Scalar(scalar) => Some(IgnoredNodes::Name(NodeName::new(scalar.text.clone()))),
        Value::Mapping(_) => match view.text("name") {
            Some(name) => Some(IgnoredNodes::Name(NodeName::new(name))),
            None => selector(view.text("selector")?).map(IgnoredNodes::Selector),
        },
        Value::List(_) | Value::Unreadable => None,
    }
}
