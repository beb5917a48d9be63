//! Kubernetes versions: a release (`1.35.4`) and a minor (`1.35`).
//!
//! Owns parsing and printing of both. Skew rules compare minors; packages and images need the whole release.
//! Source: <https://kubernetes.io/releases/version-skew-policy/#supported-versions>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A Kubernetes release, printed without the leading `v`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

/// A Kubernetes minor, such as `1.35`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor {
    /// The part before the dot; 1 for every release so far.
    pub major: u64,
    /// The part after the dot.
    pub minor: u64,
}

/// A text that is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not `X.Y.Z`.
    #[error("`{0}` is not a release such as 1.35.4")]
    Release(String),
    /// Not `X.Y`.
    #[error("`{0}` is not a minor such as 1.35")]
    Minor(String),
}

impl Version {
    /// A release from its three numbers.
    #[must_use]
    pub const fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// The minor that the release belongs to.
    #[must_use]
    pub const fn minor(&self) -> Minor {
        Minor {
            major: self.0.major,
            minor: self.0.minor,
        }
    }

    /// The third number.
    #[must_use]
    pub const fn patch(&self) -> u64 {
        self.0.patch
    }

    /// The pre-release identifier (`rc.1`), empty for a release.
    #[must_use]
    pub fn prerelease(&self) -> &str {
        self.0.pre.as_str()
    }

    /// With the leading `v` that kubeadm and image tags use.
    #[must_use]
    pub fn tag(&self) -> String {
        format!("v{}", self.0)
    }
}

impl Minor {
    /// The minor after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            major: self.major,
            minor: self.minor + 1,
        }
    }

    /// The minor before this one.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self {
            major: self.major,
            minor: self.minor.saturating_sub(1),
        }
    }

    /// How many minors `self` is ahead of `other`; negative when it is behind.
    #[must_use]
    pub const fn ahead_of(self, other: Self) -> i64 {
        (self.minor as i64) - (other.minor as i64) + 1000 * (self.major as i64 - other.major as i64)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        semver::Version::parse(bare)
            .map(Self)
            .map_err(|_| VersionError::Release(text.to_owned()))
    }
}

impl FromStr for Minor {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let wrong = || VersionError::Minor(text.to_owned());
        let number = |part: &str| match part {
            "" => None,
            _ if !part.bytes().all(|b| b.is_ascii_digit())
                || (part.len() > 1 && part.starts_with('0')) =>
            {
                None
            }
            _ => part.parse::<u32>().ok().map(u64::from),
        };
        let (major, minor) = text
            .strip_prefix('v')
            .unwrap_or(text)
            .split_once('.')
            .ok_or_else(wrong)?;
        match (number(major), number(minor)) {
            (Some(major), Some(minor)) => Ok(Self { major, minor }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(Version);
as_text!(Minor);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_release_reads_with_and_without_v_and_prints_without() {
        assert_eq!("v1.35.4".parse::<Version>().unwrap().to_string(), "1.35.4");
        assert_eq!("1.35.4".parse::<Version>().unwrap().tag(), "v1.35.4");
        for wrong in ["1.35", "1.35.x", "", "1.035.4", " 1.35.4", "1.35.4 "] {
            assert!(wrong.parse::<Version>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn minors_count_across_the_dot() {
        let minor = |text: &str| text.parse::<Minor>().unwrap();
        assert_eq!(minor("1.36").ahead_of(minor("1.34")), 2);
        assert_eq!(minor("1.9").ahead_of(minor("1.10")), -1);
        assert_eq!(minor("1.35").next().to_string(), "1.36");
        for wrong in ["1", "1.", ".1", "1.2.3", "1.x", "1.+2", "1.02"] {
            assert!(wrong.parse::<Minor>().is_err(), "{wrong:?}");
        }
    }
}
