//! The constant scripts that run on hosts, run here for true: by this machine's shell, in a directory that stands for the
//! host's root, with stand-ins for the tools that would change a machine.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use refit::cluster::facts::PackageManager;
use refit::host::op::{
    Command, Mutation, OpEnd, OpRef, OpState, Output, PackageRevision, Query, Standing,
};
use refit::host::parse;
use refit::host::unit::{self, Answer};

/// What the scripts name by its absolute path.
const PLACES: [&str; 3] = ["/etc/kubernetes", "/var/lib/refit", "/var/lib/dpkg"];

/// A host: a root, and tools.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    /// With tools that are shell scripts; each may use `$ROOT`, and notes its calls in `$ROOT/calls` by `note "$@"`.
    fn new(tools: &[(&str, &str)]) -> Self {
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(machine.path("/bin")).unwrap();
        for place in PLACES {
            fs::create_dir_all(machine.path(place)).unwrap();
        }
        for (name, text) in [("sleep", "")].iter().chain(tools) {
            machine.tool(name, text);
        }
        machine
    }

    fn tool(&self, name: &str, text: &str) {
        let root = self.root.path().display();
        let text = format!(
            "#!/bin/sh\nROOT={root}\nnote() {{ echo \"{name} $*\" >> {root}/calls; }}\n{text}\n"
        );
        let file = self.path(&format!("/bin/{name}"));
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, place: &str) -> PathBuf {
        self.root.path().join(place.trim_start_matches('/'))
    }

    fn write(&self, place: &str, text: &str) {
        let path = self.path(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn here(&self, text: &str) -> String {
        let root = self.root.path().to_str().unwrap();
        let tools = format!("PATH={root}/bin:/usr/local/sbin:");
        PLACES
            .iter()
            .fold(text.to_owned(), |text, place| {
                text.replace(place, &format!("{root}{place}"))
            })
            .replace("PATH=/usr/local/sbin:", &tools)
    }

    fn run(&self, command: &Command) -> Output {
        let argv: Vec<String> = command.argv.iter().map(|word| self.here(word)).collect();
        let path = format!(
            "{}:{}",
            self.path("/bin").display(),
            std::env::var("PATH").unwrap()
        );
        let output = std::process::Command::new(&argv[0])
            .args(&argv[1..])
            .env("LC_ALL", "C")
            .env("PATH", path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Output {
            status: output.status.code().unwrap_or(255),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn act(&self, mutation: &Mutation) -> Output {
        self.run(&mutation.command())
    }

    fn standing(&self, mutation: &Mutation) -> Standing {
        let output = self.run(&mutation.probe().unwrap().command());
        mutation
            .judge(&output)
            .unwrap_or_else(|error| unreachable!("{error}: {output:?}"))
    }

    fn calls(&self) -> Vec<String> {
        fs::read_to_string(self.path("/calls"))
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

mod apt;
mod etcd;
mod looking;
mod operation;
mod rollback;
mod rpm;
mod way_back;

fn packages(names: &[&str]) -> Vec<PackageRevision> {
    names
        .iter()
        .map(|name| PackageRevision {
            name: (*name).to_owned(),
            revision: "1.35.4-1.1".to_owned(),
        })
        .collect()
}
