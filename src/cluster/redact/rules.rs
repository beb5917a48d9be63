//! What is kept of facts and what becomes of the rest, path by path.

/// What kubeadm sets up: its names are the same in every cluster.
pub(super) const COMMON: &[&str] = &[
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "default",
    "kube-proxy",
    "kube-dns",
    "coredns",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-vip",
    "haproxy",
    "keepalived",
];

/// Repositories of packages and images that are everybody's.
pub(super) const PUBLIC: &[&str] = &["pkgs.k8s.io", "registry.k8s.io"];

/// How a text is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Keep,
    Withhold,
    /// Host names and node names: they are often the same.
    Machine,
    /// An address with or without scheme and port.
    Address,
    Image,
    Flag,
    Taint,
    /// An API group, resource or version: kept where it is Kubernetes' own.
    Api,
    /// A pod's or a workload's name.
    Name,
    /// A label's key.
    LabelKey,
    /// Anything else of a kind.
    Other(&'static str),
}

/// By path: `*` is any key, `**` everything below, or above where it stands first. The first that fits counts.
pub(super) const RULES: &[(&str, Rule)] = &[
    ("format", Rule::Keep),
    ("observed_at", Rule::Keep),
    ("durations/newest", Rule::Keep),
    ("durations/origins/**", Rule::Keep),
    ("cluster/api_version", Rule::Keep),
    ("cluster/nodes/*/name", Rule::Machine),
    ("cluster/nodes/*/uid", Rule::Other("uid")),
    ("cluster/nodes/*/kubelet_version", Rule::Keep),
    ("cluster/nodes/*/container_runtime", Rule::Keep),
    ("cluster/nodes/*/machine_id", Rule::Other("machine")),
    ("cluster/nodes/*/internal_ips/*", Rule::Address),
    ("cluster/nodes/*/taints/*", Rule::Taint),
    ("cluster/pods/*/namespace", Rule::Other("namespace")),
    ("cluster/pods/*/name", Rule::Name),
    ("cluster/pods/*/node", Rule::Machine),
    ("cluster/pods/*/phase", Rule::Keep),
    ("cluster/pods/*/controller/api_version", Rule::Api),
    ("cluster/pods/*/controller/kind", Rule::Api),
    ("cluster/pods/*/controller/name", Rule::Name),
    ("cluster/pods/*/images/*", Rule::Image),
    ("cluster/budgets/*/namespace", Rule::Other("namespace")),
    ("cluster/budgets/*/min_available", Rule::Keep),
    ("cluster/budgets/*/max_unavailable", Rule::Keep),
    ("**/sync_failed", Rule::Withhold),
    ("**/operator", Rule::Keep),
    ("**/effect", Rule::Keep),
    ("**/matchExpressions/*/key", Rule::LabelKey),
    ("**/labels/*/key", Rule::LabelKey),
    ("**/tolerations/*/key", Rule::LabelKey),
    ("**/tolerations/*/value", Rule::Other("value")),
    ("**/topology_key", Rule::LabelKey),
    ("**/apart_from/*/namespaces/*", Rule::Other("namespace")),
    ("**/name/*/values/*", Rule::Machine),
    ("**/values/*", Rule::Other("value")),
    ("cluster/workloads/*/kind", Rule::Keep),
    ("cluster/workloads/*/namespace", Rule::Other("namespace")),
    ("cluster/workloads/*/name", Rule::Name),
    ("cluster/workloads/*/images/*", Rule::Image),
    ("cluster/kubeadm_config/api_version", Rule::Keep),
    ("cluster/kubeadm_config/kubernetes_version", Rule::Keep),
    ("cluster/kubeadm_config/image_repository", Rule::Address),
    (
        "cluster/kubeadm_config/control_plane_endpoint",
        Rule::Address,
    ),
    ("cluster/kubeadm_config/custom_etcd_image", Rule::Image),
    ("cluster/kubeadm_config/custom_dns_image", Rule::Image),
    ("cluster/kubeadm_config/extra_args/*/*", Rule::Flag),
    ("cluster/surroundings/corefile_plugins/*", Rule::Keep),
    ("cluster/surroundings/storage/csi_drivers/*", Rule::Keep),
    ("cluster/surroundings/webhooks/*/kind", Rule::Keep),
    ("cluster/surroundings/webhooks/*/backend", Rule::Keep),
    (
        "cluster/surroundings/webhooks/*/backend/service/namespace",
        Rule::Other("namespace"),
    ),
    (
        "cluster/surroundings/webhooks/*/backend/service/endpoints",
        Rule::Keep,
    ),
    (
        "cluster/surroundings/webhooks/*/rules/*/operations/*",
        Rule::Keep,
    ),
    (
        "cluster/surroundings/webhooks/*/rules/*/groups/*",
        Rule::Api,
    ),
    (
        "cluster/surroundings/webhooks/*/rules/*/resources/*",
        Rule::Api,
    ),
    ("cluster/kubeadm_config/external/endpoints/*", Rule::Address),
    ("external_etcd/*", Rule::Keep),
    ("etcd/members/*/name", Rule::Machine),
    ("etcd/members/*/version", Rule::Keep),
    ("etcd/alarms/*", Rule::Keep),
    ("hosts/*/identity/hostname", Rule::Machine),
    ("hosts/*/identity/machine_id", Rule::Other("machine")),
    ("hosts/*/identity/os", Rule::Keep),
    ("hosts/*/packages/manager", Rule::Keep),
    ("hosts/*/packages/installed/*", Rule::Keep),
    ("hosts/*/packages/held/*", Rule::Keep),
    ("hosts/*/packages/offered/*/*", Rule::Keep),
    ("hosts/*/packages/repositories/*/path", Rule::Keep),
    ("hosts/*/packages/repositories/*/url", Rule::Address),
    ("hosts/*/packages/trouble", Rule::Withhold),
    ("hosts/*/offers/*/url", Rule::Address),
    ("hosts/*/offers/*/key_url", Rule::Address),
    ("hosts/*/offers/*/key_sha256", Rule::Keep),
    ("hosts/*/offers/*/revisions/*/*", Rule::Keep),
    ("hosts/*/kubeadm", Rule::Keep),
    ("hosts/*/cgroup", Rule::Keep),
    ("hosts/*/kubelet_flags/*", Rule::Flag),
    ("hosts/*/kubelet_command/*", Rule::Flag),
    ("hosts/*/patches/directory", Rule::Keep),
    ("hosts/*/patches/files/*/target", Rule::Keep),
    ("hosts/*/patches/files/*/flags/*", Rule::Flag),
    ("hosts/*/operation", Rule::Withhold),
    ("hosts/*/control_plane/api_server", Rule::Keep),
    ("hosts/*/control_plane/endpoint", Rule::Address),
    ("hosts/*/control_plane/controller_servers/*", Rule::Address),
    ("hosts/*/control_plane/manifests/*/image", Rule::Image),
    ("hosts/*/control_plane/manifests/*/flags/*", Rule::Flag),
    ("hosts/*/control_plane/certificates/*", Rule::Keep),
    ("hosts/*/control_plane/api_use/since", Rule::Keep),
    ("hosts/*/control_plane/api_use/**", Rule::Api),
    ("hosts/*/control_plane/hand_edits/**", Rule::Withhold),
];

/// Where the keys of a map are names of the cluster, and of which kind.
pub(super) const KEYS: &[(&str, Rule)] = &[
    ("hosts", Rule::Machine),
    ("durations/drains", Rule::Machine),
    ("durations/hooks", Rule::Name),
    ("durations/origins/drains", Rule::Machine),
    ("durations/origins/hooks", Rule::Name),
    ("external_etcd", Rule::Address),
    ("cluster/pods/*/images", Rule::Name),
    ("cluster/workloads/*/images", Rule::Name),
    ("cluster/nodes/*/allocatable", Rule::Api),
    ("cluster/pods/*/placement/requests", Rule::Api),
];

/// Flags whose values say nothing about a cluster and something about an upgrade.
pub(super) const PLAIN_FLAGS: &[&str] = &[
    "--feature-gates",
    "--cloud-provider",
    "--authorization-mode",
    "--enable-admission-plugins",
    "--disable-admission-plugins",
    "--runtime-config",
    "--container-runtime-endpoint",
    "--cgroup-driver",
    "--tls-min-version",
];

/// Places of every host.
pub(super) const PLAIN_PATHS: &[&str] = &[
    "/etc/kubernetes/",
    "/var/lib/etcd",
    "/var/lib/kubelet/",
    "/usr/bin/",
    "unix:///run/containerd/",
];

/// Whether a path fits a pattern.
pub(super) fn fits(pattern: &str, path: &[String]) -> bool {
    if let Some(end) = pattern.strip_prefix("**/") {
        let from = path.len().checked_sub(end.split('/').count());
        return from.is_some_and(|from| fits(end, &path[from..]));
    }
    let mut keys = path.iter();
    for wanted in pattern.split('/') {
        if wanted == "**" {
            return true;
        }
        match keys.next() {
            Some(key) if wanted == "*" || wanted == key => {}
            Some(_) | None => return false,
        }
    }
    keys.next().is_none()
}
