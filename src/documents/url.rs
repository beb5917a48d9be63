//! URLs of repositories, keys and services.
//!
//! Repository URLs end up in package managers' files, where a space or a bracket would begin something else, and on
//! command lines; so the characters are few, and credentials have no place.

use std::net::Ipv6Addr;

use super::names;

/// The placeholders in URLs of packages.
pub(super) const PACKAGE: &[&str] = &["minor", "format"];

/// Whether a text means to be a URL rather than a path.
pub(super) fn is_url(text: &str) -> bool {
    text.contains("://")
}

/// Whether the text is a URL with no other placeholders than these; if not, why.
pub(super) fn check(text: &str, placeholders: &[&str]) -> Result<(), String> {
    let text = fill(text, placeholders)?;
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("it does not begin with http://, https:// or file://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    match scheme {
        "http" | "https" if authority.contains('@') => {
            Err("a user or a password has no place in this file")?
        }
        "http" | "https" if !is_authority(authority) => {
            Err("its host is neither an IP address nor a DNS name")?
        }
        "file" if !authority.is_empty() => {
            Err("a file URL has three slashes: file:///srv/packages")?
        }
        "http" | "https" | "file" => {}
        _ => Err("only http, https and file are known")?,
    }
    match path
        .chars()
        .find(|c| !c.is_ascii_alphanumeric() && !"-._~:/?!&*+,=%".contains(*c))
    {
        Some(c) => Err(format!(
            "the character {} has no place in it",
            super::error::quote(&c.to_string())
        )),
        None => Ok(()),
    }
}

/// Whether the text is the URL of a server to which a path can be added; if not, why.
pub(super) fn check_server(text: &str) -> Result<(), String> {
    check(text, &[])?;
    if text.starts_with("file:") {
        return Err("only http and https are known".to_owned());
    }
    match text.contains('?') {
        true => Err("a path is added to it, so it ends before any `?`".to_owned()),
        false => Ok(()),
    }
}

/// With each placeholder replaced by a letter.
fn fill(text: &str, placeholders: &[&str]) -> Result<String, String> {
    let mut pieces = text.split('{');
    let mut filled = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, after) = piece.split_once('}').ok_or("a `{` without its `}`")?;
        if !placeholders.contains(&name) {
            let known: Vec<String> = placeholders
                .iter()
                .map(|name| format!("{{{name}}}"))
                .collect();
            return Err(match known.is_empty() {
                true => "there are no placeholders here".to_owned(),
                false => format!("the placeholders here are {}", known.join(" and ")),
            });
        }
        filled.push('x');
        filled.push_str(after);
    }
    match filled.contains('}') {
        true => Err("a `}` without its `{`".to_owned()),
        false => Ok(filled),
    }
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (
            host.parse::<Ipv6Addr>().is_ok(),
            rest.strip_prefix(':').unwrap_or(rest),
        ),
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            (names::is_address(host), port)
        }
    };
    let right_port =
        port.parse::<u16>().is_ok_and(|port| port > 0) && port.bytes().all(|b| b.is_ascii_digit());
    host && (port.is_empty() || right_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_cannot_leave_their_place() {
        for right in [
            "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/",
            "http://10.77.0.1:8080/{format}",
            "http://[fd00::1]:8080/x",
            "https://{format}.example.org",
            "file:///srv/{minor}",
        ] {
            assert_eq!(check(right, PACKAGE), Ok(()), "{right}");
        }
        for wrong in [
            "",
            "pkgs.k8s.io",
            "https://",
            "ftp://x/",
            "https://u:p@x/",
            "https://x/ [trusted=yes]",
            "https://x/{minro}",
            "https://x/{minor",
            "https://x/minor}",
            "https://x/{{minor}}",
            "https://x/$(id)",
            "https://x/\n",
            "file://x",
            "https://-x/",
            "https://x:0/",
            "https://x:+1/",
            "https://x:99999/",
            "https://[::1/",
            "https://x y/",
            "https://x\"/",
            "://x",
        ] {
            assert!(check(wrong, PACKAGE).is_err(), "{wrong:?}");
        }
        assert!(check("http://x/{minor}", &[]).is_err());
    }

    #[test]
    fn servers_are_asked_over_http() {
        for right in ["http://x", "https://[::1]:9090/prometheus/"] {
            assert_eq!(check_server(right), Ok(()), "{right}");
        }
        for wrong in [
            "file:///srv",
            "ftp://x",
            "https://x/?a=b",
            "x",
            "https://u:p@x",
        ] {
            assert!(check_server(wrong).is_err(), "{wrong}");
        }
    }
}
