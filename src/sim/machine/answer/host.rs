//! The machine itself and its kubelet.

use super::{Said, died, unseen};
use crate::cluster::facts::{CgroupMode, Observed};
use crate::host::judge::sha256;
use crate::host::op::Output;
use crate::ports::Failure;
use crate::sim::machine::Machine;
use crate::sim::seam::View;

impl Machine {
    /// `scripts/basics.sh`.
    pub(super) fn basics(&self, view: &View<'_>) -> Output {
        let mut said = Said::default();
        let seen = &self.seen;
        said.observed("uid", &seen.root, |()| "0".to_owned());
        let identity = &seen.identity;
        said.observed("hostname", identity, |is| is.hostname.clone());
        said.observed("machine-id", identity, |is| is.machine_id.clone());
        said.observed("boot-id", identity, |is| self.boot_id(&is.boot_id));
        said.observed("os", identity, |is| is.os.clone());
        said.observed("cgroup", &seen.cgroup, |mode| {
            match mode {
                CgroupMode::V1 => "tmpfs",
                CgroupMode::V2 => "cgroup2fs",
            }
            .to_owned()
        });
        let full = self.full_until.is_some_and(|until| until > view.now);
        said.observed("disk", &seen.disk_free, |free| {
            free.iter()
                .map(|(dir, bytes)| format!("{dir}\t{}\n", if full { 0 } else { *bytes }))
                .collect()
        });
        match &self.unit.running {
            Some(running) => said.text(
                "operation",
                &format!("{}\t{}", running.op.run, running.op.op),
            ),
            None => said.observed("operation", &seen.operation, |operation| {
                operation.clone().unwrap_or_default()
            }),
        }
        said.observed("clock-ms", &seen.clock_offset_s, |offset| {
            (view.wall.as_millisecond() + offset * 1000).to_string()
        });
        said.done()
    }

    /// Another one after each boot.
    fn boot_id(&self, first: &str) -> String {
        if self.boots == 0 {
            return first.to_owned();
        }
        let drawn = sha256(format!("{first}/{}/{}", self.host, self.boots).as_bytes());
        let part = |from: usize, to: usize| drawn.get(from..to).unwrap_or_default().to_owned();
        [
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32),
        ]
        .join("-")
    }

    /// `scripts/kubelet.sh`.
    pub(super) fn kubelet(&self) -> Output {
        let mut said = Said::default();
        let seen = &self.seen;
        said.observed("flags", &seen.kubelet_flags, |flags| {
            format!("\"{}\"", flags.join(" "))
        });
        said.observed("config-sha256", &seen.kubelet_config, |sha256| {
            format!("{sha256}  /var/lib/kubelet/config.yaml")
        });
        said.text("kubelet", self.running_kubelet());
        if self.kubelet.is_some() {
            said.observed("command", &seen.kubelet_command, |flags| {
                std::iter::once("/usr/bin/kubelet")
                    .chain(flags.iter().map(String::as_str))
                    .collect::<Vec<_>>()
                    .join("\n")
            });
        } else {
            said.fails("command", 1, "refit: no kubelet runs");
        }
        said.observed("instance-config", &seen.instance_config, |there| {
            if *there { "present" } else { "absent" }.to_owned()
        });
        said.done()
    }

    /// `scripts/kubelet-state.sh`.
    pub(super) fn running_kubelet(&self) -> &'static str {
        match (&self.kubelet, self.installed("kubelet")) {
            (None, _) => "stopped",
            (Some(runs), Some(installed)) if *runs != installed => "replaced",
            (Some(_), _) => "installed",
        }
    }

    pub(super) fn has_directory(&self, path: &str) -> bool {
        let patches = self.seen.patches.known();
        patches.is_some_and(|patches| patches.directory.as_deref() == Some(path))
    }

    /// `scripts/patches.sh`.
    pub(super) fn patches(&self, directory: &str) -> Result<Output, Failure> {
        let patches = match &self.seen.patches {
            Observed::Known(patches) => patches,
            Observed::Unknown(why) => return unseen(why),
        };
        if patches.directory.as_deref() != Some(directory) {
            return Ok(died(&format!("{directory} does not exist")));
        }
        let mut said = Said::default();
        let names: Vec<&str> = patches.files.keys().map(String::as_str).collect();
        said.text("all", &names.join("\n"));
        for (name, patch) in &patches.files {
            said.text("path", name);
            said.text("sha256", &format!("{}  {directory}/{name}", patch.sha256));
            let text = serde_json::json!({
                "flags": patch.flags,
                "featureGates": patch.feature_gates,
            });
            said.text("text", &text.to_string());
        }
        Ok(said.done())
    }
}
