//! How far a control plane is on the way back.

use super::Said;
use crate::host::op::Output;
use crate::host::way_back::{COMPONENTS, Places};
use crate::sim::machine::Machine;

/// What is free in etcd's data directory.
const FREE: u64 = 40 << 30;

impl Machine {
    /// `scripts/way-back.sh`.
    pub(super) fn way_back(&self, at: &Places) -> Output {
        let mut said = Said::default();
        let names = |is: &dyn Fn(&str) -> bool| {
            let names: Vec<&str> = COMPONENTS.into_iter().filter(|name| is(name)).collect();
            names.join("\n")
        };
        let there = |name: &str| self.static_pods().any(|(there, _)| there == name);
        let aside = |name: &str| self.way_back.aside.contains_key(&format!("{name}.yaml"));
        said.text("manifests", &names(&there));
        said.text("aside", &names(&aside));
        said.text("running", &names(&|name| self.runs(name)));
        let snapshot = self.snapshots.get(&at.snapshot);
        let digest = snapshot.map(|snapshot| format!("{}  {}", snapshot.sha256, at.snapshot));
        said.text("snapshot", &digest.unwrap_or_default());
        let restored = self.way_back.restored.get(&at.restored);
        said.text("restored", restored.map_or("", String::as_str));
        let is = |yes: bool| if yes { "yes" } else { "no" };
        said.text("member", "yes");
        said.text("before", is(self.way_back.before.contains(&at.before)));
        let authority = format!("{}  /etc/kubernetes/pki/ca.crt", self.authority());
        said.text("authority", &authority);
        said.text("free", &FREE.to_string());
        said.done()
    }
}
