//! What went wrong with a call, told apart by what it says about the world: never left, may have arrived, was refused.

use std::cell::Cell;

use kube::core::Status;

use crate::host::clause::{brief, cause, clause};
use crate::ports::Failure;

/// A call that brought no answer of the wanted kind.
#[derive(Debug, Clone)]
pub enum CallError {
    /// The API server's own answer.
    Answered(Box<Status>),
    /// No connection: nothing was sent.
    Unreachable(String),
    /// Sent, or perhaps sent, and no answer came.
    Lost(String),
    /// It could not be sent for a reason that waiting does not change (credentials, certificates, the request itself).
    Unsendable(String),
    /// An answer came that makes no sense.
    Odd(String),
}

impl CallError {
    /// Whether asking again may bring an answer. `proven` says that these credentials were accepted before.
    ///
    /// For some seconds after its start an API server may answer 403 to what it allows otherwise, because its authorizer's
    /// caches are still empty (kubernetes/kubernetes `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`, `rbac/rbac.go`:
    /// role bindings come from informers).
    pub fn transient(&self, proven: bool) -> bool {
        match self {
            Self::Unreachable(_) | Self::Lost(_) => true,
            Self::Answered(status) => match status.code {
                403 => proven,
                // 410: a list's continue token has expired; it starts again from its first page
                408 | 410 | 429 => true,
                code => code >= 500,
            },
            Self::Unsendable(_) | Self::Odd(_) => false,
        }
    }

    /// The failure of a read.
    pub fn of_read(self, what: &str, at: &Endpoint) -> Failure {
        match self {
            Self::Answered(status) if status.code == 404 => {
                Failure::NotFound(format!("{what}: {}", words(&status)))
            }
            Self::Answered(status) => Failure::Refused(at.refusal(what, &status)),
            Self::Unreachable(why) => Failure::NotSent(at.unreachable(what, &why)),
            Self::Lost(why) => {
                Failure::NotSent(format!("{what}: API server {}: {why}", at.place()))
            }
            Self::Unsendable(why) => {
                Failure::NotSent(format!("{what}: {why} (kubeconfig {})", at.kubeconfig))
            }
            Self::Odd(why) => Failure::Refused(format!("{what}: unexpected answer: {why}")),
        }
    }

    /// The failure of a change.
    pub fn of_change(self, what: &str, at: &Endpoint) -> Failure {
        // A read has been asked again for long before it is told; a change is sent once.
        if let Self::Answered(status) = &self
            && status.code == 403
            && let Some(words) = at.warming_up(&status.message)
        {
            return Failure::Refused(format!("{what}: {words}"));
        }
        match self {
            Self::Answered(status) if status.code >= 500 => Failure::MaybeDone(format!(
                "{what}: {} ({})",
                brief(&words(&status)),
                status.code
            )),
            Self::Lost(why) => {
                Failure::MaybeDone(format!("{what}: API server {}: {why}", at.place()))
            }
            Self::Odd(why) => Failure::MaybeDone(format!("{what}: unexpected answer: {why}")),
            Self::Answered(_) | Self::Unreachable(_) | Self::Unsendable(_) => {
                self.of_read(what, at)
            }
        }
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Answered(status),
            kube::Error::Service(inner) => {
                let said = chain(inner.as_ref());
                // told at length only here
                tracing::debug!(said, "no answer");
                let why = cause(&said).map_or_else(|| brief(&said), str::to_owned);
                let unconnected = inner
                    .downcast_ref::<hyper_util::client::legacy::Error>()
                    .is_some_and(hyper_util::client::legacy::Error::is_connect);
                if !unconnected {
                    Self::Lost(why)
                } else if said.contains("invalid peer certificate") {
                    Self::Unsendable(format!(
                        "the API server is not trusted: {why}; check its address and `certificate-authority`"
                    ))
                } else {
                    Self::Unreachable(why)
                }
            }
            error @ (kube::Error::HyperError(_) | kube::Error::ReadEvents(_)) => {
                Self::Lost(clause(&chain(&error)))
            }
            error @ (kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)) => {
                Self::Odd(brief(&error.to_string()))
            }
            other => Self::Unsendable(brief(&chain(&other))),
        }
    }
}

/// An error and its causes in one line, each said once.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

/// A status's message and causes.
pub fn words(status: &Status) -> String {
    let mut words = if status.message.is_empty() {
        status.reason.clone()
    } else {
        status.message.trim().to_owned()
    };
    for cause in status.details.iter().flat_map(|details| &details.causes) {
        if !cause.message.is_empty() && !words.contains(&cause.message) {
            words.push(' ');
            words.push_str(&cause.message);
        }
    }
    words
}

/// Which API server is asked and with whose credentials, for error texts.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The kubeconfig's server.
    pub url: String,
    /// The kubeconfig's path.
    pub kubeconfig: String,
    /// The context in it.
    pub context: String,
    /// The credentials hold a client certificate.
    pub client_certificate: bool,
    /// An earlier call of this process was answered, so these credentials work.
    pub proven: Cell<bool>,
}

/// The URL without what every one of them has: `10.77.0.10:6443` of `https://10.77.0.10:6443/`.
fn place(url: &str) -> &str {
    url.split_once("://")
        .map_or(url, |(_, rest)| rest)
        .trim_end_matches('/')
}

impl Endpoint {
    fn unreachable(&self, what: &str, why: &str) -> String {
        format!(
            "{what}: API server {} cannot be reached: {why} (kubeconfig {}, context {})",
            self.place(),
            self.kubeconfig,
            self.context
        )
    }

    /// Host and port.
    pub fn place(&self) -> &str {
        place(&self.url)
    }

    /// What a lack of rights is called where the same credentials were accepted before: it is hardly theirs. None where it may
    /// well be.
    ///
    /// The authorizer's words: kubernetes/kubernetes
    /// `staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go`.
    pub fn warming_up(&self, message: &str) -> Option<String> {
        let (_, rest) = message.split_once("forbidden: ")?;
        let who = rest.split(" in API group").next()?;
        (self.proven.get() && who.contains(" cannot ")).then(|| {
            format!(
                "refused for now (403), as an API server may for some seconds after its start: {}",
                brief(who)
            )
        })
    }

    fn refusal(&self, what: &str, status: &Status) -> String {
        if status.code != 401 {
            return format!("{what}: {} ({})", brief(&words(status)), status.code);
        }
        let why = if self.client_certificate {
            "its client certificate may have expired (`kubeadm certs check-expiration` on a control plane tells)"
        } else {
            "its token may have expired"
        };
        format!(
            "{what}: API server {} does not accept the credentials of kubeconfig {}, context {} (401): {why}",
            self.place(),
            self.kubeconfig,
            self.context,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Endpoint {
        Endpoint {
            url: "https://10.77.0.10:6443/".to_owned(),
            kubeconfig: "/home/ops/.kube/config".to_owned(),
            context: "lab".to_owned(),
            client_certificate: true,
            proven: Cell::new(false),
        }
    }

    #[test]
    fn a_server_that_knows_its_rules_no_more_is_told_apart_from_missing_rights() {
        let message = "nodes \"w1\" is forbidden: User \"kubernetes-admin\" cannot patch resource \"nodes\" in API group \"\" at \
                       the cluster scope";
        let told = |at: &Endpoint| {
            answered(403, message)
                .of_change("cordoning node w1", at)
                .to_string()
        };
        let at = at();
        assert!(told(&at).ends_with("(403)"), "{}", told(&at));
        at.proven.set(true);
        assert_eq!(
            told(&at),
            "cordoning node w1: refused for now (403), as an API server may for some seconds after its start: User \
             \"kubernetes-admin\" cannot patch resource \"nodes\""
        );
        // A webhook's or a quota's word is another matter.
        let denied =
            answered(403, "admission webhook \"x\" denied the request").of_change("x", &at);
        assert!(denied.to_string().contains("denied the request (403)"));
    }

    fn answered(code: u16, message: &str) -> CallError {
        CallError::Answered(Box::new(Status {
            code,
            message: message.to_owned(),
            ..Status::default()
        }))
    }

    #[test]
    fn every_failure_is_one_short_clause_that_names_what_and_where() {
        let webhook = "Internal error occurred: failed calling webhook \"x.example.org\": failed to call webhook: Post \
                       \"https://x.ns.svc:443/validate?timeout=10s\": dial tcp 10.96.0.17:443: connect: connection refused";
        for (error, needles) in [
            (
                CallError::Unreachable("connection refused".to_owned()),
                &[
                    "10.77.0.10:6443 cannot be reached: connection refused",
                    "context lab",
                ][..],
            ),
            (
                CallError::Lost("no answer in time".to_owned()),
                &["API server 10.77.0.10:6443: no answer in time"],
            ),
            (
                answered(401, "Unauthorized"),
                &[
                    "does not accept the credentials",
                    "kubeadm certs check-expiration",
                ],
            ),
            (
                answered(500, webhook),
                &["failed calling webhook \"x.example.org\"", "(500)"],
            ),
            (
                answered(403, "nodes \"w1\" is forbidden"),
                &["nodes \"w1\" is forbidden (403)"],
            ),
        ] {
            for failure in [
                error.clone().of_read("reading node w1", &at()),
                error.of_change("reading node w1", &at()),
            ] {
                let text = failure.to_string();
                assert!(text.starts_with("reading node w1: "), "{text}");
                for needle in needles {
                    assert!(text.contains(needle), "{needle}: {text}");
                }
                assert!(!text.contains("://") && !text.contains('\n'), "{text}");
                assert!(text.chars().count() < 240, "{text}");
            }
        }
    }
}
