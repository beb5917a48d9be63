//! The images that a release of kubeadm pulls beside those that have its own release for a tag.
//!
//! Each minor is taken from one release of it, and patch releases change the tag of etcd now and then: of another release
//! than the one that was read, kubeadm itself knows (`kubeadm config images list`).
//! Source: kubernetes/kubernetes `cmd/kubeadm/app/constants/constants.go` (`DefaultEtcdVersion`, `CoreDNSVersion`,
//! `PauseVersion`) and `cmd/kubeadm/app/images/images.go` (`GetDNSImage`).

use super::version::{Minor, Version};

/// kubeadm's own repository of images: CoreDNS has a folder of its own there and nowhere else.
const DEFAULT_REPOSITORY: &str = "registry.k8s.io";

/// What runs with a release's own tag.
pub const COMPONENTS: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
];

/// Tags that a release of kubeadm has built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Companions {
    /// Where they were read.
    pub read_in: (u64, u64, u64),
    /// `DefaultEtcdVersion`.
    pub etcd: &'static str,
    /// `CoreDNSVersion`.
    pub coredns: &'static str,
    /// `PauseVersion`.
    pub pause: &'static str,
}

const KNOWN: [Companions; 3] = [
    Companions {
        read_in: (1, 34, 4),
        etcd: "3.6.5-0",
        coredns: "v1.12.1",
        pause: "3.10.1",
    },
    Companions {
        read_in: (1, 35, 4),
        etcd: "3.6.6-0",
        coredns: "v1.13.1",
        pause: "3.10.1",
    },
    Companions {
        read_in: (1, 36, 3),
        etcd: "3.6.8-0",
        coredns: "v1.14.2",
        pause: "3.10.2",
    },
];

impl Companions {
    /// Those of a minor, if they were read.
    #[must_use]
    pub fn of(minor: Minor) -> Option<Self> {
        KNOWN.into_iter().find(|known| {
            let (major, number, _) = known.read_in;
            (major, number) == (minor.major, minor.minor)
        })
    }

    /// The release they were read in.
    #[must_use]
    pub const fn release(&self) -> Version {
        let (major, minor, patch) = self.read_in;
        Version::new(major, minor, patch)
    }

    /// The images, from a repository of images.
    #[must_use]
    pub fn images(&self, repository: &str) -> [String; 3] {
        let dns = if repository == DEFAULT_REPOSITORY {
            "coredns/coredns"
        } else {
            "coredns"
        };
        [
            format!("{repository}/{dns}:{}", self.coredns),
            format!("{repository}/etcd:{}", self.etcd),
            format!("{repository}/pause:{}", self.pause),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coredns_has_a_folder_in_the_default_repository_only() {
        let of = |repository: &str| {
            Companions::of(Minor {
                major: 1,
                minor: 35,
            })
            .map(|known| known.images(repository))
        };
        assert_eq!(
            of("registry.k8s.io")
                .map(|images| images[0].clone())
                .as_deref(),
            Some("registry.k8s.io/coredns/coredns:v1.13.1")
        );
        assert_eq!(
            of("mirror.example.org/k8s")
                .map(|images| images.join(" "))
                .as_deref(),
            Some(
                "mirror.example.org/k8s/coredns:v1.13.1 mirror.example.org/k8s/etcd:3.6.6-0 mirror.example.org/k8s/pause:3.10.1"
            )
        );
        assert_eq!(
            Companions::of(Minor {
                major: 1,
                minor: 20
            }),
            None
        );
    }
}
