//! What this refit was built for: minors and operating systems. Everything else blocks, for nobody has looked at it.
//!
//! The one place where both are listed.

use crate::rules::version::Minor;

/// The oldest minor that is a target: from 1.29 on kubeadm lets kubelets be three minors behind
/// (kubernetes/kubernetes#120825).
pub const OLDEST: Minor = Minor {
    major: 1,
    minor: 29,
};
/// The newest minor whose changes were read: kubernetes/kubernetes `CHANGELOG/CHANGELOG-1.37.md`.
pub const NEWEST: Minor = Minor {
    major: 1,
    minor: 37,
};

/// How `PRETTY_NAME` of `/etc/os-release` begins on the systems whose package managers refit drives: apt, dnf and yum.
pub const SYSTEMS: [&str; 10] = [
    "AlmaLinux",
    "Amazon Linux",
    "CentOS",
    "Debian",
    "Fedora",
    "Linux Mint",
    "Oracle Linux",
    "Red Hat Enterprise Linux",
    "Rocky Linux",
    "Ubuntu",
];

/// Whether a minor can be the target.
#[must_use]
pub fn minor(minor: Minor) -> bool {
    (OLDEST..=NEWEST).contains(&minor)
}

/// Whether a system is known, by its `PRETTY_NAME`.
#[must_use]
pub fn system(pretty_name: &str) -> bool {
    SYSTEMS.iter().any(|system| pretty_name.starts_with(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_looked_at_is_not_supported() {
        for (number, supported) in [(28, false), (29, true), (37, true), (38, false)] {
            let asked = Minor {
                major: 1,
                minor: number,
            };
            assert_eq!(minor(asked), supported, "1.{number}");
        }
        for (name, supported) in [
            ("Debian GNU/Linux 12 (bookworm)", true),
            ("Ubuntu 24.04.3 LTS", true),
            ("Rocky Linux 9.6 (Blue Onyx)", true),
            ("openSUSE Leap 15.6", false),
            ("Flatcar Container Linux by Kinvolk", false),
            ("", false),
        ] {
            assert_eq!(system(name), supported, "{name}");
        }
    }
}
