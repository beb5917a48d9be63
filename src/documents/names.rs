//! What may be a name, an address or a login.
//!
//! These texts become arguments of ssh, kubectl and kubeadm; nothing that passes here can be an option or hold a space,
//! a quote or any other character with a meaning in a shell.

use std::net::IpAddr;

/// The longest DNS name.
const LONGEST_NAME: usize = 253;
/// The longest part of a DNS name, and the longest name or value of a label.
const LONGEST_PART: usize = 63;
/// The longest login, see useradd(8).
const LONGEST_LOGIN: usize = 32;

/// A lower-case DNS-1123 subdomain, as node names are.
///
/// Source: kubernetes/apimachinery `pkg/util/validation/validation.go`, `IsDNS1123Subdomain`; its parts are limited to 63
/// characters besides, as host names are.
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    is_dns_name(text) && !text.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_dns_name(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= LONGEST_PART
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= LONGEST_NAME && text.split('.').all(part)
}

/// An IPv4 or IPv6 address or a DNS name.
pub(super) fn is_address(text: &str) -> bool {
    // A name whose last part is a number would be read as an IPv4 address, or a mistyped one as a name.
    let ends_in_a_number = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    text.parse::<IpAddr>().is_ok() || (is_dns_name(text) && !ends_in_a_number)
}

/// A portable login name, see useradd(8).
pub(super) fn is_login(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= LONGEST_LOGIN
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// A label's key, with or without a prefix.
///
/// Source: kubernetes/apimachinery `pkg/util/validation/validation.go`, `IsQualifiedName`.
pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_label_name(name),
        None => is_label_name(text),
    }
}

/// A label's value; it may be empty.
///
/// Source: kubernetes/apimachinery `pkg/util/validation/validation.go`, `IsValidLabelValue`.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_name(text)
}

fn is_label_name(text: &str) -> bool {
    let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    text.len() <= LONGEST_PART
        && ends(text.bytes().next())
        && ends(text.bytes().last())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_shell_and_unicode_are_no_names() {
        let long = "a".repeat(64);
        for wrong in [
            "",
            "-oProxyCommand=x",
            "w1;rm",
            "$(x)",
            "w 1",
            "w1\n",
            "wé",
            "w1.",
            ".w1",
            "w..1",
            "w1-",
            "a_b",
            &long,
        ] {
            assert!(!is_dns_subdomain(wrong), "{wrong:?}");
            assert!(!is_address(wrong), "{wrong:?}");
        }
        assert!(
            is_dns_subdomain("w1")
                && is_dns_subdomain("w1.example.org")
                && is_dns_subdomain("1")
                && !is_dns_subdomain("W1")
        );
    }

    #[test]
    fn addresses_are_ip_or_dns() {
        for right in ["10.0.0.1", "fd00::1", "::1", "Host.example.org", "w1"] {
            assert!(is_address(right), "{right:?}");
        }
        for wrong in [
            "10.0.0.256",
            "10.0.0",
            "1",
            "fd00::1%eth0",
            "[::1]",
            "host:22",
            "user@host",
        ] {
            assert!(!is_address(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn logins_are_portable() {
        assert!(is_login("ops") && is_login("_x-1"));
        for wrong in ["", "-l", "Ops", "1x", "a b", "root;", "a$"] {
            assert!(!is_login(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn labels_follow_kubernetes() {
        assert!(
            is_label_key("pool")
                && is_label_key("topology.kubernetes.io/zone")
                && is_label_value("")
                && is_label_value("a.B_c")
        );
        assert!(
            !is_label_key("")
                && !is_label_key("/x")
                && !is_label_key("a/b/c")
                && !is_label_value("-a")
                && !is_label_value("a b")
        );
    }
}
