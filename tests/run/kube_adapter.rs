//! The real kube client against an API server in this process: what is on the wire, what is asked again and what never
//! is, and how each answer is understood.
#![allow(clippy::unwrap_used, clippy::panic)]

mod around;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Request, Response};
use kube::client::Body;
use refit::adapters::kube::Kube;
use refit::cluster::model::{NodeName, Pod, PodPhase};
use refit::ports::{Claim, ClusterApi as _, Eviction, Failure, Permit, PodList, Token};
use serde_json::{Value, json};
use tokio::time::Instant;

/// Leave for a change, with all the time it wants.
const PERMIT: Permit = Permit {
    within: Duration::from_secs(60),
};

/// What was asked.
#[derive(Debug, Clone)]
struct Asked {
    method: Method,
    uri: String,
    body: Value,
    content_type: String,
}

/// Answers in turn; the last one for ever.
#[derive(Clone)]
struct Server {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

impl Server {
    fn answering(answers: impl IntoIterator<Item = (u16, Value)>) -> (Self, Kube) {
        Self::saying(
            answers
                .into_iter()
                .map(|(code, body)| (code, body.to_string())),
        )
    }

    fn saying(answers: impl IntoIterator<Item = (u16, String)>) -> (Self, Kube) {
        let server = Self {
            asked: Arc::default(),
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
        };
        let kube = server.kube();
        (server, kube)
    }

    fn kube(&self) -> Kube {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let content_type = parts.headers.get("content-type");
                server.asked.lock().unwrap().push(Asked {
                    method: parts.method,
                    uri: parts.uri.to_string(),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                    content_type: content_type
                        .map(|value| value.to_str().unwrap().to_owned())
                        .unwrap_or_default(),
                });
                let mut answers = server.answers.lock().unwrap();
                let (code, text) = if answers.len() > 1 {
                    answers.pop_front().unwrap()
                } else {
                    answers.front().cloned().unwrap()
                };
                let body = Body::from(text.into_bytes());
                Ok::<_, std::io::Error>(Response::builder().status(code).body(body).unwrap())
            }
        });
        Kube::over(kube::Client::new(service, "default"))
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn status(code: u16, message: &str) -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code});
    (code, status)
}

fn created() -> (u16, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    (201, status)
}

fn pod() -> Pod {
    Pod {
        namespace: "web".to_owned(),
        name: "web-1".to_owned(),
        uid: "uid-1".to_owned(),
        node: Some(NodeName::new("w1")),
        labels: BTreeMap::new(),
        phase: PodPhase::Running,
        ready: true,
        deletion_timestamp: None,
        controller: None,
        mirror: false,
        empty_dir: false,
        images: BTreeMap::new(),
        placement: None,
    }
}

fn node(version: &str, unschedulable: bool, mark: Option<&str>) -> (u16, Value) {
    let mut node = json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {"name": "w1", "uid": "n1", "resourceVersion": version},
        "spec": {"unschedulable": unschedulable},
    });
    if let Some(mark) = mark {
        node["metadata"]["annotations"] = json!({"refit.dev/cordoned-by": mark});
    }
    (200, node)
}

fn w1() -> NodeName {
    NodeName::new("w1")
}

#[tokio::test(start_paused = true)]
async fn an_eviction_carries_uid_and_grace_where_the_server_reads_them() {
    for (grace, written) in [
        (None, Value::Null),
        (Some(0), json!(0)),
        (Some(10), json!(10)),
    ] {
        let (server, kube) = Server::answering([created()]);
        let outcome = kube
            .evict(PERMIT, &pod(), grace.map(Duration::from_secs))
            .await;
        assert_eq!(outcome, Ok(Eviction::Granted));
        let asked = server.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].method, Method::POST);
        let path = asked[0].uri.split('?').next().unwrap();
        assert_eq!(path, "/api/v1/namespaces/web/pods/web-1/eviction");
        let body = &asked[0].body;
        assert_eq!(body["apiVersion"], "policy/v1");
        assert_eq!(body["kind"], "Eviction");
        assert_eq!(body["metadata"]["name"], "web-1");
        assert_eq!(body["metadata"]["namespace"], "web");
        let options = &body["deleteOptions"];
        assert_eq!(options["preconditions"], json!({"uid": "uid-1"}));
        assert_eq!(options["gracePeriodSeconds"], written);
        assert_eq!(body.get("delete_options"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_says_no_is_told_with_its_name_and_never_asked_again_by_itself() {
    let (server, kube) = Server::answering([(
        429,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "TooManyRequests", "code": 429,
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": {"causes": [{"reason": "DisruptionBudget",
                "message": "The disruption budget web needs 3 healthy pods and has 3 currently"}]}}),
    )]);
    let outcome = kube.evict(PERMIT, &pod(), None).await;
    let Ok(Eviction::Blocked {
        message,
        retry_after,
    }) = outcome
    else {
        panic!("{outcome:?}");
    };
    assert!(
        message.contains("disruption budget web needs 3"),
        "{message}"
    );
    assert_eq!(retry_after, None);
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stale_budget_says_when_to_come_back() {
    let (_, kube) = Server::answering([(
        429,
        json!({"kind": "Status", "status": "Failure", "reason": "TooManyRequests", "code": 429, "message": "stale",
            "details": {"retryAfterSeconds": 10}}),
    )]);
    let blocked = Eviction::Blocked {
        message: "stale".to_owned(),
        retry_after: Some(Duration::from_secs(10)),
    };
    assert_eq!(kube.evict(PERMIT, &pod(), None).await, Ok(blocked));
}

#[tokio::test(start_paused = true)]
async fn each_answer_to_an_eviction_is_understood() {
    let terminating = (
        403,
        json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "being terminated",
            "details": {"causes": [{"reason": "NamespaceTerminating", "message": "namespace web is being terminated"}]}}),
    );
    let two = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    let denied = |why: &str| Ok(Eviction::Denied(why.to_owned()));
    let maybe = "evicting pod web/web-1: etcdserver: request timed out (500)";
    for (answer, expected) in [
        (status(404, "not found"), Ok(Eviction::Gone)),
        (terminating, Ok(Eviction::NamespaceTerminating)),
        (status(403, "negative"), denied("negative")),
        (status(400, "bad"), denied("bad")),
        (status(500, two), denied(two)),
        (
            status(500, "etcdserver: request timed out"),
            Err(Failure::MaybeDone(maybe.to_owned())),
        ),
    ] {
        let (server, kube) = Server::answering([answer]);
        assert_eq!(kube.evict(PERMIT, &pod(), None).await, expected);
        assert_eq!(server.asked().len(), 1, "an eviction is sent once");
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_settled_by_looking_at_the_pod() {
    let named = |uid: &str| {
        let metadata = json!({"name": "web-1", "namespace": "web", "uid": uid});
        (
            200,
            json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}),
        )
    };
    for (now, gone) in [
        (named("uid-2"), true),
        (status(404, "gone"), true),
        (named("uid-1"), false),
    ] {
        let (_, kube) = Server::answering([status(409, "conflict"), now]);
        let outcome = kube.evict(PERMIT, &pod(), None).await.unwrap();
        assert_eq!(outcome == Eviction::Gone, gone, "{outcome:?}");
        assert_eq!(matches!(outcome, Eviction::Blocked { .. }), !gone);
    }
}

#[tokio::test(start_paused = true)]
async fn the_want_of_rights_is_waited_for_only_where_they_were_there_before() {
    let rbac = status(
        403,
        "pods \"web-1\" is forbidden: User \"kubernetes-admin\" cannot create resource \"pods/eviction\"",
    );
    let (_, fresh) = Server::answering([rbac.clone()]);
    let outcome = fresh.evict(PERMIT, &pod(), None).await;
    assert!(matches!(outcome, Ok(Eviction::Denied(_))), "{outcome:?}");

    let (_, proven) = Server::answering([created(), rbac]);
    assert_eq!(
        proven.evict(PERMIT, &pod(), None).await,
        Ok(Eviction::Granted)
    );
    let outcome = proven.evict(PERMIT, &pod(), None).await;
    let Ok(Eviction::Blocked { message, .. }) = outcome else {
        unreachable!("{outcome:?}")
    };
    assert_eq!(
        message,
        "refused for now (403), as an API server may for some seconds after its start: User \"kubernetes-admin\" cannot create \
         resource \"pods/eviction\""
    );
    tokio::time::advance(Duration::from_secs(80)).await;
    let outcome = proven.evict(PERMIT, &pod(), None).await;
    assert!(matches!(outcome, Ok(Eviction::Denied(_))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn reads_outlast_the_restart_of_an_api_server() {
    let (server, kube) = Server::answering([
        node("1", false, None),
        status(503, "starting"),
        status(429, "busy"),
        status(500, "etcdserver: leader changed"),
        status(403, "nodes \"w1\" is forbidden"),
        node("2", false, None),
    ]);
    kube.node(&w1()).await.unwrap();
    assert_eq!(kube.node(&w1()).await.unwrap().name, w1());
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn reads_give_up_in_time() {
    let begun = Instant::now();
    let (_, kube) = Server::answering([node("1", false, None), status(503, "down")]);
    kube.node(&w1()).await.unwrap();
    let failure = kube.node(&w1()).await.unwrap_err();
    assert!(matches!(failure, Failure::Refused(_)), "{failure:?}");
    let took = begun.elapsed().as_secs();
    assert!((60..=90).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn what_waiting_does_not_change_is_not_asked_again() {
    let (server, kube) = Server::answering([status(403, "no")]);
    assert!(matches!(kube.nodes().await, Err(Failure::Refused(_))));
    assert_eq!(server.asked().len(), 1);

    let (server, kube) = Server::answering([status(404, "no such node")]);
    assert!(matches!(kube.node(&w1()).await, Err(Failure::NotFound(_))));
    assert_eq!(server.asked().len(), 1);

    let (server, kube) = Server::answering([status(401, "Unauthorized")]);
    let failure = kube.nodes().await.unwrap_err().to_string();
    assert!(
        failure.contains("does not accept the credentials"),
        "{failure}"
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn lists_come_page_by_page() {
    let page = |names: &[&str], next: &str| {
        let items: Vec<_> = names
            .iter()
            .map(|name| json!({"metadata": {"name": name, "namespace": "web", "uid": name}}))
            .collect();
        let metadata = json!({"resourceVersion": "77", "continue": next});
        (
            200,
            json!({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items}),
        )
    };
    let (server, kube) = Server::answering([page(&["b", "c"], "token"), page(&["a"], "")]);
    let list = kube.pods_on(&w1()).await.unwrap();
    let names: Vec<_> = list.pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(list.resource_version, "77");
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    for request in &asked {
        assert!(request.uri.contains("limit=500"), "{}", request.uri);
        assert!(
            request.uri.contains("fieldSelector=spec.nodeName%3Dw1"),
            "{}",
            request.uri
        );
    }
    assert!(asked[1].uri.contains("continue=token"), "{}", asked[1].uri);
}

#[tokio::test(start_paused = true)]
async fn an_expired_page_starts_the_list_again() {
    let list = |next: &str| {
        let items = json!([{"metadata": {"name": "w1"}}]);
        (
            200,
            json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {"continue": next}, "items": items}),
        )
    };
    let (server, kube) = Server::answering([list("token"), status(410, "expired"), list("")]);
    assert_eq!(kube.nodes().await.unwrap().len(), 1);
    assert!(!server.asked()[2].uri.contains("continue"));
}

/// Claims and volumes are asked for only where pods have any.
#[tokio::test(start_paused = true)]
async fn pods_say_where_their_volumes_can_be_attached() {
    let list = |kind: &str, items: Value| {
        (
            200,
            json!({"kind": kind, "apiVersion": "v1", "metadata": {}, "items": items}),
        )
    };
    let pods = json!([{"metadata": {"namespace": "web", "name": "db-0"}, "spec": {
        "containers": [{"name": "db", "resources": {"requests": {"cpu": "250m"}}}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}]}}]);
    let claims = json!([{"metadata": {"namespace": "web", "name": "data-db-0"}, "spec": {"volumeName": "v1"}}]);
    let volumes = json!([{"metadata": {"name": "v1"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["w1"]}]}]}}}}]);
    let (server, kube) = Server::answering([
        list("PodList", pods),
        list("PersistentVolumeClaimList", claims),
        list("PersistentVolumeList", volumes),
    ]);
    let placement = kube.pods().await.unwrap()[0].placement.clone().unwrap();
    assert_eq!(placement.requests["cpu"], 250);
    assert_eq!(placement.volumes[0][0].labels[0].values, ["w1"]);
    let uris: Vec<String> = server.asked().into_iter().map(|asked| asked.uri).collect();
    assert!(
        uris[1].contains("/persistentvolumeclaims") && uris[2].contains("/persistentvolumes"),
        "{uris:?}"
    );

    let (server, kube) = Server::answering([list(
        "PodList",
        json!([{"metadata": {"name": "a"}, "spec": {"containers": []}}]),
    )]);
    assert!(kube.pods().await.unwrap()[0].placement.is_some());
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cordon_says_who_and_holds_only_for_the_node_as_it_was_read() {
    let (server, kube) = Server::answering([
        node("5", false, None),
        status(409, "the object has been modified"),
        node("6", false, None),
        node("7", true, Some("r1")),
    ]);
    kube.cordon(PERMIT, &w1(), "r1").await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!(asked[3].method, Method::PATCH);
    assert_eq!(asked[3].content_type, "application/merge-patch+json");
    let written = json!({
        "metadata": {"annotations": {"refit.dev/cordoned-by": "r1"}, "resourceVersion": "6"},
        "spec": {"unschedulable": true},
    });
    assert_eq!(asked[3].body, written);
}

#[tokio::test(start_paused = true)]
async fn what_someone_else_cordoned_stays_theirs() {
    let (server, kube) = Server::answering([node("5", true, None)]);
    assert!(matches!(
        kube.cordon(PERMIT, &w1(), "r1").await,
        Err(Failure::Refused(_))
    ));
    assert!(matches!(
        kube.uncordon(PERMIT, &w1()).await,
        Err(Failure::Refused(_))
    ));
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.method == Method::GET)
    );

    let (server, kube) = Server::answering([node("5", true, Some("r1"))]);
    kube.cordon(PERMIT, &w1(), "r1").await.unwrap();
    assert_eq!(server.asked().len(), 1, "already ours: nothing to write");
}

#[tokio::test(start_paused = true)]
async fn an_uncordon_takes_the_mark_off_in_the_same_change() {
    let (server, kube) = Server::answering([node("5", true, Some("r1")), node("6", false, None)]);
    kube.uncordon(PERMIT, &w1()).await.unwrap();
    let written = json!({
        "metadata": {"annotations": {"refit.dev/cordoned-by": null}, "resourceVersion": "5"},
        "spec": {"unschedulable": null},
    });
    assert_eq!(server.asked()[1].body, written);
}

#[tokio::test(start_paused = true)]
async fn our_taint_goes_on_and_off_among_those_of_others() {
    let foreign = json!({"key": "dedicated", "value": "db", "effect": "NoSchedule", "timeAdded": "2026-01-02T03:04:05Z"});
    let ours = json!({"key": "refit.dev/outdated", "effect": "PreferNoSchedule"});
    let tainted = |version: &str, taints: Value| {
        let (code, mut object) = node(version, false, None);
        object["spec"]["taints"] = taints;
        (code, object)
    };
    let (server, kube) = Server::answering([
        tainted("5", json!([foreign])),
        status(409, "the object has been modified"),
        tainted("6", json!([foreign])),
        tainted("7", json!([foreign, ours])),
        // there already: nothing is written
        tainted("7", json!([foreign, ours])),
        tainted("7", json!([foreign, ours])),
        tainted("8", json!([foreign])),
    ]);
    kube.taint_outdated(PERMIT, &w1(), true).await.unwrap();
    kube.taint_outdated(PERMIT, &w1(), true).await.unwrap();
    kube.taint_outdated(PERMIT, &w1(), false).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 7);
    let written = |version: &str, taints: Value| json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
    assert_eq!(asked[3].body, written("6", json!([foreign, ours])));
    assert_eq!(asked[6].body, written("7", json!([foreign])));
}

#[tokio::test(start_paused = true)]
async fn a_change_without_a_clear_answer_may_have_happened() {
    for (answer, maybe) in [(status(500, "oops"), true), (status(403, "no"), false)] {
        let (server, kube) = Server::answering([node("5", false, None), answer]);
        let failure = kube.cordon(PERMIT, &w1(), "r1").await.unwrap_err();
        assert_eq!(
            matches!(failure, Failure::MaybeDone(_)),
            maybe,
            "{failure:?}"
        );
        assert_eq!(matches!(failure, Failure::Refused(_)), !maybe);
        assert_eq!(server.asked().len(), 2, "a change is sent once");
    }
}

#[tokio::test]
async fn without_a_listener_nothing_was_sent() {
    let config = kubeconfig("https://127.0.0.1:1");
    let kube = Kube::open(config.path(), None).await.unwrap();
    let failure = kube.evict(PERMIT, &pod(), None).await.unwrap_err();
    assert!(matches!(failure, Failure::NotSent(_)), "{failure:?}");
    let text = failure.to_string();
    assert!(
        text.contains("API server 127.0.0.1:1 cannot be reached: connection refused"),
        "{text}"
    );
    // nothing of how the libraries say it
    assert!(
        !text.contains("os error") && !text.contains("://"),
        "{text}"
    );
    assert!(text.contains("context lab"), "{text}");
}

#[tokio::test]
async fn a_connection_cut_after_the_request_may_have_done_it() {
    use tokio::io::AsyncReadExt as _;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = kubeconfig(&format!("http://{}", listener.local_addr().unwrap()));
    let kube = Kube::open(config.path(), None).await.unwrap();
    let pod = pod();
    let server = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
    };
    let (failure, ()) = futures::join!(kube.evict(PERMIT, &pod, None), server);
    assert!(matches!(failure, Err(Failure::MaybeDone(_))), "{failure:?}");
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_used_is_told_apart() {
    let missing = Kube::open(std::path::Path::new("/nonexistent/kubeconfig"), None).await;
    let text = missing.err().unwrap().to_string();
    assert!(
        text.contains("cannot read kubeconfig /nonexistent"),
        "{text}"
    );
    let config = kubeconfig("https://127.0.0.1:1");
    let wrong = Kube::open(config.path(), Some("prod")).await;
    let text = wrong.err().unwrap().to_string();
    assert!(text.contains("no context `prod`; it has `lab`"), "{text}");
}

fn kubeconfig(server: &str) -> tempfile::NamedTempFile {
    use std::io::Write as _;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(
        file,
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         contexts: [{{name: lab, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
    )
    .unwrap();
    file
}

#[tokio::test(start_paused = true)]
async fn readiness_names_what_is_not_ready() {
    let text = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\nreadyz check failed";
    let (server, kube) = Server::saying([(500, text.to_owned())]);
    let failure = kube.ready().await.unwrap_err().to_string();
    assert!(failure.ends_with("is not ready: etcd"), "{failure}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_watch_wakes_on_the_first_event_and_does_not_spin_on_errors() {
    let list = PodList {
        pods: vec![],
        resource_version: "77".to_owned(),
    };
    let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a"}});
    let (server, kube) = Server::answering([(200, json!({"type": "DELETED", "object": pod}))]);
    let begun = Instant::now();
    kube.pods_changed(&w1(), &list, Duration::from_secs(5))
        .await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let uri = &server.asked()[0].uri;
    for part in [
        "watch=true",
        "resourceVersion=77",
        "fieldSelector=spec.nodeName%3Dw1",
    ] {
        assert!(uri.contains(part), "{uri}");
    }

    let (_, kube) = Server::answering([status(410, "too old")]);
    let begun = Instant::now();
    kube.pods_changed(&w1(), &list, Duration::from_secs(5))
        .await;
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_made_then_replaced_as_it_was_read_and_a_conflict_is_a_refusal() {
    let found = json!({
        "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"name": "refit", "namespace": "kube-system", "resourceVersion": "41"},
        "spec": {"holderIdentity": "r1/ops@desk/here", "leaseTransitions": 7, "leaseDurationSeconds": 120},
    });
    let (server, kube) = Server::answering([
        status(404, "leases.coordination.k8s.io \"refit\" not found"),
        (201, found.clone()),
        (200, found.clone()),
        (200, found),
        status(409, "the object has been modified"),
    ]);
    let lasts = Duration::from_secs(120);
    assert_eq!(kube.claim().await, Ok(None));
    let mut mine = Claim {
        holder: Some("r1/ops@desk/here".to_owned()),
        token: Token(7),
        version: None,
    };
    kube.put_claim(&mine, lasts).await.unwrap();
    mine.version = Some("41".to_owned());
    assert_eq!(kube.claim().await, Ok(Some(mine.clone())));
    mine.holder = None;
    kube.put_claim(&mine, lasts).await.unwrap();
    assert!(matches!(
        kube.put_claim(&mine, lasts).await,
        Err(Failure::Refused(_))
    ));
    let asked = server.asked();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    assert_eq!(
        (&asked[1].method, asked[1].uri.as_str()),
        (&Method::POST, format!("{leases}?").as_str())
    );
    assert_eq!(asked[1].body["spec"]["leaseTransitions"], 7);
    assert_eq!(asked[1].body["spec"]["leaseDurationSeconds"], 120);
    assert!(asked[1].body["metadata"].get("resourceVersion").is_none());
    assert_eq!(
        (&asked[3].method, asked[3].uri.as_str()),
        (&Method::PUT, format!("{leases}/refit?").as_str())
    );
    assert_eq!(asked[3].body["metadata"]["resourceVersion"], "41");
    assert!(asked[3].body["spec"].get("holderIdentity").is_none());
}

/// The lease may be another's by then.
#[tokio::test(start_paused = true)]
async fn a_change_is_given_up_when_its_leave_is_over() {
    let service = tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<Response<Body>, std::io::Error>>()
    });
    let kube = Kube::over(kube::Client::new(service, "default"));
    let began = Instant::now();
    let short = Permit {
        within: Duration::from_secs(7),
    };
    for outcome in [
        kube.evict(short, &pod(), None).await.map(drop),
        kube.cordon(short, &w1(), "r1").await,
        kube.uncordon(short, &w1()).await,
    ] {
        assert!(matches!(outcome, Err(Failure::MaybeDone(_))), "{outcome:?}");
    }
    assert_eq!(began.elapsed(), Duration::from_secs(21));
}
