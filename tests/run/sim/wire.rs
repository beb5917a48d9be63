//! The real kube client against the simulated cluster, over HTTP requests in memory.
//!
//! The router answers as an API server does, by the simulation's rules; it has none of its own. What it cannot answer is a
//! failure of the test.

mod drain;
mod evictions;
mod leaving;
mod objects;
mod upgrade;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::time::Duration;

use futures::lock::Mutex;
use futures::stream::{FuturesUnordered, StreamExt as _};
use http::{Method, Request, Response};
use kube::client::Body;
use refit::adapters::kube::Kube;
use refit::cluster::model::NodeName;
use refit::ports::{Claim, ClusterApi as _, Token};
use refit::sim::Sim;
use refit::sim::api::evict;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// There and back.
const CALL: Duration = Duration::from_millis(5);

/// A request, as it is on the wire.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: Method,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Value,
}

impl Asked {
    fn has(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.has(name).map(|value| value.parse().unwrap())
    }

    /// A field selector's value.
    fn field(&self, name: &str) -> Option<NodeName> {
        let (field, value) = self.has("fieldSelector")?.split_once('=').unwrap();
        assert_eq!(field, name, "{self:?}");
        Some(NodeName::new(value))
    }

    /// It asks for an eviction.
    pub fn evicts(&self) -> bool {
        self.method == Method::POST && self.path.ends_with("/eviction")
    }

    /// It changes a node.
    pub fn patches(&self) -> bool {
        self.method == Method::PATCH
    }
}

/// What the server says.
#[derive(Debug, Clone)]
pub struct Reply {
    code: u16,
    body: Value,
}

impl Reply {
    fn ok(body: Value) -> Self {
        Self { code: 200, body }
    }

    /// An error in the form that all of the API has.
    pub fn error(code: u16, message: &str) -> Self {
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "code": code,
        });
        Self { code, body }
    }

    fn not_found(what: &str) -> Self {
        Self::error(404, &format!("{what} not found"))
    }

    /// What the server says to an eviction.
    ///
    /// Source: kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`.
    fn of(answer: &evict::Answer) -> Self {
        if answer.is_granted() {
            let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
            return Self { code: 201, body };
        }
        let mut reply = Self::error(answer.code, &answer.message);
        let causes: Vec<Value> = answer
            .causes
            .iter()
            .map(|(reason, message)| json!({"reason": reason, "message": message}))
            .collect();
        if !causes.is_empty() {
            reply.body["details"] = json!({"causes": causes});
        }
        if let Some(after) = answer.retry_after {
            reply.body["details"]["retryAfterSeconds"] = json!(after.as_secs());
        }
        reply
    }
}

type Call = (Asked, oneshot::Sender<Reply>);
/// Answers instead of the router, where it has an answer.
type Instead<'s> = dyn FnMut(&Sim, &Asked) -> Option<Reply> + 's;

/// A server over a simulation, and a client of it.
pub struct Wire<'s> {
    pub kube: Kube,
    sim: &'s Sim,
    calls: Mutex<mpsc::UnboundedReceiver<Call>>,
    asked: RefCell<Vec<Asked>>,
    instead: RefCell<Box<Instead<'s>>>,
    /// The most that was answered at the same time.
    most: Cell<usize>,
}

impl<'s> Wire<'s> {
    pub fn new(sim: &'s Sim) -> Self {
        Self::with(sim, |_, _| None)
    }

    pub fn with(sim: &'s Sim, instead: impl FnMut(&Sim, &Asked) -> Option<Reply> + 's) -> Self {
        let (send, calls) = mpsc::unbounded_channel::<Call>();
        let service = tower::service_fn(move |request: Request<Body>| {
            let send = send.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                send.send((asked(request).await, answer)).map_err(gone)?;
                // no answer: the connection was cut, or the API server is down
                let reply = answered.await.map_err(gone)?;
                let response = Response::builder()
                    .status(reply.code)
                    .header("content-type", "application/json");
                let body = Body::from(reply.body.to_string().into_bytes());
                Ok::<_, std::io::Error>(response.body(body).unwrap())
            }
        });
        Self {
            kube: Kube::over(kube::Client::new(service, "default")),
            sim,
            calls: Mutex::new(calls),
            asked: RefCell::default(),
            instead: RefCell::new(Box::new(instead)),
            most: Cell::new(0),
        }
    }

    /// What the client comes to while its requests are answered.
    pub async fn serve<T>(&self, client: impl Future<Output = T>) -> T {
        let server = async {
            let mut calls = self.calls.lock().await;
            let mut busy = FuturesUnordered::new();
            loop {
                tokio::select! {
                    Some((asked, answer)) = calls.recv() => {
                        self.asked.borrow_mut().push(asked.clone());
                        busy.push(self.answered(asked, answer));
                        self.most.set(self.most.get().max(busy.len()));
                    }
                    Some(()) = busy.next() => {}
                }
            }
        };
        tokio::select! {
            answer = client => answer,
            () = server => unreachable!("a server does not end"),
        }
    }

    /// Everything that was asked, in order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.borrow().clone()
    }

    async fn answered(&self, asked: Asked, mut answer: oneshot::Sender<Reply>) {
        tokio::time::sleep(CALL).await;
        let instead = (self.instead.borrow_mut())(self.sim, &asked);
        let reply = if let Some(reply) = instead {
            Some(reply)
        } else if self.sim.look(|world| world.api.answers()) {
            tokio::select! {
                reply = self.route(&asked) => reply,
                // nobody waits for it any more
                () = answer.closed() => None,
            }
        } else {
            None
        };
        if let Some(reply) = reply {
            let _ = answer.send(reply);
        }
    }

    /// None when the connection is lost on the way.
    async fn route(&self, asked: &Asked) -> Option<Reply> {
        let path: Vec<&str> = asked.path.trim_start_matches('/').split('/').collect();
        let sim = self.sim;
        Some(match (&asked.method, path.as_slice()) {
            (&Method::GET, ["api", "v1", "namespaces", name]) => {
                let uid = sim.cluster_uid().await.unwrap();
                Reply::ok(
                    json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name, "uid": uid}}),
                )
            }
            (&Method::GET, ["readyz"]) => Reply::ok(json!("ok")),
            (&Method::GET, ["api", "v1", "nodes"]) if asked.has("watch").is_some() => {
                let node = asked.field("metadata.name").unwrap();
                self.watch(asked, |sim| {
                    sim.look(|world| world.api.node_version(&node).unwrap_or(u64::MAX))
                })
                .await?
            }
            (&Method::GET, ["api", "v1", "nodes"]) => self.list(asked, "NodeList", |sim| {
                sim.look(|world| {
                    let nodes = world.api.nodes();
                    nodes
                        .map(|node| {
                            objects::node(node, world.api.node_version(&node.name).unwrap())
                        })
                        .collect()
                })
            }),
            (&Method::GET, ["api", "v1", "nodes", name]) => self.node(name),
            (&Method::PATCH, ["api", "v1", "nodes", name]) => self.patch(name, &asked.body),
            (&Method::GET, ["api", "v1", "pods"]) if asked.has("watch").is_some() => {
                let node = asked.field("spec.nodeName").unwrap();
                self.watch(asked, |sim| sim.look(|world| world.api.pods_version(&node)))
                    .await?
            }
            (&Method::GET, ["api", "v1", "pods"]) => {
                let node = asked.field("spec.nodeName");
                self.list(asked, "PodList", |sim| pods(sim, node.as_ref()))
            }
            (&Method::GET, ["api", "v1", "namespaces", namespace, "pods", name]) => {
                sim.look(|world| {
                    let pods = world.api.pods();
                    let held = pods.named(namespace, name).and_then(|id| pods.get(id));
                    held.map_or_else(
                        || Reply::not_found(&format!("pods \"{name}\"")),
                        |held| Reply::ok(objects::pod(&held.pod, &world.api)),
                    )
                })
            }
            (
                &Method::POST,
                [
                    "api",
                    "v1",
                    "namespaces",
                    namespace,
                    "pods",
                    name,
                    "eviction",
                ],
            ) => {
                let options = &asked.body["deleteOptions"];
                let request = evict::Request {
                    namespace,
                    name,
                    body_name: asked.body["metadata"]["name"].as_str().unwrap(),
                    uid: options["preconditions"]["uid"].as_str(),
                    grace: options["gracePeriodSeconds"]
                        .as_u64()
                        .map(Duration::from_secs),
                    dry_run: asked.has("dryRun") == Some("All"),
                };
                Reply::of(&sim.act(|world| world.with_api(|api| api.evict(&request))))
            }
            (&Method::GET, ["apis", "policy", "v1", "poddisruptionbudgets"]) => {
                self.list(asked, "PodDisruptionBudgetList", |sim| {
                    sim.look(|world| {
                        let guards = world.api.guards();
                        guards.map(|guard| objects::budget(&guard.budget)).collect()
                    })
                })
            }
            (&Method::GET, ["apis", "apps", "v1", kind]) => {
                let kind = match *kind {
                    "deployments" => "Deployment",
                    "statefulsets" => "StatefulSet",
                    "daemonsets" => "DaemonSet",
                    other => panic!("{other} are not asked for"),
                };
                self.list(asked, &format!("{kind}List"), |sim| {
                    let workloads = sim.look(|world| world.api.workloads());
                    let ours = workloads.iter().filter(|workload| workload.kind == kind);
                    ours.map(objects::workload).collect()
                })
            }
            (&Method::GET, ["apis", "storage.k8s.io", "v1", "volumeattachments"])
                if asked.has("watch").is_some() =>
            {
                self.watch(asked, |sim| {
                    sim.look(|world| world.api.attachments_version())
                })
                .await?
            }
            (&Method::GET, ["apis", "storage.k8s.io", "v1", "volumeattachments"]) => {
                self.list(asked, "VolumeAttachmentList", |sim| {
                    sim.look(|world| {
                        let nodes = world.api.nodes();
                        nodes
                            .flat_map(|node| {
                                let attached = world.api.attached(&node.name).into_iter();
                                attached.map(|one| objects::attachment(&node.name, &one))
                            })
                            .collect()
                    })
                })
            }
            (&Method::GET, ["api", "v1", "persistentvolumes", name]) => sim.look(|world| {
                let mut nodes = world.api.nodes();
                let found = nodes.find_map(|node| {
                    let mut attached = world.api.attached(&node.name).into_iter();
                    attached.find(|one| one.volume == *name)
                });
                found.map_or_else(
                    || Reply::not_found(&format!("persistentvolumes \"{name}\"")),
                    |one| Reply::ok(objects::volume(&one)),
                )
            }),
            (
                _,
                [
                    "apis",
                    "coordination.k8s.io",
                    "v1",
                    "namespaces",
                    "kube-system",
                    "leases",
                    rest @ ..,
                ],
            ) => self.lease(asked, rest.first().copied()).await,
            other => panic!("nobody answers {other:?}"),
        })
    }

    fn list(&self, asked: &Asked, kind: &str, items: impl FnOnce(&Sim) -> Vec<Value>) -> Reply {
        let version = self.sim.look(|world| world.api.version());
        let limit = asked.number("limit").unwrap_or(usize::MAX);
        let from = asked.number("continue").unwrap_or(0);
        Reply::ok(objects::list(kind, version, items(self.sim), limit, from))
    }

    fn node(&self, name: &str) -> Reply {
        self.sim.look(|world| {
            let known = world.api.node(&NodeName::new(name));
            known.map_or_else(
                || Reply::not_found(&format!("nodes \"{name}\"")),
                |known| {
                    let version = world.api.node_version(&known.node.name).unwrap();
                    Reply::ok(objects::node(&known.node, version))
                },
            )
        })
    }

    /// A change of a node on condition that it is as it was read.
    fn patch(&self, name: &str, change: &Value) -> Reply {
        let node = NodeName::new(name);
        let version = self.sim.look(|world| world.api.node_version(&node));
        let wanted = change["metadata"]["resourceVersion"].as_str();
        match (version, wanted) {
            (None, _) => return Reply::not_found(&format!("nodes \"{name}\"")),
            (Some(now), Some(wanted)) if now.to_string() != wanted => {
                return Reply::error(
                    409,
                    &format!(
                        "Operation cannot be fulfilled on nodes \"{name}\": the object has been modified"
                    ),
                );
            }
            (Some(_), _) => {}
        }
        if let Some(taints) = change["spec"]["taints"].as_array() {
            let taints = taints.iter().map(|taint| {
                let value = taint["value"].as_str().map(|value| format!("={value}"));
                let (key, effect) = (&taint["key"], &taint["effect"]);
                format!(
                    "{}{}:{}",
                    key.as_str().unwrap(),
                    value.unwrap_or_default(),
                    effect.as_str().unwrap()
                )
            });
            let taints = taints.collect();
            self.sim
                .act(|world| world.with_api(|api| api.set_taints(&node, taints).unwrap()));
            return self.node(name);
        }
        let run = change["metadata"]["annotations"]["refit.dev/cordoned-by"].as_str();
        self.sim.act(|world| {
            world.with_api(
                |api| match (change["spec"]["unschedulable"].as_bool(), run) {
                    (Some(true), Some(run)) => api.cordon(&node, run).unwrap(),
                    (None, None) => api.uncordon(&node).unwrap(),
                    other => panic!("nobody changes a node so: {other:?}"),
                },
            );
        });
        self.node(name)
    }

    /// One event, when something has changed since the version; the client only wakes by it, and looks for itself. None
    /// when the API server goes meanwhile.
    async fn watch(&self, asked: &Asked, version: impl Fn(&Sim) -> u64) -> Option<Reply> {
        let since: u64 = asked.has("resourceVersion").unwrap().parse().unwrap();
        let at_most = asked.number("timeoutSeconds").unwrap();
        let ends =
            tokio::time::Instant::now() + Duration::from_secs(u64::try_from(at_most).unwrap());
        while version(self.sim) <= since {
            if tokio::time::Instant::now() >= ends || !self.sim.look(|world| world.api.answers()) {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let object = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "some"}, "spec": {"containers": []}});
        Some(Reply::ok(json!({"type": "MODIFIED", "object": object})))
    }

    async fn lease(&self, asked: &Asked, name: Option<&str>) -> Reply {
        let spec = &asked.body["spec"];
        let body = match (&asked.method, name) {
            (&Method::GET, Some("refit")) => match self.sim.claim().await.unwrap() {
                None => return Reply::not_found("leases.coordination.k8s.io \"refit\""),
                Some(claim) => json!({
                    "metadata": {"name": "refit", "resourceVersion": claim.version},
                    "spec": {"holderIdentity": claim.holder, "leaseTransitions": claim.token.0},
                }),
            },
            (&Method::GET, Some(name)) => {
                match self.sim.lease(&format!("kube-system/{name}")).await {
                    Err(_) => return Reply::not_found(name),
                    Ok(lease) => {
                        let renewed = lease.renewed.map(|at| format!("{at:.6}"));
                        json!({"metadata": {"name": name}, "spec": {"holderIdentity": lease.holder, "renewTime": renewed}})
                    }
                }
            }
            (&Method::POST, None) | (&Method::PUT, Some("refit")) => {
                let claim = Claim {
                    holder: spec["holderIdentity"].as_str().map(str::to_owned),
                    token: Token(spec["leaseTransitions"].as_u64().unwrap()),
                    version: asked.body["metadata"]["resourceVersion"]
                        .as_str()
                        .map(str::to_owned),
                };
                if self
                    .sim
                    .put_claim(&claim, Duration::from_secs(120))
                    .await
                    .is_err()
                {
                    return Reply::error(409, "the object has been modified");
                }
                asked.body.clone()
            }
            other => panic!("nobody does that to a lease: {other:?}"),
        };
        let mut body = body;
        body["kind"] = json!("Lease");
        body["apiVersion"] = json!("coordination.k8s.io/v1");
        Reply::ok(body)
    }
}

fn pods(sim: &Sim, node: Option<&NodeName>) -> Vec<Value> {
    sim.look(|world| {
        let pods = world.api.pods();
        match node {
            Some(node) => pods
                .on(node)
                .map(|(_, held)| objects::pod(&held.pod, &world.api))
                .collect(),
            None => pods
                .all()
                .map(|(_, held)| objects::pod(&held.pod, &world.api))
                .collect(),
        }
    })
}

fn gone<E>(_: E) -> std::io::Error {
    std::io::ErrorKind::ConnectionReset.into()
}

async fn asked(request: Request<Body>) -> Asked {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await.unwrap();
    let query = parts.uri.query().unwrap_or_default();
    Asked {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), decoded(value)))
            .collect(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

/// The few characters that a field selector has escaped.
fn decoded(value: &str) -> String {
    value.replace("%3D", "=").replace("%2C", ",")
}
