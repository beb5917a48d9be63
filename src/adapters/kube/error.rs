//! What went wrong with a call, told apart by what it says about the world: never left, may have arrived, was refused.

use kube::core::Status;

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
            Self::Lost(why) => Failure::NotSent(format!(
                "{what}: the API server at {} did not answer: {why}",
                at.url
            )),
            Self::Unsendable(why) => {
                Failure::NotSent(format!("{what}: {why} (kubeconfig {})", at.kubeconfig))
            }
            Self::Odd(why) => Failure::Refused(format!("{what}: unexpected answer: {why}")),
        }
    }

    /// The failure of a change.
    pub fn of_change(self, what: &str, at: &Endpoint) -> Failure {
        match self {
            Self::Answered(status) if status.code >= 500 => {
                Failure::MaybeDone(format!("{what}: {} ({})", words(&status), status.code))
            }
            Self::Lost(why) => Failure::MaybeDone(format!("{what}: no answer: {why}")),
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
                let why = chain(inner.as_ref());
                let unconnected = inner
                    .downcast_ref::<hyper_util::client::legacy::Error>()
                    .is_some_and(hyper_util::client::legacy::Error::is_connect);
                if !unconnected {
                    Self::Lost(why)
                } else if why.contains("invalid peer certificate") {
                    Self::Unsendable(format!(
                        "the API server's certificate is not trusted: {why}"
                    ))
                } else {
                    Self::Unreachable(why)
                }
            }
            error @ (kube::Error::HyperError(_) | kube::Error::ReadEvents(_)) => {
                Self::Lost(chain(&error))
            }
            error @ (kube::Error::SerdeError(_) | kube::Error::FromUtf8(_)) => {
                Self::Odd(error.to_string())
            }
            other => Self::Unsendable(chain(&other)),
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
}

impl Endpoint {
    fn unreachable(&self, what: &str, why: &str) -> String {
        format!(
            "{what}: the API server at {} cannot be reached: {why} (kubeconfig {}, context {})",
            self.url, self.kubeconfig, self.context
        )
    }

    fn refusal(&self, what: &str, status: &Status) -> String {
        if status.code != 401 {
            return format!("{what}: {} ({})", words(status), status.code);
        }
        let why = if self.client_certificate {
            "; its client certificate may have expired or belong to another cluster (`kubeadm certs check-expiration` on a \
             control plane tells for admin.conf)"
        } else {
            "; its token may have expired"
        };
        format!(
            "{what}: the API server at {} does not accept the credentials of kubeconfig {}, context {}: {} (401){why}",
            self.url,
            self.kubeconfig,
            self.context,
            words(status),
        )
    }
}
