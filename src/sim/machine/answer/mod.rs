//! What the scripts of `host/scripts` print on this machine, as `host/parse` reads it.
//!
//! Where the facts say that something could not be seen, the question fails as it did then.

mod control_plane;
mod etcd;
mod host;
mod packages;
mod rollback;
mod way_back;

use base64::Engine as _;

use super::Machine;
use crate::cluster::facts::Observed;
use crate::host::op::{Output, Query};
use crate::ports::Failure;
use crate::sim::seam::View;

/// A script's answer in the making: one section after the other (`scripts/prelude.sh`, `emit`).
#[derive(Debug, Default)]
struct Said {
    output: Output,
}

impl Said {
    fn section(&mut self, name: &str, status: i32, text: &str) {
        let text = base64::engine::general_purpose::STANDARD.encode(text.trim_end_matches('\n'));
        self.output
            .stdout
            .push_str(&format!("{name}\t{status}\t{text}\n"));
    }

    fn text(&mut self, name: &str, text: &str) {
        self.section(name, 0, text);
    }

    /// A command that failed, and what it said.
    fn fails(&mut self, name: &str, status: i32, why: &str) {
        self.section(name, status, "");
        self.output.stderr.push_str(why);
        self.output.stderr.push('\n');
    }

    /// What was seen, or the failure to see it.
    fn observed<T>(&mut self, name: &str, observed: &Observed<T>, text: impl FnOnce(&T) -> String) {
        match observed {
            Observed::Known(value) => self.text(name, &text(value)),
            Observed::Unknown(why) => self.fails(name, 1, why),
        }
    }

    fn done(self) -> Output {
        self.output
    }
}

/// A script that gives up (`scripts/prelude.sh`, `die`).
fn died(why: &str) -> Output {
    Output {
        status: 70,
        stdout: String::new(),
        stderr: format!("refit: {why}\n"),
    }
}

fn ended(status: i32) -> Output {
    Output {
        status,
        ..Output::default()
    }
}

/// A command that prints this and ends well.
fn printed(text: String) -> Output {
    Output {
        stdout: text,
        ..Output::default()
    }
}

/// What could not be seen when the facts were taken cannot be seen now.
fn unseen<T>(why: &str) -> Result<T, Failure> {
    Err(Failure::NotSent(why.to_owned()))
}

impl Machine {
    /// What a question's script prints.
    ///
    /// # Errors
    /// Where the host cannot be asked, or could not be asked this when the facts were taken.
    pub fn answer(&self, view: &View<'_>, query: &Query) -> Result<Output, Failure> {
        if let Some(why) = self.unreachable(view.now) {
            return Err(Failure::NotSent(why));
        }
        match query {
            Query::Basics => Ok(self.basics(view)),
            Query::Packages => self.packages(),
            Query::Offer { url, .. } => self.offer(url),
            Query::KubeadmVersion => match &self.seen.kubeadm {
                Observed::Known(version) => Ok(printed(format!(
                    "{{\"clientVersion\": {{\"gitVersion\": \"{}\"}}}}\n",
                    version.tag()
                ))),
                Observed::Unknown(why) => unseen(why),
            },
            Query::Kubelet => Ok(self.kubelet()),
            Query::Manifests => self.manifests(),
            Query::Certificates => self.certificates(),
            Query::ApiServerVersion => Ok(self.api_server_version(view)),
            Query::ApiServerReady => Ok(self.api_server_ready(view)),
            Query::ApiUse => self.api_use(view),
            Query::Generated { .. } => self.generated(),
            Query::Patches { directory } => self.patches(directory),
            Query::Etcd => self.etcd(view),
            Query::ExternalEtcd(at) => Ok(self.external_etcd(&at.endpoints)),
            Query::Installed { .. } => self.installed_packages(),
            Query::Repository { file, key_file } => Ok(self.repository(file, key_file)),
            Query::Prefetched { packages, .. } => Ok(self.prefetched(packages)),
            Query::Directory { path } => Ok(ended(i32::from(!self.has_directory(path)))),
            Query::LeftSnapshots { directory } => Ok(self.left_snapshots(view, directory)),
            Query::WayBack(places) => Ok(self.way_back(places)),
            Query::KubeadmBackups => Ok(self.kubeadm_backups()),
            Query::Snapshot { file } => Ok(self.snapshot_status(file)),
            // Nothing links a check to its hook but the declaration: what a hook does is done once one has run here.
            Query::HookCheck { .. } => Ok(ended(i32::from(!self.hooked))),
            Query::Images {
                version,
                image_repository,
            } => Ok(self.images_wanted(version, image_repository)),
        }
    }
}
