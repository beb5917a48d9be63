//! Failures that are known by name: what tools say of them, what that means, how things stand then, and what to do.
//!
//! apt, dpkg, kubeadm, containerd, the API's servers and ssh tell the same few troubles in many long ways, and the line that
//! matters is seldom the last one. Nothing is decided on these words: they only tell whoever reads an error what others found
//! out before. What is not known here is told as it was said.
//!
//! Sources of the words: apt-pkg `apt-pkg/deb/debsystem.cc`, dpkg `src/main`, kubernetes/kubernetes
//! `cmd/kubeadm/app/{preflight,phases/upgrade}`, kubernetes/kubeadm#2957 and #3282, kubernetes/release#3818,
//! golang/go `src/crypto/x509/verify.go`, openssh `mux.c`.

/// A failure that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What happened, as a sentence's beginning.
    pub cause: String,
    /// How things stand.
    pub state: &'static str,
    /// What to do before the run goes on.
    pub remedy: String,
}

impl std::fmt::Display for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}. {}. {}.", self.cause, self.state, self.remedy)
    }
}

fn known(cause: impl Into<String>, state: &'static str, remedy: impl Into<String>) -> Known {
    Known {
        cause: cause.into(),
        state,
        remedy: remedy.into(),
    }
}

/// What stands between two texts on one line.
fn between<'s>(said: &'s str, before: &str, after: &str) -> Option<&'s str> {
    let (_, rest) = said.split_once(before)?;
    let line = rest.lines().next()?;
    line.split_once(after).map(|(found, _)| found.trim())
}

const AS_THEY_WERE: &str = "The packages are as they were";

/// What an operation on a host failed of, from what it said there. What says more comes first: a full disk is told before dpkg's
/// failure that comes of it.
#[must_use]
pub fn of_operation(said: &str) -> Option<Known> {
    let has = |words: &str| said.contains(words);
    let lower = said.to_lowercase();
    if lower.contains("no space left on device") || lower.contains("enough free space in") {
        let half = has("dpkg") && !has("enough free space");
        let state = if half {
            "Packages may be half installed, and what runs goes on as it was; the next try ends what dpkg left"
        } else {
            "What it would have replaced is as it was"
        };
        return Some(known(
            "no disk space is left there",
            state,
            "Make room (`df -h`, `journalctl --vacuum-size=200M`, `crictl rmi --prune`; kubeadm's old copies in \
             /etc/kubernetes/tmp are never removed by it)",
        ));
    }
    packages(said).or_else(|| kubeadm(said)).or_else(|| {
        has("but does not stay up").then(|| {
            known(
                "the kubelet was replaced and does not stay up",
                "The new packages are installed, a node that was drained stays cordoned, and containers run on without a kubelet",
                "`journalctl -u kubelet -n 50` there tells why: most often a flag that this release has no more (see \
                 /var/lib/kubelet/kubeadm-flags.env and /etc/default/kubelet), swap, or the container runtime",
            )
        })
    })
}

fn packages(said: &str) -> Option<Known> {
    let has = |words: &str| said.contains(words);
    if has("Could not get lock")
        || has("is another process using it")
        || has("locked by another process")
    {
        let holder = between(said, "held by process ", "\n").or_else(|| {
            said.split_once("held by process ")
                .and_then(|(_, rest)| rest.lines().next())
        });
        let (by, unattended) = match holder {
            Some(holder) => (
                format!("process {holder}"),
                holder.contains("unattended-upgr"),
            ),
            None => ("someone else".to_owned(), false),
        };
        let remedy = if unattended {
            "Let it end, or stop it while the cluster is upgraded (`systemctl stop unattended-upgrades`)"
        } else {
            "Let it end (`fuser -v /var/lib/dpkg/lock-frontend` shows who it is), or end it"
        };
        return Some(known(
            format!("{by} has the package database and did not give it free in time"),
            AS_THEY_WERE,
            remedy,
        ));
    }
    if has("EXPKEYSIG") || has("KEYEXPIRED") {
        return Some(known(
            "the key that signs the repository has expired",
            "The repository's file and key are written, its lists are not fetched, and nothing is installed",
            "Where a newer key is published, `refit inspect` and `refit plan` make a plan with it; else ask whoever runs the \
             repository",
        ));
    }
    if has("NO_PUBKEY") || has("is not signed") {
        return Some(known(
            "the repository is not signed with the key that the plan names",
            "Nothing is installed from it",
            "Compare `packages.key` of the declaration with the repository's own key, and make a new plan",
        ));
    }
    if has("apt would also do this, which the plan does not say") {
        return Some(known(
            "the package manager would also change packages that the plan does not name: someone holds one that must change, or \
             the repository has changed since the plan was made",
            AS_THEY_WERE,
            "See `apt-mark showhold` there; where these packages may change, change them by hand, else make a new plan",
        ));
    }
    if has("Held packages were changed") || has("you have held broken packages") {
        return Some(known(
            "a package is held that would have to change",
            AS_THEY_WERE,
            "`apt-mark showhold` shows it; `apt-mark unhold NAME` where it may change",
        ));
    }
    if has("was not found\nrefit: apt cannot install this") {
        return Some(known(
            "the repository does not offer the revision that the plan names, or not any more",
            AS_THEY_WERE,
            "`apt-cache madison kubeadm` shows what it offers; `refit inspect` and `refit plan` make a plan with that",
        ));
    }
    if has("Sub-process /usr/bin/dpkg")
        || has("dpkg was interrupted")
        || has("cannot be ended: see dpkg --audit")
    {
        return Some(known(
            "dpkg was interrupted, or a package's own script failed",
            "Packages may be half installed (`dpkg --audit`), and what runs goes on as it was",
            "The next try ends what was left half done; where it fails again, `dpkg --configure -a` there shows why",
        ));
    }
    if has("cannot be fetched") || has("Failed to fetch") || has("Could not resolve") {
        return Some(known(
            "something cannot be fetched",
            "Nothing is installed",
            "See that the host reaches it (a proxy, DNS, its clock), and that its address in the declaration is right",
        ));
    }
    None
}

fn kubeadm(said: &str) -> Option<Known> {
    let has = |words: &str| said.contains(words);
    let image = between(said, "failed to pull image ", ": ");
    if let Some(image) = image {
        return Some(known(
            format!("image {image} cannot be pulled"),
            "Everything runs as it was",
            format!(
                "`crictl pull {image}` there shows why: the registry, a proxy, or a mirror that lacks it (`imageRepository` of \
                 kubeadm-config)"
            ),
        ));
    }
    if let Some(component) = between(said, "static Pod hash for component ", " on Node") {
        let state = if component == "etcd" {
            "kubeadm has put the old manifest of etcd back, and the old static pods run"
        } else {
            "kubeadm has put the old manifests back, and those static pods run again; etcd stays at its new release, which is \
             allowed"
        };
        return Some(known(
            format!("the kubelet did not restart {component} within kubeadm's 5 minutes"),
            state,
            "`journalctl -u kubelet` and `crictl ps -a` there tell why: an overloaded machine, an image that is missing, or a second \
             manifest of it (`ls -a /etc/kubernetes/manifests`; a `*.backup` counts as one)",
        ));
    }
    if has("[ERROR CreateJob]") {
        return Some(known(
            "kubeadm's Job that proves that pods start did not end in its time (15 s; 1 minute since 1.36)",
            "kubeadm has changed nothing yet",
            "`kubectl -n kube-system get jobs,pods` shows it: a node that is slow or lets no pod in, a webhook, an image of pause that \
             cannot be pulled. Where pods do start, only slowly, `kubeadm.ignorePreflightErrors: [CreateJob]` and a new plan",
        ));
    }
    if has("[ERROR ControlPlaneNodesReady]") {
        let nodes = between(said, "NotReady control-planes in the cluster: [", "]");
        return Some(known(
            format!(
                "control planes are not ready: {}",
                nodes.unwrap_or("see below")
            ),
            "kubeadm has changed nothing yet",
            "`kubectl describe node` tells why; mend them first",
        ));
    }
    if has("certificate has expired") {
        return Some(known(
            "certificates of this control plane have expired",
            "Nothing was changed, and its API server is trusted by nobody until they are renewed",
            "`kubeadm certs check-expiration` there shows them; `kubeadm certs renew all`, then restart its static pods by moving their \
             manifests away for 20 s",
        ));
    }
    if has("etcd cluster is not healthy") {
        let member = between(said, "dial endpoint https://", ":2379");
        let member = member.map_or_else(
            || "a member".to_owned(),
            |member| format!("member {member}"),
        );
        return Some(known(
            format!("etcd is not healthy as a whole: {member} does not answer"),
            "kubeadm has changed no static pod",
            "`crictl logs` of etcd there tells why; kubeadm needs every member before it touches one",
        ));
    }
    if has("admission webhook") && has("denied") {
        return Some(known(
            "an admission webhook denied what kubeadm writes",
            "kubeadm stopped there; what it had done stays, and doing it again is safe",
            "Whoever runs the webhook must let kube-system pass",
        ));
    }
    if has("couldn't create a Kubernetes client") || has("was refused - did you specify") {
        return Some(known(
            "this control plane's own API server does not answer",
            "Nothing was changed",
            "`crictl ps -a` and `crictl logs` there tell why: its member of etcd most often, without which it does not run",
        ));
    }
    None
}

/// What to do about what an error says in one line: of the API's servers, nodes, and connections.
#[must_use]
pub fn advice(said: &str) -> Option<&'static str> {
    let lower = said.to_lowercase();
    let has = |words: &str| lower.contains(words);
    Some(if has("admission webhook") && has("denied") {
        "An admission webhook denies it, not the API server: whoever runs it must let refit's user pass, or suspend it (`kubectl get \
         validatingwebhookconfigurations`)"
    } else if has("certificate has expired") || has("certificate expired") {
        "`kubeadm certs check-expiration` on the control plane shows what has expired, `kubeadm certs renew all` renews it; static \
         pods take it after a restart"
    } else if has("cannot get resource")
        || has("cannot list resource")
        || has("cannot patch resource")
        || has("forbidden")
    {
        "The kubeconfig's user may not do this (403): right after an API server's start that passes, else `kubectl auth can-i --list` \
         shows what it may do"
    } else if has("too many requests") {
        "The API's servers ask for less (429): see what loads them (`kubectl get --raw /debug/api_priority_and_fairness/dump_priority_levels`)"
    } else if has("internal error") || has("request timed out") {
        "The API's servers answer with errors of their own (5xx): see their logs and the health of etcd"
    } else if has("network plugin") {
        "The node's network plugin does not run: see its pod there (`kubectl -A get pods -o wide --field-selector \
         spec.nodeName=NODE`) and /etc/cni/net.d"
    } else if has("kubelet stopped posting") {
        "The machine or its kubelet is down: `systemctl status kubelet` there, or its power"
    } else if has("opens no further session") {
        "sshd's `MaxSessions` there is below the 8 that refit uses at once, or others use up its sessions: raise it, and reload sshd"
    } else if has("over ssh: no route to host")
        || has("over ssh: no answer")
        || has("over ssh: connection refused")
    {
        "See that the host is up and that sshd answers; what was begun there goes on, and is found when the run does"
    } else if has("member") && has("not healthy")
        || lower.contains("etcd: ") && has("is not healthy")
    {
        "`crictl logs` of etcd on that control plane tells why"
    } else if has("connection refused") || has("no answer in time") {
        "See that the API's servers and the balancer in front of them run (`crictl ps -a` on the control planes)"
    } else {
        return None;
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_say_is_known_by_name() {
        for (said, cause) in [
            (
                "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 2117 (unattended-upgr)\nE: Unable",
                "process 2117 (unattended-upgr) has the package database",
            ),
            (
                "dpkg: error: dpkg frontend lock was locked by another process with pid 7",
                "someone else has the package database",
            ),
            (
                "dpkg: error processing archive x (--unpack):\n failed to write (No space left on device)\nE: Sub-process \
                 /usr/bin/dpkg returned an error code (1)",
                "no disk space is left there",
            ),
            (
                "E: Sub-process /usr/bin/dpkg exited unexpectedly",
                "dpkg was interrupted",
            ),
            (
                "W: GPG error: x EXPKEYSIG 234\nE: The repository 'x' is not signed.",
                "the key that signs",
            ),
            (
                "[ERROR ImagePull]: failed to pull image registry.k8s.io/pause:3.10: rpc error",
                "image registry.k8s.io/pause:3.10 cannot be pulled",
            ),
            (
                "static Pod hash for component kube-scheduler on Node cp2 did not change after 5m0s",
                "the kubelet did not restart kube-scheduler",
            ),
            (
                "[ERROR ControlPlaneNodesReady]: there are NotReady control-planes in the cluster: [cp1 cp2]",
                "control planes are not ready: cp1 cp2",
            ),
            (
                "Unable to connect to the server: x509: certificate has expired or is not yet valid",
                "certificates of this control plane have expired",
            ),
        ] {
            let known = of_operation(said).unwrap();
            assert!(known.cause.starts_with(cause), "{said}: {known}");
        }
        assert_eq!(of_operation("something else"), None);
        assert_eq!(advice("something else"), None);
    }
}
