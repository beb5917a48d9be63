//! The release that a text names: a package's revision, an image.

use crate::rules::version::Version;

/// The release in a package's revision: `1.35.4-1.1`, `0:1.35.4-150500.1.1`.
#[must_use]
pub fn release_of_revision(revision: &str) -> Option<Version> {
    let without_epoch = revision.split_once(':').map_or(revision, |(_, rest)| rest);
    let upstream = without_epoch
        .rsplit_once('-')
        .map_or(without_epoch, |(upstream, _)| upstream);
    // Debian writes a pre-release as `1.36.0~rc.1`, so that it sorts before the release.
    upstream.replace('~', "-").parse().ok()
}

/// The release in an image's tag: `registry.k8s.io/kube-proxy:v1.35.4@sha256:…`.
#[must_use]
pub fn release_of_image(image: &str) -> Option<Version> {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let (_, tag) = name.rsplit_once(':')?;
    tag.strip_prefix('v')?.parse().ok()
}

/// The release of a cloud controller manager, where it follows Kubernetes' own: upstream's and that of providers which do.
#[must_use]
pub fn release_of_cloud_controller(image: &str) -> Option<Version> {
    const FOLLOWING: [&str; 3] = [
        "cloud-controller-manager",
        "azure-cloud-controller-manager",
        "openstack-cloud-controller-manager",
    ];
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let path = name.rsplit_once(':').map_or(name, |(path, _)| path);
    let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
    release_of_image(image)
        .filter(|release| FOLLOWING.contains(&last) && release.minor().major == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_from_revisions_and_images() {
        let text = |version: Option<Version>| version.map(|version| version.to_string());
        for (revision, release) in [
            ("1.35.4-1.1", Some("1.35.4")),
            ("1.28.14-2.1", Some("1.28.14")),
            ("0:1.35.4-150500.1.1", Some("1.35.4")),
            ("1.36.0~rc.1-1.1", Some("1.36.0-rc.1")),
            ("now", None),
        ] {
            assert_eq!(
                text(release_of_revision(revision)).as_deref(),
                release,
                "{revision}"
            );
        }
        for (image, release) in [
            ("registry.k8s.io/kube-proxy:v1.35.4", Some("1.35.4")),
            (
                "localhost:5000/kube-proxy:v1.35.4@sha256:aa",
                Some("1.35.4"),
            ),
            ("localhost:5000/kube-proxy", None),
            ("kube-proxy:latest", None),
        ] {
            assert_eq!(text(release_of_image(image)).as_deref(), release, "{image}");
        }
        for (image, release) in [
            (
                "registry.k8s.io/provider-aws/cloud-controller-manager:v1.34.0",
                Some("1.34.0"),
            ),
            // Of a provider with releases of its own.
            ("hetznercloud/hcloud-cloud-controller-manager:v1.26.0", None),
            ("registry.k8s.io/cloud-controller-manager:v33.1.1", None),
        ] {
            assert_eq!(
                text(release_of_cloud_controller(image)).as_deref(),
                release,
                "{image}"
            );
        }
    }
}
