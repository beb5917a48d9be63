//! Questions to a control plane: what its API server counted, and what kubeadm would write.

use refit::cluster::facts::{ExternalEtcd, Observed};
use refit::host::op::Query;
use refit::host::parse;

use super::*;

const KUBECTL: &str = r#"
note "$@"
case "$*" in
  *'get --raw /metrics') cat "$ROOT/metrics" && [ ! -e "$ROOT/cut" ] ;;
  *'configmap kubeadm-config'*) cat "$ROOT/cluster.yaml" ;;
esac
"#;

/// `kubeadm`, which writes what is beside it, and keeps the configuration that it was given.
const KUBEADM: &str = r#"
note "$@"
env > "$ROOT/environment.$3"
case "$*" in
  'init phase control-plane all --config '*' --dry-run') ;;
  'init phase etcd local --config '*' --dry-run') ;;
  *) echo 'it would change something' >&2; exit 1 ;;
esac
phase=$3
while [ "$1" != --config ]; do shift; done
cp "$2" "$ROOT/config.$phase.yaml"
case $phase in
  control-plane) cp "$ROOT"/generated/kube-* "$KUBEADM_INIT_DRYRUN_DIR" ;;
  etcd) cp "$ROOT/generated/etcd.yaml" "$KUBEADM_INIT_DRYRUN_DIR" ;;
esac
"#;

const CLUSTER: &str =
    "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.35.4\n";

fn pod(name: &str, flag: &str) -> String {
    format!(
        "metadata:\n  annotations:\n    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: \"[fd00::11]:6443\"\nspec:\n  containers:\n  - command:\n    - {name}\n    - {flag}\n    image: registry.k8s.io/{name}:v1.34.4\n    name: {name}\n"
    )
}

fn control_plane() -> Machine {
    let machine = Machine::new(&[("kubectl", KUBECTL), ("kubeadm", KUBEADM)]);
    for name in [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "etcd",
    ] {
        let (present, generated) = (
            pod(name, "--profiling=false"),
            pod(name, "--profiling=true"),
        );
        machine.write(&format!("/etc/kubernetes/manifests/{name}.yaml"), &present);
        machine.write(&format!("/generated/{name}.yaml"), &generated);
    }
    machine.write("/cluster.yaml", CLUSTER);
    machine
}

fn generated(patches: Option<&str>) -> Query {
    Query::Generated {
        node: "cp1".to_owned(),
        patches: patches.map(str::to_owned),
    }
}

#[test]
fn kubeadm_is_asked_what_it_would_write_for_the_release_that_is_there() {
    let machine = control_plane();
    let output = machine.run(&generated(Some("/etc/patches \"x\"")).command());
    let edits =
        parse::hand_edits(&output).unwrap_or_else(|error| unreachable!("{error}: {output:?}"));
    assert_eq!(edits.len(), 4);
    assert_eq!(
        edits["etcd.yaml"],
        ["- --profiling=false", "+ --profiling=true"]
    );
    let config = fs::read_to_string(machine.path("/config.control-plane.yaml")).unwrap();
    let of_etcd = fs::read_to_string(machine.path("/config.etcd.yaml")).unwrap();
    assert_eq!(config, of_etcd);
    for line in [
        "kubernetesVersion: v1.34.4",
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration",
        "localAPIEndpoint: {advertiseAddress: \"fd00::11\", bindPort: 6443}",
        "nodeRegistration: {name: \"cp1\", criSocket:",
        "patches: {directory: \"/etc/patches \\\"x\\\"\"}",
    ] {
        assert!(config.contains(line), "{line} in {config}");
    }
    assert!(!config.contains("1.35.4"), "{config}");
    // nothing of the session reaches kubeadm, which would copy a proxy into the manifests
    let environment = fs::read_to_string(machine.path("/environment.control-plane")).unwrap();
    assert!(!environment.contains("LC_ALL"), "{environment}");
    let left = fs::read_dir("/tmp")
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            environment.contains(name.to_str().unwrap_or("?"))
                && name.to_string_lossy().starts_with("refit-generated")
        })
        .count();
    assert_eq!(left, 0, "the temporary directory is removed");
}

#[test]
fn without_an_answer_there_is_no_finding() {
    let machine = control_plane();
    machine.write("/cluster.yaml", "something: else\n");
    assert!(parse::hand_edits(&machine.run(&generated(None).command())).is_err());
    machine.write("/cluster.yaml", CLUSTER);
    machine.tool("kubeadm", "echo 'unknown flag: --dry-run' >&2; exit 1");
    let error = parse::hand_edits(&machine.run(&generated(None).command())).unwrap_err();
    assert!(
        error.to_string().contains("unknown flag: --dry-run"),
        "{error}"
    );
    fs::remove_file(machine.path("/etc/kubernetes/manifests/kube-apiserver.yaml")).unwrap();
    assert!(parse::hand_edits(&machine.run(&generated(None).command())).is_err());
}

/// Neither of kubeadm's two answers waits for the other, and a failure of either is told once both are over.
#[test]
fn kubeadm_is_asked_for_etcd_and_the_rest_side_by_side() {
    let machine = control_plane();
    let met = r#"
touch "$ROOT/met.$3"
tries=0
while [ ! -e "$ROOT/met.etcd" ] || [ ! -e "$ROOT/met.control-plane" ]; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { echo 'alone' >&2; exit 1; }
  /bin/sleep 0.1
done
"#;
    machine.tool("kubeadm", &format!("{met}{KUBEADM}"));
    let edits = parse::hand_edits(&machine.run(&generated(None).command())).unwrap();
    assert_eq!(edits.len(), 4);

    for failing in ["control-plane", "etcd"] {
        let fails = format!("[ \"$3\" != {failing} ] || {{ echo 'it is broken' >&2; exit 1; }}\n");
        let late = format!("[ \"$3\" = {failing} ] || /bin/sleep 0.3\n");
        machine.tool(
            "kubeadm",
            &format!("{fails}{late}{KUBEADM}\ntouch \"$ROOT/over\"\n"),
        );
        let _ = fs::remove_file(machine.path("/over"));
        let error = parse::hand_edits(&machine.run(&generated(None).command())).unwrap_err();
        assert!(error.to_string().contains("it is broken"), "{error}");
        assert!(
            machine.path("/over").exists(),
            "the other one was left behind"
        );
    }
}

/// Four answers by way of the pod, in their order whichever is there first.
#[test]
fn etcd_is_asked_everything_side_by_side() {
    let machine = control_plane();
    machine.write(
        "/etc/kubernetes/manifests/etcd.yaml",
        "    - --name=cp1\n    - --data-dir=/var/lib/etcd\n    - --advertise-client-urls=https://10.77.0.11:2379\n    - --trusted-ca-file=/pki/ca.crt\n    - --cert-file=/pki/server.crt\n",
    );
    machine.tool(
        "kubectl",
        r#"
while [ "$1" != etcdctl ]; do shift; done
echo x >> "$ROOT/met"
tries=0
while [ "$(wc -l < "$ROOT/met")" -lt 4 ]; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || { echo 'alone' >&2; exit 1; }
  /bin/sleep 0.1
done
case "$*" in
  *'member list'*) /bin/sleep 0.5; echo '{"members":[{"ID":1,"name":"cp1","clientURLs":["https://10.77.0.11:2379"]}]}' ;;
  *'endpoint health'*) echo '[{"endpoint":"https://10.77.0.11:2379","health":true}]' ;;
  *'endpoint status'*) echo '[{"Status":{"header":{"member_id":1},"version":"3.6.0","dbSize":1}}]' ;;
  *'alarm list'*) echo '{}' ;;
esac
"#,
    );
    let output = machine.run(&Query::Etcd.command());
    let etcd = parse::etcd(&output).unwrap_or_else(|error| unreachable!("{error}: {output:?}"));
    assert_eq!(etcd.members[0].name, "cp1");
    let order: Vec<&str> = output
        .stdout
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert_eq!(order, ["members", "health", "status", "alarms"]);
    // one that fails is told as before
    machine.tool(
        "kubectl",
        "case \"$*\" in *'member list'*) echo 'it is broken' >&2; exit 1 ;; esac; echo '[]'",
    );
    let error = parse::etcd(&machine.run(&Query::Etcd.command())).unwrap_err();
    assert!(error.to_string().contains("it is broken"), "{error}");
}

#[test]
fn an_api_server_is_asked_for_its_own_count() {
    let machine = control_plane();
    machine.write(
        "/metrics",
        "# HELP x\napiserver_requested_deprecated_apis{group=\"g\",removed_release=\"1.36\",resource=\"r\",subresource=\"\",version=\"v1\"} 1\nother_metric 5\nprocess_start_time_seconds 1.7952e+09\n",
    );
    let seen = parse::api_use(&machine.run(&Query::ApiUse.command())).unwrap();
    assert_eq!(seen.requested.len(), 1);
    let asked = "kubectl --kubeconfig";
    let calls = machine.calls();
    assert!(
        calls[0].starts_with(asked) && calls[0].contains("--server https://[fd00::11]:6443"),
        "{calls:?}"
    );
    machine.write("/cut", "");
    assert!(parse::api_use(&machine.run(&Query::ApiUse.command())).is_err());
}

/// Each endpoint with what the control plane shows it; one that does not answer keeps no other from being told.
#[test]
fn external_etcd_is_asked_endpoint_by_endpoint() {
    let machine = control_plane();
    machine.tool(
        "curl",
        r#"
note "$@"
for last; do :; done
case "$last" in
  https://e1:2379/version) echo '{"etcdserver":"3.5.21","etcdcluster":"3.5.0"}' ;;
  *) echo 'refused' >&2; exit 7 ;;
esac
"#,
    );
    let at = ExternalEtcd {
        endpoints: vec!["https://e1:2379/".to_owned(), "https://e2:2379".to_owned()],
        ca_file: "/pki/ca.crt".to_owned(),
        cert_file: "/pki/client.crt".to_owned(),
        key_file: "/pki/client.key".to_owned(),
    };
    let output = machine.run(&Query::ExternalEtcd(at).command());
    let told = parse::external_etcd(&output).unwrap();
    assert_eq!(
        told["https://e1:2379/"],
        Observed::Known("3.5.21".to_owned())
    );
    assert!(
        matches!(&told["https://e2:2379"], Observed::Unknown(error) if error.contains("refused")),
        "{told:?}"
    );
    let calls = machine.calls();
    assert!(
        calls[0].contains("--cacert /pki/ca.crt --cert /pki/client.crt --key /pki/client.key"),
        "{calls:?}"
    );
}
