//! The phases of a change: how long each takes, what it leaves behind, what it prints.

use std::time::Duration;

use super::fail::Failing;
use super::snapshot::Snapshot;
use super::{Event, Machine, kubeadm};
use crate::cluster::facts::Observed;
use crate::cluster::model::Role;
use crate::cluster::release::release_of_revision;
use crate::host::op::PackageRevision;
use crate::host::rollback::PutBack;
use crate::host::way_back::Change;
use crate::rules::version::Version;
use crate::sim::effect::Effect;
use crate::sim::seam::{Turn, View};

/// Size of etcd's database where it was not seen.
const DATABASE: u64 = 7_462_944;

/// A part of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// The script finds at once that it must not go on.
    GiveUp(String),
    /// What an interrupted dpkg left is ended.
    Mend,
    Hold(Vec<String>),
    Release(Vec<String>),
    /// A repository's file and key are written.
    Key {
        file: String,
        content: String,
        key_file: String,
        key_sha256: String,
    },
    Lists,
    Simulate(Vec<PackageRevision>),
    Download(Vec<PackageRevision>),
    Unpack(Vec<PackageRevision>),
    Configure(Vec<PackageRevision>),
    Restart,
    Pull {
        images: Vec<String>,
        kubeadm: bool,
    },
    Preflight {
        version: Version,
        /// The cluster as a whole is looked at.
        cluster: bool,
        control_plane: bool,
        ignored: Vec<String>,
    },
    /// etcd's health, and a copy of its data.
    Backup,
    /// The manifest is replaced, and the kubelet ends the old pod.
    Move {
        component: String,
        image: String,
    },
    Start(String),
    Settle(String),
    UploadConfig(Version),
    KubeletConfig(Version),
    Addons {
        version: Version,
        proxy: bool,
        dns: bool,
    },
    Save {
        file: String,
    },
    Check,
    TrialRestore,
    Remove(Vec<String>),
    WayBack(Change),
    PutBack(PutBack),
    Hook,
}

impl Phase {
    /// As faults name it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::GiveUp(_) | Self::Preflight { .. } => "preflight",
            Self::Mend => "mend",
            Self::Hold(_) => "hold",
            Self::Release(_) => "release",
            Self::Key { .. } => "key",
            Self::Lists => "lists",
            Self::Simulate(_) => "simulate",
            Self::Download(_) => "download",
            Self::Unpack(_) => "unpack",
            Self::Configure(_) => "configure",
            Self::Restart => "restart",
            Self::Pull { .. } => "pull",
            Self::Backup => "backup",
            Self::Move { component, .. } => component,
            Self::Start(component) | Self::Settle(component) => component,
            Self::UploadConfig(_) => "upload-config",
            Self::KubeletConfig(_) => "kubelet-config",
            Self::Addons { .. } => "addons",
            Self::Save { .. } => "save",
            Self::Check => "check",
            Self::TrialRestore => "trial-restore",
            Self::Remove(_) => "remove",
            Self::WayBack(_) => "way-back",
            Self::PutBack(_) => "put-back",
            Self::Hook => "run",
        }
    }

    /// Needs the package database's lock.
    pub(super) const fn of_packages(&self) -> bool {
        matches!(
            self,
            Self::Mend
                | Self::Hold(_)
                | Self::Release(_)
                | Self::Lists
                | Self::Download(_)
                | Self::Unpack(_)
                | Self::Configure(_)
        )
    }

    /// Writes much.
    pub(super) const fn writes(&self) -> bool {
        matches!(
            self,
            Self::Download(_)
                | Self::Unpack(_)
                | Self::Pull { .. }
                | Self::Backup
                | Self::Save { .. }
                | Self::WayBack(Change::Restore { .. })
        )
    }
}

impl Machine {
    pub(super) fn lasts(&self, phase: &Phase) -> Duration {
        let of = &self.durations;
        match phase {
            Phase::GiveUp(_) => of.remove,
            Phase::Mend => of.mend,
            Phase::Hold(_) | Phase::Release(_) => of.mark,
            Phase::Key { .. } => of.key,
            Phase::Lists => of.lists,
            Phase::Simulate(_) => of.simulate,
            Phase::Download(_) => of.download,
            Phase::Unpack(_) => of.unpack,
            Phase::Configure(_) => of.configure,
            Phase::Restart => of.restart_kubelet,
            Phase::Pull { images, .. } => of.pull * u32::try_from(images.len()).unwrap_or(u32::MAX),
            Phase::Preflight { control_plane, .. } if *control_plane => of.preflight,
            Phase::Preflight { .. } => of.remove,
            Phase::Backup => of.backup,
            Phase::Move { component, .. } if component == "etcd" => of.stop_etcd,
            Phase::Move { .. } => of.stop_static_pod,
            Phase::Start(_) => of.start_static_pod,
            Phase::Settle(_) => of.settle_static_pod,
            Phase::UploadConfig(_) => of.upload_config,
            Phase::KubeletConfig(_) => of.kubelet_config,
            Phase::Addons { .. } => of.addons,
            Phase::Save { .. } => of.save_snapshot,
            Phase::Check => of.check_snapshot,
            Phase::TrialRestore => of.trial_restore,
            Phase::Remove(_) | Phase::WayBack(Change::Replace { .. }) => of.remove,
            Phase::WayBack(Change::Restore { .. }) => of.trial_restore,
            Phase::WayBack(Change::Stop { .. }) => of.stop_etcd,
            Phase::WayBack(Change::Start { .. }) | Phase::PutBack(_) => of.start_static_pod,
            Phase::Hook => of.hook,
        }
    }

    /// What a phase does as it begins.
    pub(super) fn enter(&mut self, phase: &Phase) -> Vec<Effect> {
        match phase {
            Phase::Move { component, image } => {
                self.move_manifest(component, image);
                self.stop_static_pod(component)
            }
            Phase::WayBack(change) => self.begin_way_back(change),
            _ => Vec::new(),
        }
    }

    /// What a phase leaves behind at its end, and prints.
    pub(super) fn leave(
        &mut self,
        view: &View<'_>,
        phase: &Phase,
    ) -> Result<(Turn, String), Failing> {
        let mut turn = Turn::default();
        let mut said = String::new();
        match phase {
            Phase::GiveUp(words) => return Err(Failing::with(70, words.clone())),
            Phase::Mend => {
                self.half_installed = false;
                if let Some(packages) = self.package_facts() {
                    packages.trouble = None;
                }
            }
            Phase::Hold(names) => {
                if let Some(packages) = self.package_facts() {
                    packages.held.extend(names.iter().cloned());
                }
                for name in names {
                    said.push_str(&format!("{name} set on hold.\n"));
                }
            }
            Phase::Release(names) => {
                if let Some(packages) = self.package_facts() {
                    packages.held.retain(|held| !names.contains(held));
                }
                for name in names {
                    said.push_str(&format!("Canceled hold on {name}.\n"));
                }
            }
            Phase::Key {
                file,
                content,
                key_file,
                key_sha256,
            } => self.write_repository(file, content, key_file, key_sha256)?,
            Phase::Lists => {
                self.fetch_lists()?;
                said.push_str("Reading package lists...\n");
            }
            Phase::Simulate(packages) => {
                if let Some(package) = packages.iter().find(|package| !self.listed(package)) {
                    return Err(Failing::with(
                        70,
                        format!(
                            "E: Version '{}' for '{}' was not found\nrefit: apt cannot install this",
                            package.revision, package.name
                        ),
                    ));
                }
            }
            Phase::Download(packages) => self.cache.extend(packages.iter().cloned()),
            Phase::Unpack(packages) => {
                for package in packages {
                    said.push_str(&format!(
                        "Unpacking {} ({}) ...\n",
                        package.name, package.revision
                    ));
                }
            }
            Phase::Configure(packages) => {
                for package in packages {
                    said.push_str(&format!(
                        "Setting up {} ({}) ...\n",
                        package.name, package.revision
                    ));
                    if package.name == "kubeadm"
                        && let Some(version) = release_of_revision(&package.revision)
                    {
                        self.seen.kubeadm = Observed::Known(version);
                    }
                    if let Some(all) = self.package_facts() {
                        all.installed
                            .insert(package.name.clone(), package.revision.clone());
                    }
                }
            }
            Phase::Restart => self.restart(&mut turn)?,
            Phase::Pull { images, .. } => {
                for image in images {
                    said.push_str(&format!("[config/images] Pulled {image}\n"));
                }
                self.images.extend(images.iter().cloned());
            }
            Phase::Preflight {
                cluster,
                control_plane,
                ignored,
                ..
            } => {
                said.push_str("[upgrade/preflight] Running pre-flight checks\n");
                self.preflight(view, *cluster, *control_plane, ignored)?;
            }
            Phase::Backup => self.etcd_healthy(view)?,
            Phase::Move { component, .. } => {
                said.push_str(&format!(
                    "[upgrade/staticpods] Moved new manifest to \"/etc/kubernetes/manifests/{component}.yaml\"\n\
                     [upgrade/staticpods] Waiting for the kubelet to restart the component\n"
                ));
            }
            Phase::Start(component) => turn.effects = self.start_static_pod(view, component),
            Phase::Settle(component) => {
                if component == "etcd" {
                    self.backups.remove(component);
                }
                said.push_str(&format!(
                    "[upgrade/staticpods] Component \"{component}\" upgraded successfully!\n"
                ));
            }
            Phase::UploadConfig(version) => {
                turn.effects.push(Effect::KubeadmConfigWritten {
                    version: version.clone(),
                });
                turn.effects.push(Effect::KubeletConfigWritten {
                    sha256: kubeadm::kubelet_config(version),
                });
            }
            Phase::KubeletConfig(version) => {
                self.backups.clear();
                self.write_kubelet_config(version);
                said.push_str("[upgrade/kubelet-config] The kubelet configuration for this node was successfully upgraded!\n");
            }
            Phase::Addons {
                version,
                proxy,
                dns,
            } => {
                match self.addons(view, version, *proxy, *dns) {
                    Ok(effects) => turn.effects = effects,
                    Err(why) => said.push_str(&format!("{why}\n")),
                }
                said.push_str(&format!(
                    "[upgrade] SUCCESS! A control plane node of your cluster was upgraded to \"{}\".\n",
                    version.tag()
                ));
            }
            Phase::Save { file } => {
                if !self.api_server_answers(view) {
                    let (_, api) = self
                        .own_api()
                        .map_err(|output| Failing::with(70, output.stderr))?;
                    let why = self.refused(view, &api);
                    let words = format!(
                        "{why}\nrefit: etcdctl cannot be run in the pod etcd-{}",
                        self.node
                    );
                    return Err(Failing::with(70, words));
                }
                let member = self
                    .etcd
                    .known()
                    .and_then(|etcd| etcd.members.iter().find(|member| self.has(member)));
                let size = member.and_then(|member| member.db_size).unwrap_or(DATABASE);
                let snapshot = Snapshot::of(file, size, view.now);
                said.push_str(&format!("Snapshot saved at {file}.new\n"));
                turn.effects.push(Effect::EtcdSaved {
                    sha256: snapshot.sha256.clone(),
                });
                self.new_snapshot = Some((file.clone(), snapshot));
            }
            Phase::Check | Phase::TrialRestore => {}
            Phase::Remove(files) => {
                for file in files {
                    self.snapshots.remove(file);
                }
            }
            Phase::WayBack(change) => turn.effects = self.end_way_back(view, change)?,
            Phase::PutBack(back) => turn.effects = self.put_back(view, back)?,
            Phase::Hook => self.hooked = true,
        }
        Ok((turn, said))
    }

    /// The kubelet is restarted. One of another minor replaces the static pods that it does not know.
    fn restart(&mut self, turn: &mut Turn) -> Result<(), Failing> {
        let down = || {
            Failing::with(
                70,
                "Job for kubelet.service failed because the control process exited with error code.\n\
                 refit: the kubelet was installed and restarted, but does not stay up: see journalctl -u kubelet",
            )
        };
        let before = self.kubelet.take();
        if self.kubelet_broken || self.refused_flag().is_some() {
            turn.effects.push(Effect::KubeletStopped);
            return Err(down());
        }
        // It is started with what its flags' file says now.
        let gone: Vec<String> = std::mem::take(&mut self.removed_flags);
        if let Observed::Known(command) = &mut self.seen.kubelet_command {
            command.retain(|flag| !gone.contains(flag));
        }
        turn.effects.push(Effect::KubeletStopped);
        turn.effects.extend(self.start_kubelet());
        let minor = Version::minor;
        let replaced = before.as_ref().map(minor) != self.kubelet.as_ref().map(minor);
        if replaced && self.role == Role::ControlPlane {
            turn.later.push((
                self.durations.replace_static_pods,
                Event::StaticPodsReplaced(self.boots),
            ));
        }
        Ok(())
    }
}
