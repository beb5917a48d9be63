//! From a kubeconfig to a client.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::Kube;
use super::call::REQUEST_TIMEOUT;
use super::error::{Endpoint, chain};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be read.
    #[error("cannot read kubeconfig {path}: {why}")]
    Read {
        /// Its path.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// It does not have the context.
    #[error("kubeconfig {path} has no context `{context}`; it has {have}")]
    Context {
        /// Its path.
        path: String,
        /// The context asked for.
        context: String,
        /// Those it has.
        have: String,
    },
    /// It says something that cannot be used.
    #[error("kubeconfig {path} cannot be used: {why}")]
    Unusable {
        /// Its path.
        path: String,
        /// What is wrong.
        why: String,
    },
}

impl Kube {
    /// A client for a kubeconfig's context; its current one when none is given. Asks nothing yet.
    ///
    /// # Errors
    /// If the kubeconfig cannot be read or used.
    pub async fn open(kubeconfig: &Path, context: Option<&str>) -> Result<Self, ConnectError> {
        let path = kubeconfig.display().to_string();
        let unusable = |why: String| ConnectError::Unusable {
            path: path.clone(),
            why,
        };
        let document = Kubeconfig::read_from(kubeconfig).map_err(|error| ConnectError::Read {
            path: path.clone(),
            why: chain(&error),
        })?;
        let wanted = context
            .map(str::to_owned)
            .or_else(|| document.current_context.clone())
            .ok_or_else(|| {
                unusable("it has no current context; name one in the inventory".to_owned())
            })?;
        if !document.contexts.iter().any(|known| known.name == wanted) {
            let have: Vec<_> = document
                .contexts
                .iter()
                .map(|known| format!("`{}`", known.name))
                .collect();
            return Err(ConnectError::Context {
                path,
                context: wanted,
                have: if have.is_empty() {
                    "none".to_owned()
                } else {
                    have.join(", ")
                },
            });
        }
        let options = KubeConfigOptions {
            context: Some(wanted.clone()),
            ..KubeConfigOptions::default()
        };
        let mut config = Config::from_custom_kubeconfig(document, &options)
            .await
            .map_err(|error| unusable(chain(&error)))?;
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let mut watching = config.clone();
        watching.read_timeout = None;
        config.read_timeout = Some(REQUEST_TIMEOUT);
        config.reset_reader_on_write = true;
        let at = Endpoint {
            url: config.cluster_url.to_string(),
            kubeconfig: path.clone(),
            context: wanted,
            client_certificate: config.auth_info.client_certificate.is_some()
                || config.auth_info.client_certificate_data.is_some(),
            proven: Cell::new(false),
        };
        let build = |config: Config| {
            Client::try_from(config).map_err(|error| ConnectError::Unusable {
                path: path.clone(),
                why: chain(&error),
            })
        };
        Ok(Self::new(build(config)?, build(watching)?, at))
    }
}
