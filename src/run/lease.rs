//! The lease: one run at a time changes a cluster, whichever machine and state directory it is carried out from.
//!
//! The API has one Lease for all refits, and in it a token that grows whenever a process takes it. Its holder renews it; who
//! finds somebody else's waits until it was not renewed for as long as it lasts, by the own clock. Hosts are told the token and
//! begin nothing for a lower one. So a process that slept while another took over is stopped twice: it gives itself no
//! [`Permit`] without having renewed the lease, and hosts refuse it.
//!
//! An API that does not answer is no lost lease: nobody can have taken it there meanwhile, and it is renewed afterwards. Lost it is
//! when the API has a higher token. A lower one than ours is an older record, as a restored etcd has it: it is written anew,
//! and one that hosts know to be too low is raised when it is taken.
//!
//! The lock of a state directory (`adapters::disk`) keeps two processes apart that use the same one; therefore a lease of one's own
//! place is taken at once: its process is gone.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use futures::lock::Mutex;
use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;

use crate::cluster::model::HostName;
use crate::ports::{Claim, Failure, Permit, Token, World};

/// How long it lasts without being renewed: a change of the API may take half of that.
const LASTS: Duration = Duration::from_secs(120);

/// How long one change of the API may take; the API server gives up after as long (`--request-timeout`).
const CHANGE: Duration = Duration::from_secs(60);

/// Clocks of two machines differ in speed by less than that within [`LASTS`].
const MARGIN: Duration = Duration::from_secs(5);

/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(20);

/// How soon it is tried again where the API did not take it, and how often somebody else's is looked at.
const AGAIN: Duration = Duration::from_secs(2);

/// How long refusals and broken connections are taken for an API server's restart.
const RESTARTING: Duration = Duration::from_secs(60);

/// How long the end of a run may take to give it back.
const GIVE_BACK: Duration = Duration::from_secs(10);

/// Hosts that are told the token at once.
const HOSTS_AT_ONCE: usize = 64;

/// Who holds the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The run.
    pub run: String,
    /// User, machine and process, for people.
    pub who: String,
    /// The state directory that the run is kept in, by a name of its own.
    pub place: String,
}

impl Claimant {
    fn read(holder: &str) -> Option<Self> {
        let (rest, place) = holder.rsplit_once('/')?;
        let (run, who) = rest.split_once('/')?;
        Some(Self {
            run: run.to_owned(),
            who: who.to_owned(),
            place: place.to_owned(),
        })
    }

    /// As the Lease has it.
    fn identity(&self) -> String {
        format!("{}/{}/{}", self.run, self.who, self.place)
    }
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} of {}", self.run, self.who)
    }
}

/// A Lease's holder in words.
fn told(holder: Option<&str>) -> String {
    match holder {
        None => "a run that has ended since".to_owned(),
        Some(holder) => {
            Claimant::read(holder).map_or_else(|| holder.to_owned(), |known| known.to_string())
        }
    }
}

/// Why the lease is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else renews it.
    #[error("another refit is changing this cluster: {by}")]
    Held {
        /// Who.
        by: String,
    },
    /// Somebody else took it after the cluster was looked at.
    #[error("another refit has taken the cluster since it was looked at: {by}")]
    Changed {
        /// Who.
        by: String,
    },
    /// It cannot be asked or written.
    #[error("the lease by which one refit at a time changes the cluster cannot be taken: {0}")]
    Unknown(Failure),
}

impl Refusal {
    fn changed(now: Option<Claim>) -> Self {
        Self::Changed {
            by: told(now.and_then(|claim| claim.holder).as_deref()),
        }
    }
}

/// The lease as it was before the cluster was looked at: nobody may have taken it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen(Option<Claim>);

/// Looks whether the lease is free, and waits until that is known: a process that was killed on another machine, or in another
/// state directory, leaves a lease that runs out. Says in words what it waits for.
///
/// # Errors
/// If somebody else renews it, or the API cannot be asked.
pub async fn look(
    world: World<'_>,
    place: &str,
    tell: &mut dyn FnMut(&str),
) -> Result<Seen, Refusal> {
    let first = world.api.claim().await.map_err(Refusal::Unknown)?;
    let Some(holder) = first.as_ref().and_then(|claim| claim.holder.as_deref()) else {
        return Ok(Seen(first));
    };
    if Claimant::read(holder).is_some_and(|held| held.place == place) {
        return Ok(Seen(first));
    }
    let by = told(Some(holder));
    tell(&format!(
        "{by} held this cluster last: waiting for at most {} s to see whether it is still there",
        LASTS.as_secs()
    ));
    let since = world.clock.monotonic();
    loop {
        world.clock.sleep(AGAIN).await;
        let now = world.api.claim().await.map_err(Refusal::Unknown)?;
        if now.as_ref().is_none_or(|claim| claim.holder.is_none()) {
            return Ok(Seen(now));
        }
        if now != first {
            let holder = now.and_then(|claim| claim.holder);
            return Err(Refusal::Held {
                by: told(holder.as_deref()),
            });
        }
        if world.clock.monotonic().saturating_sub(since) >= LASTS {
            return Ok(Seen(now));
        }
    }
}

/// The lease, held by this process.
pub struct Lease<'a> {
    world: World<'a>,
    me: String,
    token: Token,
    /// None where no API has taken it yet.
    renewed: Cell<Option<At>>,
    /// Who has it now, when it is lost.
    lost_to: RefCell<Option<String>>,
    /// One renewal at a time.
    turn: Mutex<()>,
}

/// An instant by both clocks: one stands still while the machine sleeps, the other may jump.
#[derive(Clone, Copy)]
struct At {
    monotonic: Duration,
    wall: Timestamp,
}

impl At {
    fn now(world: World<'_>) -> Self {
        Self {
            monotonic: world.clock.monotonic(),
            wall: world.clock.now(),
        }
    }

    /// Time since then, by whichever clock says more.
    fn elapsed(self, world: World<'_>) -> Duration {
        let steady = world.clock.monotonic().saturating_sub(self.monotonic);
        let wall = Duration::try_from(world.clock.now().duration_since(self.wall));
        steady.max(wall.unwrap_or_default())
    }
}

/// Why there is no permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Another refit has the cluster.
    Lost,
    /// The lease is to be renewed first, and the API does not take it now.
    NotNow(Failure),
}

impl<'a> Lease<'a> {
    /// Takes the lease, which must be as it was `seen`, and tells the hosts its token. A host that cannot be told now is told with
    /// its first operation; it is named to `tell`.
    ///
    /// # Errors
    /// If it is not ours then; nothing was changed but the lease itself.
    pub async fn take(
        world: World<'a>,
        me: &Claimant,
        seen: Seen,
        hosts: &BTreeSet<&HostName>,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Self, Refusal> {
        let now = world.api.claim().await.map_err(Refusal::Unknown)?;
        if now != seen.0 {
            return Err(Refusal::changed(now));
        }
        let mut claim = Claim {
            holder: Some(me.identity()),
            token: Token(now.as_ref().map_or(0, |claim| claim.token.0) + 1),
            version: now.and_then(|claim| claim.version),
        };
        loop {
            let at = At::now(world);
            write(world, &claim, tell).await?;
            let known = fence(world, hosts, claim.token, tell).await;
            if known <= claim.token {
                return Ok(Self {
                    world,
                    me: me.identity(),
                    token: claim.token,
                    renewed: Cell::new(Some(at)),
                    lost_to: RefCell::new(None),
                    turn: Mutex::new(()),
                });
            }
            tell(&format!(
                "hosts know of token {}, and the cluster's lease had {}, as after etcd was restored: it is raised",
                known.0, claim.token.0
            ));
            claim.version = ours(world, &claim).await?.version;
            claim.token = Token(known.0 + 1);
        }
    }

    /// Takes the cluster over by its hosts alone, while no API answers, as between the stop and the start of all control planes when
    /// a snapshot is restored: whoever shows them a lower token can do nothing there. All of these hosts must answer. The lease
    /// itself is written with this token once an API answers; what a restored etcd has of it is older, and so lower.
    ///
    /// # Errors
    /// If a host does not answer, or another refit takes the cluster over at the same time.
    pub async fn take_by_hosts(
        world: World<'a>,
        me: &Claimant,
        hosts: &BTreeSet<&HostName>,
    ) -> Result<Self, Refusal> {
        let mut known = Token(0);
        for host in hosts {
            let told = world.hosts.fence(host, Token(0)).await;
            known = known.max(told.map_err(Refusal::Unknown)?);
        }
        let token = Token(known.0 + 1);
        for host in hosts {
            let told = world.hosts.fence(host, token).await;
            if told.map_err(Refusal::Unknown)? != token {
                return Err(Refusal::Changed {
                    by: "another refit, by what its hosts were told".to_owned(),
                });
            }
        }
        Ok(Self {
            world,
            me: me.identity(),
            token,
            renewed: Cell::new(None),
            lost_to: RefCell::new(None),
            turn: Mutex::new(()),
        })
    }

    /// What hosts are shown.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }

    /// Who has the cluster now, once it is lost.
    #[must_use]
    pub fn lost_to(&self) -> Option<String> {
        self.lost_to.borrow().clone()
    }

    /// Leave for one change of the API, once the lease lasts longer than that.
    ///
    /// # Errors
    /// If the lease is lost, or is to be renewed and cannot be now.
    pub async fn permit(&self) -> Result<Permit, Denied> {
        loop {
            if self.lost_to.borrow().is_some() {
                return Err(Denied::Lost);
            }
            let left = self.renewed.get().map_or(Duration::ZERO, |at| {
                LASTS
                    .saturating_sub(MARGIN)
                    .saturating_sub(at.elapsed(self.world))
            });
            if left > CHANGE {
                return Ok(Permit { within: CHANGE });
            }
            self.renew().await.map_err(Denied::NotNow)?;
        }
    }

    /// Asks whether the lease is still ours. An API that does not answer leaves it so.
    pub async fn is_lost(&self) -> bool {
        let _ = self.renew().await;
        self.lost_to.borrow().is_some()
    }

    /// Renews the lease for as long as it is polled, and returns when it is lost.
    pub async fn keep(&self) {
        let mut pause = RENEW;
        while self.lost_to.borrow().is_none() {
            self.world.clock.sleep(pause).await;
            pause = match self.renew().await {
                Ok(()) => RENEW,
                Err(_) => AGAIN,
            };
        }
    }

    /// Gives it back, so that nobody has to wait for its end. An API that does not answer is left to forget it.
    pub async fn give_back(&self) {
        let free = async {
            let _turn = self.turn.lock().await;
            if let Ok(Some(found)) = self.world.api.claim().await
                && found.holder.as_deref() == Some(&self.me)
                && found.token == self.token
            {
                let free = Claim {
                    holder: None,
                    ..found
                };
                let _ = self.world.api.put_claim(&free, LASTS).await;
            }
        };
        bounded(self.world, GIVE_BACK, free).await;
    }

    async fn renew(&self) -> Result<(), Failure> {
        let _turn = self.turn.lock().await;
        let found = self.world.api.claim().await?;
        if let Some(found) = &found
            && found.token > self.token
        {
            *self.lost_to.borrow_mut() = Some(told(found.holder.as_deref()));
            return Ok(());
        }
        let at = At::now(self.world);
        let claim = Claim {
            holder: Some(self.me.clone()),
            token: self.token,
            version: found.and_then(|found| found.version),
        };
        self.world.api.put_claim(&claim, LASTS).await?;
        self.renewed.set(Some(at));
        Ok(())
    }
}

/// Writes the lease for the first time. What the API server refuses may be due to its restart, as with every change: that is
/// tried again for a while, and where an answer was lost, the lease itself tells.
async fn write(world: World<'_>, claim: &Claim, tell: &mut dyn FnMut(&str)) -> Result<(), Refusal> {
    let since = world.clock.monotonic();
    let mut told_so = false;
    while let Err(failure) = world.api.put_claim(claim, LASTS).await {
        let now = world.api.claim().await.map_err(Refusal::Unknown)?;
        if now
            .as_ref()
            .is_some_and(|now| now.holder == claim.holder && now.token == claim.token)
        {
            return Ok(());
        }
        if now.as_ref().and_then(|now| now.version.as_ref()) != claim.version.as_ref() {
            return Err(Refusal::changed(now));
        }
        if world.clock.monotonic().saturating_sub(since) >= RESTARTING {
            return Err(Refusal::Unknown(failure));
        }
        if !told_so {
            tell(&format!(
                "waiting for at most {} s for the API server to take the lease on the cluster: {failure}",
                RESTARTING.as_secs()
            ));
            told_so = true;
        }
        world.clock.sleep(AGAIN).await;
    }
    Ok(())
}

/// The lease as it is now, if it is ours.
async fn ours(world: World<'_>, claim: &Claim) -> Result<Claim, Refusal> {
    match world.api.claim().await.map_err(Refusal::Unknown)? {
        Some(now) if now.holder == claim.holder && now.token == claim.token => Ok(now),
        other => Err(Refusal::changed(other)),
    }
}

/// Tells hosts the token, side by side; returns the highest that any of them knows.
async fn fence(
    world: World<'_>,
    hosts: &BTreeSet<&HostName>,
    token: Token,
    tell: &mut dyn FnMut(&str),
) -> Token {
    let mut answers = stream::iter(hosts)
        .map(|host| async move { (host, world.hosts.fence(host, token).await) })
        .buffer_unordered(HOSTS_AT_ONCE);
    let mut highest = token;
    while let Some((host, answer)) = answers.next().await {
        match answer {
            Ok(known) => highest = highest.max(known),
            Err(failure) => tell(&format!(
                "host {host} cannot be told now that this run has the cluster; it is told with its first operation: {failure}"
            )),
        }
    }
    highest
}

/// Waits for the future, but not longer than that.
async fn bounded(world: World<'_>, at_most: Duration, future: impl Future<Output = ()>) {
    match select(pin!(future), world.clock.sleep(at_most)).await {
        Either::Left(_) | Either::Right(_) => {}
    }
}
