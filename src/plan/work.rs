//! What is left to do on each host, hop by hop, whatever has been done by hand or by an earlier run.

use super::path;
use super::preconditions;
use super::view::{HostView, View};
use crate::documents::settings::Upgrade;
use crate::rules::version::Version;

/// A hop of the plan: a release that all control planes come to, and with them whatever goes one minor at a time.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'h> {
    /// The release.
    pub release: &'h Version,
    /// It is the target: kubelets that skip minors move here.
    pub last: bool,
}

/// What is left to do on one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// kubeadm is not at the target.
    pub kubeadm: bool,
    /// A static pod is not at the target.
    pub instance: bool,
    /// The kubelet is not at the target, or the installed one is not the one that runs.
    pub kubelet: bool,
    /// kubeadm is to write the configuration for a kubelet that stays where it is, to skip this minor.
    pub configure: bool,
    /// kubectl is installed and not at the target.
    pub kubectl: bool,
    /// An earlier run of refit left it cordoned.
    pub uncordon: bool,
}

impl Work {
    /// Nothing is left.
    #[must_use]
    pub const fn is_none(self) -> bool {
        !(self.kubeadm
            || self.instance
            || self.kubelet
            || self.configure
            || self.kubectl
            || self.uncordon)
    }

    /// `kubeadm upgrade` is to run here: it upgrades the static pods, and after them it writes the configuration that the new
    /// kubelet needs (flags that an older kubeadm wrote may keep it from starting: kubernetes/kubernetes#133778). Where the
    /// static pods are at the target and the kubelet is not, it may have been killed in between, which nothing on the host
    /// tells; to run it again is safe.
    ///
    /// Source: kubernetes/kubernetes `cmd/kubeadm/app/cmd/upgrade/node.go`, order of phases.
    #[must_use]
    pub const fn through_kubeadm(self) -> bool {
        self.instance || self.kubelet || self.configure
    }

    /// Packages are installed.
    #[must_use]
    pub const fn packages(self) -> bool {
        self.kubeadm || self.kubelet || self.kubectl
    }
}

/// What is left to do on this host in a hop.
#[must_use]
pub fn on(host: &HostView<'_>, hop: Hop<'_>, upgrade: &Upgrade) -> Work {
    let target = hop.release;
    let installed = |package| host.installed.get(package);
    let kubelet = &host.kubelet != target || installed("kubelet") != Some(target);
    let stays = !hop.last && path::skips(host.host.role, upgrade);
    // The next minor's kubeadm is installed once this hop is over, so that it has been here.
    let passed = host.kubeadm.minor() > target.minor();
    let behind = |release: &Version| release < target || (hop.last && release != target);
    let instance = host.instance.as_ref().is_some_and(|instance| {
        [
            &instance.running,
            &instance.manifests.api_server,
            &instance.manifests.controller_manager,
            &instance.manifests.scheduler,
        ]
        .iter()
        .any(|release| *release != target)
    });
    Work {
        kubeadm: behind(&host.kubeadm) || installed("kubeadm").is_none_or(behind),
        instance,
        kubelet: kubelet && !stays,
        configure: kubelet && stays && !passed,
        kubectl: installed("kubectl").is_some_and(behind),
        uncordon: host.left_cordoned,
    }
}

/// Whether a control plane's static pods are at the hop's release.
fn instance_done(host: &HostView<'_>, hop: Hop<'_>, upgrade: &Upgrade) -> bool {
    !on(host, hop, upgrade).instance
}

/// The control plane that `kubeadm upgrade apply` runs on: the first by name whose static pods are at the release already,
/// else the first by name. Running it where it has run before is safe and completes what was interrupted.
#[must_use]
pub fn first_control_plane<'v, 'a>(
    view: &'v View<'a>,
    hop: Hop<'_>,
    upgrade: &Upgrade,
) -> Option<&'v HostView<'a>> {
    view.control_planes()
        .find(|(host, _)| instance_done(host, hop, upgrade))
        .or_else(|| view.control_planes().next())
        .map(|(host, _)| host)
}

/// Whether `kubeadm upgrade apply` is still to run. It writes the new release to kubeadm-config only after the first
/// control plane's static pods are upgraded, so both must be there; and when every control plane is at the release but
/// kube-proxy is not, an upgrade ended before its addons, and nothing but `apply` rolls them any more.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/cmd/upgrade/apply.go`, order of phases.
#[must_use]
pub fn apply_is_left(view: &View<'_>, hop: Hop<'_>, upgrade: &Upgrade) -> bool {
    let written = &view.config_release == hop.release;
    let first_done = first_control_plane(view, hop, upgrade)
        .is_some_and(|first| instance_done(first, hop, upgrade));
    let all_done = view
        .control_planes()
        .all(|(host, _)| instance_done(host, hop, upgrade));
    let kube_proxy_done = !preconditions::rolls_kube_proxy(upgrade)
        || view
            .kube_proxy_wanted
            .as_ref()
            .is_none_or(|release| release == hop.release);
    !written || !first_done || (all_done && !kube_proxy_done)
}
