//! kubeadm's static pods, certificates and the API server of a control plane.

use serde_json::json;

use super::{Said, died, printed, unseen};
use crate::cluster::facts::{ControlPlaneFacts, Observed};
use crate::host::op::Output;
use crate::ports::Failure;
use crate::sim::machine::{EXPIRED, Machine, manifest};
use crate::sim::seam::View;

const DIRECTORY: &str = "/etc/kubernetes/manifests";
const API_MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

impl Machine {
    /// The address of this machine's own API server, as its manifest says (`scripts/api.sh`).
    pub(in crate::sim::machine) fn own_api(&self) -> Result<(&ControlPlaneFacts, String), Output> {
        let Some(own) = &self.seen.control_plane else {
            return Err(died(&format!(
                "{API_MANIFEST} cannot be read: no API server of kubeadm runs here"
            )));
        };
        match &own.endpoint {
            Observed::Known(endpoint) => Ok((own, address(endpoint).to_owned())),
            Observed::Unknown(_) => Err(died(&format!(
                "{API_MANIFEST} does not say where its API server listens"
            ))),
        }
    }

    /// What kubectl says when no API server answers here.
    pub(in crate::sim::machine) fn refused(&self, view: &View<'_>, api: &str) -> String {
        if self.expired(view.now) {
            return format!("Unable to connect to the server: Get \"https://{api}/\": {EXPIRED}");
        }
        format!(
            "The connection to the server {api} was refused - did you specify the right host or port?"
        )
    }

    /// `scripts/manifests.sh`.
    pub(super) fn manifests(&self) -> Result<Output, Failure> {
        let Some(own) = &self.seen.control_plane else {
            return Ok(died(&format!(
                "{DIRECTORY} does not exist: this host runs no control plane of kubeadm"
            )));
        };
        let manifests = match &own.manifests {
            Observed::Known(manifests) => manifests,
            Observed::Unknown(why) => return unseen(why),
        };
        let mut said = Said::default();
        for (name, file) in manifests {
            said.text("path", name);
            said.text("sha256", &format!("{}  {DIRECTORY}/{name}", file.sha256));
            let endpoint = own.endpoint.known().map(|endpoint| address(endpoint));
            said.text("text", &manifest::text(name, file, endpoint));
        }
        let stray = own.stray_files.known().into_iter().flatten();
        let all: Vec<&str> = manifests.keys().chain(stray).map(String::as_str).collect();
        said.text("all", &all.join("\n"));
        let servers = own.controller_servers.known().into_iter().flatten();
        for (client, server) in servers {
            said.text("client", client);
            said.text("server", &format!("    {server}"));
        }
        Ok(said.done())
    }

    /// `kubeadm certs check-expiration -o json`.
    pub(super) fn certificates(&self) -> Result<Output, Failure> {
        let Some(own) = &self.seen.control_plane else {
            return Ok(Output {
                status: 1,
                stdout: String::new(),
                stderr: "error: no certificates of kubeadm are here\n".to_owned(),
            });
        };
        let certificates = match &own.certificates {
            Observed::Known(certificates) => certificates,
            Observed::Unknown(why) => return unseen(why),
        };
        let all: Vec<_> = certificates
            .iter()
            .map(|(name, end)| json!({"name": name, "expirationDate": end, "missing": false}))
            .collect();
        let answer = json!({"certificates": all, "certificateAuthorities": []});
        Ok(printed(answer.to_string()))
    }

    /// `scripts/api-version.sh`.
    pub(super) fn api_server_version(&self, view: &View<'_>) -> Output {
        let (own, api) = match self.own_api() {
            Ok(found) => found,
            Err(output) => return output,
        };
        let mut said = Said::default();
        if self.api_server_answers(view) {
            said.observed("version", &own.api_server, |version| {
                json!({"gitVersion": version.tag()}).to_string()
            });
        } else {
            said.fails("version", 1, &self.refused(view, &api));
        }
        said.done()
    }

    /// `scripts/api-ready.sh`.
    pub(super) fn api_server_ready(&self, view: &View<'_>) -> Output {
        let (_, api) = match self.own_api() {
            Ok(found) => found,
            Err(output) => return output,
        };
        let mut said = Said::default();
        if self.api_server_answers(view) {
            said.text(
                "ready",
                "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]etcd-readiness ok\n[+]informer-sync ok\nreadyz check passed",
            );
        } else {
            // standard error is part of the answer here
            said.section("ready", 1, &self.refused(view, &api));
        }
        said.done()
    }

    /// `scripts/api-use.sh`.
    pub(super) fn api_use(&self, view: &View<'_>) -> Result<Output, Failure> {
        let (own, api) = match self.own_api() {
            Ok(found) => found,
            Err(output) => return Ok(output),
        };
        let seen = match &own.api_use {
            Observed::Known(seen) => seen,
            Observed::Unknown(why) => return unseen(why),
        };
        let mut said = Said::default();
        if !self.api_server_answers(view) {
            said.fails("counted", 1, &self.refused(view, &api));
            return Ok(said.done());
        }
        let mut text = String::new();
        for api in &seen.requested {
            text.push_str(&format!(
                "apiserver_requested_deprecated_apis{{group=\"{}\",removed_release=\"{}\",resource=\"{}\",subresource=\"{}\",\
                 version=\"{}\"}} 1\n",
                api.group, api.removed_in, api.resource, api.subresource, api.version
            ));
        }
        text.push_str(&format!(
            "process_start_time_seconds {}\n# whole\n",
            seen.since.as_second()
        ));
        said.text("counted", &text);
        Ok(said.done())
    }

    /// `scripts/generated.sh`.
    pub(super) fn generated(&self) -> Result<Output, Failure> {
        let (own, _) = match self.own_api() {
            Ok(found) => found,
            Err(output) => return Ok(output),
        };
        let edits = match &own.hand_edits {
            Observed::Known(edits) => edits,
            Observed::Unknown(why) => return unseen(why),
        };
        let mut said = Said::default();
        for name in own.manifests.known().into_iter().flat_map(|all| all.keys()) {
            let lines = edits.files.get(name).map_or(&[][..], Vec::as_slice);
            let (present, generated) = manifest::differing(name, lines);
            said.text("path", name);
            said.text("present", &present);
            said.text("generated", &generated);
        }
        Ok(said.done())
    }
}

/// `10.77.0.11:6443` of `https://10.77.0.11:6443`.
fn address(endpoint: &str) -> &str {
    endpoint.strip_prefix("https://").unwrap_or(endpoint)
}
