//! refit's own Lease, and changes that must end before it does.
#![allow(
    clippy::disallowed_methods,
    reason = "an adapter: the Lease tells people when it was renewed"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use tokio::time::timeout;

use super::Kube;
use super::error::CallError;
use crate::ports::{Claim, Failure, Permit, Token};

/// Where the Lease is.
const NAMESPACE: &str = "kube-system";
const NAME: &str = "refit";
/// What it says of itself to whoever finds it.
const ABOUT: &str = "refit.dev/about";
const ABOUT_TEXT: &str = "one refit at a time changes this cluster: who holds this; leaseTransitions is its token, and never goes back";

impl Kube {
    fn leases(&self) -> Api<coordination::Lease> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(super) async fn read_claim(&self) -> Result<Option<Claim>, Failure> {
        let what = format!("reading Lease {NAMESPACE}/{NAME}");
        let leases = self.leases();
        match self.read(&what, || leases.get(NAME)).await {
            Ok(lease) => claim(lease).map(Some),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn write_claim(&self, claim: &Claim, lasts: Duration) -> Result<(), Failure> {
        let lease = lease(claim, lasts)?;
        let leases = self.leases();
        let parameters = PostParams::default();
        let sent = match &claim.version {
            None => self.once(leases.create(&parameters, &lease)).await,
            Some(_) => self.once(leases.replace(NAME, &parameters, &lease)).await,
        };
        match sent {
            Ok(_) => Ok(()),
            Err(CallError::Answered(status)) if status.code == 409 => Err(Failure::Refused(
                format!("writing Lease {NAMESPACE}/{NAME}: somebody else wrote it meanwhile"),
            )),
            Err(error) => {
                Err(error.of_change(&format!("writing Lease {NAMESPACE}/{NAME}"), &self.at))
            }
        }
    }

    /// The change, given up when the permit's time is over: then it may have been made.
    pub(super) async fn within<T>(
        &self,
        permit: Permit,
        change: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        timeout(permit.within, change).await.unwrap_or_else(|_| {
            Err(Failure::MaybeDone(format!(
                "no answer within {} s, and the lease on the cluster may not last longer",
                permit.within.as_secs()
            )))
        })
    }
}

fn claim(lease: coordination::Lease) -> Result<Claim, Failure> {
    let odd = |what: &str| {
        Failure::Refused(format!(
            "Lease {NAMESPACE}/{NAME} {what}: it is not as refit writes it; who wrote it? Where no refit is at work, remove it"
        ))
    };
    let spec = lease.spec.ok_or_else(|| odd("says nothing"))?;
    let token = spec
        .lease_transitions
        .and_then(|transitions| u64::try_from(transitions).ok())
        .ok_or_else(|| odd("has no leaseTransitions"))?;
    Ok(Claim {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        token: Token(token),
        version: lease.metadata.resource_version,
    })
}

fn lease(claim: &Claim, lasts: Duration) -> Result<coordination::Lease, Failure> {
    let transitions = i32::try_from(claim.token.0).map_err(|_| {
        Failure::Refused(format!(
            "token {} does not fit into Lease {NAMESPACE}/{NAME}",
            claim.token.0
        ))
    })?;
    Ok(coordination::Lease {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            resource_version: claim.version.clone(),
            annotations: Some(BTreeMap::from([(ABOUT.to_owned(), ABOUT_TEXT.to_owned())])),
            ..ObjectMeta::default()
        },
        spec: Some(coordination::LeaseSpec {
            holder_identity: claim.holder.clone(),
            lease_duration_seconds: i32::try_from(lasts.as_secs()).ok(),
            lease_transitions: Some(transitions),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..coordination::LeaseSpec::default()
        }),
    })
}
