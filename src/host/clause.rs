//! What a tool or a library says about a failed connection, as one short clause.
//!
//! kubectl, etcdctl, TLS and HTTP libraries tell the same few things in many long ways: URLs, log lines in JSON, three
//! layers of wrapping. Whoever watches a run needs the cause and the place. What is not known here is kept, in one line,
//! without URLs and cut short; nothing is decided on these words.

/// The most characters of a text that is not known here.
const MOST: usize = 160;

/// What is said, in lower case, and what it means. The first that is found is the cause, so that a certificate is told
/// before the handshake that it broke.
const CAUSES: &[(&str, &str)] = &[
    (
        "certificate has expired",
        "its certificate has expired or is not valid yet",
    ),
    ("certificate expired", "its certificate has expired"),
    (
        "certificate signed by unknown authority",
        "its certificate is of an authority that is not trusted",
    ),
    (
        "unknownissuer",
        "its certificate is of an authority that is not trusted",
    ),
    (
        "certificate not valid for name",
        "its certificate is for other names",
    ),
    (
        "certificate is valid for",
        "its certificate is for other names",
    ),
    (
        "session open refused by peer",
        "sshd there opens no further session",
    ),
    ("connection refused", "connection refused"),
    ("was refused - did you specify", "connection refused"),
    ("no route to host", "no route to host"),
    ("network is unreachable", "network is unreachable"),
    ("failed to lookup address", "its name cannot be resolved"),
    ("name or service not known", "its name cannot be resolved"),
    ("no such host", "its name cannot be resolved"),
    ("could not resolve hostname", "its name cannot be resolved"),
    ("container not found", "its container is not running"),
    ("connection reset", "connection cut"),
    ("connection closed", "connection cut"),
    ("closed by remote host", "connection cut"),
    ("connection to the remote host was lost", "connection cut"),
    ("connection lost", "connection cut"),
    ("transport is closing", "connection cut"),
    ("broken pipe", "connection cut"),
    ("unexpected eof", "connection cut"),
    (": eof", "connection cut"),
    ("tls handshake timeout", "no answer in time"),
    ("timed out", "no answer in time"),
    ("i/o timeout", "no answer in time"),
    ("deadline exceeded", "no answer in time"),
    ("deadline has elapsed", "no answer in time"),
    ("timeout awaiting", "no answer in time"),
];

/// What comes before the address of whom the words are about.
const BEFORE_AN_ADDRESS: &[&str] = &["dial tcp ", "connection to the server "];

/// The cause of a failed connection, with the address where the words name it: `10.77.0.11:6443: connection refused`.
#[must_use]
pub fn clause(said: &str) -> String {
    match cause(said) {
        None => brief(said),
        Some(cause) => match address(said) {
            None => cause.to_owned(),
            Some(address) => format!("{address}: {cause}"),
        },
    }
}

/// The cause of a failed connection, if it is one of those known; for who knows the address already.
#[must_use]
pub fn cause(said: &str) -> Option<&'static str> {
    let lower = said.to_lowercase();
    CAUSES
        .iter()
        .find(|(needle, _)| lower.contains(needle))
        .map(|(_, means)| *means)
}

/// One line without URLs, cut where it gets long.
#[must_use]
pub fn brief(said: &str) -> String {
    let mut words: Vec<&str> = said.split_whitespace().collect();
    // `Post "https://..."` goes with its method
    while let Some(at) = words.iter().position(|word| word.contains("://")) {
        let method = at
            .checked_sub(1)
            .filter(|before| METHODS.contains(words.get(*before).unwrap_or(&"")));
        words.drain(method.unwrap_or(at)..=at);
    }
    let line = words.join(" ");
    match line.char_indices().nth(MOST) {
        None => line,
        Some((end, _)) => {
            let cut = line.get(..end).unwrap_or(&line);
            format!("{}…", cut.rsplit_once(' ').map_or(cut, |(whole, _)| whole))
        }
    }
}

/// As Go's HTTP client writes them before a URL.
const METHODS: &[&str] = &["Get", "Post", "Put", "Patch", "Delete"];

/// An address with its port where one is dialled; the words after it are not part of it.
fn address(said: &str) -> Option<&str> {
    BEFORE_AN_ADDRESS.iter().find_map(|before| {
        let (_, rest) = said.split_once(before)?;
        let word = rest.split_whitespace().next()?.trim_end_matches([':', ',']);
        let (host, port) = word.rsplit_once(':')?;
        let known =
            !host.is_empty() && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        known.then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_say_at_length_is_told_in_a_clause() {
        for (said, told) in [
            (
                "The connection to the server 10.77.0.11:6443 was refused - did you specify the right host or port?",
                "10.77.0.11:6443: connection refused",
            ),
            (
                "Get \"https://10.77.0.11:6443/readyz?verbose=\": dial tcp 10.77.0.11:6443: connect: connection refused - error \
                 from a previous attempt: read tcp 10.77.0.11:41190->10.77.0.11:6443: read: connection reset by peer",
                "10.77.0.11:6443: connection refused",
            ),
            (
                "Unable to connect to the server: net/http: TLS handshake timeout",
                "no answer in time",
            ),
            (
                "Unable to connect to the server: tls: failed to verify certificate: x509: certificate has expired or is not \
                 yet valid: current time 2026-11-21T17:00:00Z is after 2026-11-20T12:00:00Z",
                "its certificate has expired or is not valid yet",
            ),
            (
                "{\"level\":\"warn\",\"ts\":\"2026-11-21T17:00:00Z\",\"logger\":\"etcd-client\",\"caller\":\
                 \"v3@v3.6.4/retry_interceptor.go:65\",\"msg\":\"retrying of unary invoker failed\",\"target\":\
                 \"etcd-endpoints://0xc0001ac000/10.77.0.11:2379\",\"error\":\"rpc error: code = DeadlineExceeded desc = latest \
                 balancer error: connection error: desc = \\\"transport: Error while dialing: dial tcp 10.77.0.11:2379: \
                 connect: connection refused\\\"\"}",
                "10.77.0.11:2379: connection refused",
            ),
            (
                "error: unable to upgrade connection: container not found (\"etcd\")",
                "its container is not running",
            ),
            (
                "client error (Connect): invalid peer certificate: UnknownIssuer",
                "its certificate is of an authority that is not trusted",
            ),
            (
                "dial tcp: lookup api.example.org on 10.0.0.2:53: no such host",
                "its name cannot be resolved",
            ),
        ] {
            assert_eq!(clause(said), told, "{said}");
        }
    }

    #[test]
    fn what_is_not_known_is_kept_short_and_without_urls() {
        assert_eq!(
            clause(
                "failed calling webhook \"x.example.org\": Post \"https://x.svc:443/validate?timeout=10s\": no\nendpoints"
            ),
            "failed calling webhook \"x.example.org\": no endpoints"
        );
        assert_eq!(
            brief("see https://example.org/docs for more"),
            "see for more"
        );
        let long = brief(&"many words ".repeat(40));
        assert!(
            long.chars().count() <= MOST && long.ends_with('…'),
            "{long}"
        );
        assert_eq!(brief(" short \n enough "), "short enough");
        assert_eq!(brief(&"ä".repeat(400)).chars().count(), MOST + 1);
    }
}
