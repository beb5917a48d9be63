//! What goes wrong, as data: what, where, when, how often.
//!
//! A fault has a text form, so that it can be asked for on a command line and named in a report: `ssh-drop:w3@drain`,
//! `reboot=90s:cp2@kubeadm-node/kube-apiserver`, `api-429=2m:cluster@+10m`, `apt-lock=40s:w1@install-kubelet*2`. What each of
//! them says is with those who suffer it: hosts and the API.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The network between refit and the host is cut for a while; what runs there goes on.
    SshDrop(Duration),
    /// The host is gone for good.
    HostGone,
    /// The host is rebooted, and answers again after so long.
    Reboot(Duration),
    /// The host loses its power in the middle of what it does, and answers again after so long.
    PowerCut(Duration),
    /// Someone else has the package database for so long.
    AptLock(Duration),
    /// unattended-upgrades has it for so long, because it upgrades the machine.
    UnattendedUpgrades(Duration),
    /// dpkg is ended in the middle of its work.
    DpkgInterrupted,
    /// Someone holds a package that would have to change.
    HeldPackage,
    /// The key of the repository has expired.
    KeyExpired,
    /// An image cannot be pulled.
    ImagePull,
    /// The hash of a static pod does not change within kubeadm's 5 minutes.
    StaticPodHash,
    /// kubeadm's Job does not complete in time.
    CreateJob,
    /// The kubelet does not stay up.
    KubeletDown,
    /// The node is not ready for so long.
    NodeNotReady(Duration),
    /// The network plugin on the node does not answer its kubelet for so long: the node is not ready.
    CniNotReady(Duration),
    /// The member of etcd does not answer for so long.
    EtcdUnhealthy(Duration),
    /// The certificates of the control plane have expired, and nobody renews them for so long.
    CertificateExpired(Duration),
    /// No disk space is left for so long.
    DiskFull(Duration),
    /// No disk space is left for so long on the machine that runs refit.
    DiskFullHere(Duration),
    /// sshd opens no further session for so long (`MaxSessions`).
    MaxSessions(Duration),
    /// The host's clock jumps ahead by so much.
    ClockJump(Duration),
    /// The API answers everything with 403 for so long, as for seconds after a restart of its server.
    Api403(Duration),
    /// The API answers everything with 429 for so long.
    Api429(Duration),
    /// The API answers everything with 500 for so long.
    Api500(Duration),
    /// The API does not answer for so long.
    ApiTimeout(Duration),
    /// A webhook denies changes for so long.
    WebhookDenial(Duration),
}

/// Whom something befalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A host, or its node.
    Host,
    /// The API: `cluster`.
    Api,
    /// The machine that runs refit: `here`.
    Here,
}

/// Every kind: its name, how long it lasts unless told, and what it is made of that.
type Kind = (&'static str, Option<u64>, fn(Duration) -> What);

const KINDS: [Kind; 26] = [
    ("ssh-drop", Some(60), What::SshDrop),
    ("host-gone", None, |_| What::HostGone),
    ("reboot", Some(60), What::Reboot),
    ("power-cut", Some(120), What::PowerCut),
    ("apt-lock", Some(60), What::AptLock),
    ("unattended-upgrades", Some(600), What::UnattendedUpgrades),
    ("dpkg-interrupted", None, |_| What::DpkgInterrupted),
    ("held-package", None, |_| What::HeldPackage),
    ("key-expired", None, |_| What::KeyExpired),
    ("image-pull", None, |_| What::ImagePull),
    ("static-pod-hash", None, |_| What::StaticPodHash),
    ("create-job", None, |_| What::CreateJob),
    ("kubelet-down", None, |_| What::KubeletDown),
    ("node-not-ready", Some(60), What::NodeNotReady),
    ("cni-not-ready", Some(60), What::CniNotReady),
    ("etcd-unhealthy", Some(60), What::EtcdUnhealthy),
    ("certificate-expired", Some(600), What::CertificateExpired),
    ("disk-full", Some(600), What::DiskFull),
    ("disk-full-here", Some(600), What::DiskFullHere),
    ("max-sessions", Some(60), What::MaxSessions),
    ("clock-jump", Some(3600), What::ClockJump),
    ("api-403", Some(20), What::Api403),
    ("api-429", Some(20), What::Api429),
    ("api-500", Some(20), What::Api500),
    ("api-timeout", Some(60), What::ApiTimeout),
    ("webhook-denial", Some(60), What::WebhookDenial),
];

impl What {
    /// Its name, and how long it lasts where it lasts at all.
    #[must_use]
    pub const fn parts(&self) -> (&'static str, Option<Duration>) {
        match self {
            Self::SshDrop(lasts) => ("ssh-drop", Some(*lasts)),
            Self::HostGone => ("host-gone", None),
            Self::Reboot(lasts) => ("reboot", Some(*lasts)),
            Self::PowerCut(lasts) => ("power-cut", Some(*lasts)),
            Self::AptLock(lasts) => ("apt-lock", Some(*lasts)),
            Self::UnattendedUpgrades(lasts) => ("unattended-upgrades", Some(*lasts)),
            Self::DpkgInterrupted => ("dpkg-interrupted", None),
            Self::HeldPackage => ("held-package", None),
            Self::KeyExpired => ("key-expired", None),
            Self::ImagePull => ("image-pull", None),
            Self::StaticPodHash => ("static-pod-hash", None),
            Self::CreateJob => ("create-job", None),
            Self::KubeletDown => ("kubelet-down", None),
            Self::NodeNotReady(lasts) => ("node-not-ready", Some(*lasts)),
            Self::EtcdUnhealthy(lasts) => ("etcd-unhealthy", Some(*lasts)),
            Self::CniNotReady(lasts) => ("cni-not-ready", Some(*lasts)),
            Self::CertificateExpired(lasts) => ("certificate-expired", Some(*lasts)),
            Self::DiskFull(lasts) => ("disk-full", Some(*lasts)),
            Self::DiskFullHere(lasts) => ("disk-full-here", Some(*lasts)),
            Self::MaxSessions(lasts) => ("max-sessions", Some(*lasts)),
            Self::ClockJump(by) => ("clock-jump", Some(*by)),
            Self::Api403(lasts) => ("api-403", Some(*lasts)),
            Self::Api429(lasts) => ("api-429", Some(*lasts)),
            Self::Api500(lasts) => ("api-500", Some(*lasts)),
            Self::ApiTimeout(lasts) => ("api-timeout", Some(*lasts)),
            Self::WebhookDenial(lasts) => ("webhook-denial", Some(*lasts)),
        }
    }

    /// Whom it befalls.
    #[must_use]
    pub const fn place(&self) -> Place {
        match self {
            Self::Api403(_)
            | Self::Api429(_)
            | Self::Api500(_)
            | Self::ApiTimeout(_)
            | Self::WebhookDenial(_) => Place::Api,
            Self::DiskFullHere(_) => Place::Here,
            Self::SshDrop(_)
            | Self::HostGone
            | Self::Reboot(_)
            | Self::PowerCut(_)
            | Self::AptLock(_)
            | Self::UnattendedUpgrades(_)
            | Self::DpkgInterrupted
            | Self::HeldPackage
            | Self::KeyExpired
            | Self::ImagePull
            | Self::StaticPodHash
            | Self::CreateJob
            | Self::KubeletDown
            | Self::NodeNotReady(_)
            | Self::CniNotReady(_)
            | Self::EtcdUnhealthy(_)
            | Self::CertificateExpired(_)
            | Self::DiskFull(_)
            | Self::MaxSessions(_)
            | Self::ClockJump(_) => Place::Host,
        }
    }
}

/// Verbs of steps that a fault can wait for: those of plans.
pub const VERBS: [&str; 14] = [
    "cordon",
    "drain",
    "hold-packages",
    "hook",
    "install-kubeadm",
    "install-kubelet",
    "kubeadm-apply",
    "kubeadm-node",
    "prefetch-packages",
    "pull-images",
    "release-holds",
    "snapshot-etcd",
    "switch-repository",
    "uncordon",
];

/// Phases within such a step.
pub const PHASES: [&str; 25] = [
    "addons",
    "backup",
    "check",
    "configure",
    "download",
    "etcd",
    "hold",
    "key",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet-config",
    "lists",
    "mend",
    "preflight",
    "pull",
    "release",
    "remove",
    "restart",
    "run",
    "save",
    "simulate",
    "trial-restore",
    "unpack",
    "upload-config",
];

/// When it goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// The first time that it can.
    First,
    /// When a step of this verb begins there, or comes to where it can.
    Step(String),
    /// In this phase of such a step.
    Phase(String, String),
    /// So long after the world's beginning; where it needs an operation, in the first one after that.
    After(Duration),
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub what: What,
    /// The host or its node; `cluster` for the API, `here` for the machine that runs refit.
    pub at: String,
    /// When.
    pub when: Moment,
    /// How many times more.
    pub times: u32,
}

/// A text that is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no fault: {problem}")]
pub struct FaultError {
    text: String,
    problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, lasts) = self.what.parts();
        f.write_str(name)?;
        if let Some(lasts) = lasts {
            write!(f, "={}", span(lasts))?;
        }
        write!(f, ":{}", self.at)?;
        match &self.when {
            Moment::First => {}
            Moment::Step(verb) => write!(f, "@{verb}")?,
            Moment::Phase(verb, phase) => write!(f, "@{verb}/{phase}")?,
            Moment::After(after) => write!(f, "@+{}", span(*after))?,
        }
        if self.times != 1 {
            write!(f, "*{}", self.times)?;
        }
        Ok(())
    }
}

/// The greatest unit that tells it whole.
fn span(duration: Duration) -> String {
    match duration.as_secs() {
        0 => "0s".to_owned(),
        hours if hours % 3600 == 0 => format!("{}h", hours / 3600),
        minutes if minutes % 60 == 0 => format!("{}m", minutes / 60),
        seconds => format!("{seconds}s"),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match text.get(number.len()..)? {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: u64 = number.parse().ok()?;
    seconds.checked_mul(unit).map(Duration::from_secs)
}

fn known(kind: &str, name: &str, all: &[&str]) -> Result<String, String> {
    if all.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("no {kind} `{name}`; there are {}", all.join(", ")))
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|problem| FaultError {
            text: text.to_owned(),
            problem,
        })
    }
}

fn parse(text: &str) -> Result<Fault, String> {
    let (rest, times) = match text.rsplit_once('*') {
        None => (text, 1),
        Some((rest, times)) => match times.parse() {
            Ok(times) if times > 0 => (rest, times),
            Ok(_) | Err(_) => return Err(format!("`{times}` after `*` is no number of times")),
        },
    };
    let (what, place) = rest
        .split_once(':')
        .ok_or("it does not say where, such as `ssh-drop:w3`")?;
    let (at, when) = match place.split_once('@') {
        None => (place, Moment::First),
        Some((at, when)) => (at, moment(when)?),
    };
    if at.is_empty() {
        return Err("it does not say where, such as `ssh-drop:w3`".to_owned());
    }
    let (name, lasts) = match what.split_once('=') {
        None => (what, None),
        Some((name, lasts)) => {
            let lasts = duration(lasts)
                .ok_or_else(|| format!("`{lasts}` is no duration such as 90s, 5m or 1h"))?;
            (name, Some(lasts))
        }
    };
    let names: Vec<&str> = KINDS.iter().map(|(name, ..)| *name).collect();
    let (_, usual, make) = KINDS
        .iter()
        .find(|(kind, ..)| *kind == name)
        .ok_or_else(|| format!("nothing is called `{name}`; there are {}", names.join(", ")))?;
    let what = match (usual, lasts) {
        (None, Some(_)) => {
            return Err(format!(
                "{name} does not last, so that it takes no duration"
            ));
        }
        (None, None) => make(Duration::ZERO),
        (Some(usual), lasts) => make(lasts.unwrap_or(Duration::from_secs(*usual))),
    };
    Ok(Fault {
        what,
        at: at.to_owned(),
        when,
        times,
    })
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Some(after) = text.strip_prefix('+') {
        return duration(after)
            .map(Moment::After)
            .ok_or_else(|| format!("`{after}` is no duration such as 90s, 5m or 1h"));
    }
    match text.split_once('/') {
        None => known("step", text, &VERBS).map(Moment::Step),
        Some((verb, phase)) => Ok(Moment::Phase(
            known("step", verb, &VERBS)?,
            known("phase", phase, &PHASES)?,
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_as_it_is_written() {
        let whens = [
            Moment::First,
            Moment::Step("drain".to_owned()),
            Moment::Phase("kubeadm-node".to_owned(), "etcd".to_owned()),
            Moment::After(Duration::from_secs(90)),
        ];
        let mut read = 0;
        for (name, usual, make) in KINDS {
            let lasts = [0, 1, 59, 60, 3600, 5400].map(Duration::from_secs);
            let whats: Vec<What> = match usual {
                None => vec![make(Duration::ZERO)],
                Some(_) => lasts.into_iter().map(make).collect(),
            };
            for what in whats {
                assert_eq!(what.parts().0, name);
                for when in &whens {
                    for times in [1, 3] {
                        let fault = Fault {
                            what,
                            at: "w3".to_owned(),
                            when: when.clone(),
                            times,
                        };
                        assert_eq!(fault.to_string().parse(), Ok(fault.clone()), "{fault}");
                        read += 1;
                    }
                }
            }
        }
        assert_eq!(read, (8 + 18 * 6) * 8);
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        for (short, long) in [
            ("ssh-drop:w3@drain", "ssh-drop=1m:w3@drain"),
            ("disk-full:cp1", "disk-full=10m:cp1"),
            ("host-gone:w1@+2m", "host-gone:w1@+2m"),
            (
                "reboot=90s:cp2@kubeadm-node/kube-apiserver*2",
                "reboot=90s:cp2@kubeadm-node/kube-apiserver*2",
            ),
        ] {
            assert_eq!(short.parse::<Fault>().unwrap().to_string(), long);
        }
    }

    #[test]
    fn what_is_no_fault_is_told_why() {
        for (text, why) in [
            ("", "where"),
            ("ssh-drop", "where"),
            ("ssh-drop:", "where"),
            ("ssh-drop:@drain", "where"),
            ("ssh-drip:w3", "nothing is called `ssh-drip`"),
            ("ssh-drop=soon:w3", "no duration"),
            ("ssh-drop=:w3", "no duration"),
            ("ssh-drop=99999999999999999999s:w3", "no duration"),
            ("host-gone=5s:w3", "does not last"),
            ("ssh-drop:w3@lunch", "no step `lunch`"),
            ("ssh-drop:w3@drain/x", "no phase `x`"),
            ("ssh-drop:w3@+x", "no duration"),
            ("ssh-drop:w3*0", "no number of times"),
            ("ssh-drop:w3*x", "no number of times"),
        ] {
            let told = text.parse::<Fault>().unwrap_err().to_string();
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
