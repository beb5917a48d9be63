//! What is installed, and from where: names of packages, what repositories offer, and their keys.

use std::collections::BTreeSet;

use super::Judge;
use crate::cluster::facts::{Observed, Offer, PackageManager};
use crate::cluster::model::HostName;
use crate::host::op::{KeyText, PackageRevision};
use crate::plan::data::Action;
use crate::plan::file::sha256;
use crate::plan::verify::cluster::Machine;
use crate::plan::view::release_of_revision;
use crate::rules::version::Minor;

/// Whether two URLs name one repository: facts hold none of a URL's login.
pub fn same_repository(one: &str, other: &str) -> bool {
    let parts = |url: &str| -> Option<(String, String)> {
        let (scheme, rest) = url.trim_end_matches('/').split_once("://")?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit('@').next()?;
        Some((scheme.to_owned(), format!("{host}{path}")))
    };
    parts(one).is_some_and(|one| Some(one) == parts(other))
}

impl<'f> Judge<'_, '_, 'f> {
    fn manager(&mut self, machine: &Machine<'_>, manager: PackageManager) {
        let is = machine.packages.manager;
        if manager != is {
            self.should("manager", format!("{manager:?}"), format!("{is:?}"));
        }
    }

    pub(super) fn names(&mut self, host: &HostName, manager: PackageManager, packages: &[String]) {
        let Some(machine) = self.host(host) else {
            return;
        };
        self.manager(machine, manager);
        for package in packages {
            if !machine.packages.installed.contains_key(package) {
                self.should("packages", package, "a package that is installed");
            }
        }
    }

    fn offer(&self, machine: &Machine<'f>, minor: Minor) -> Option<&'f Offer> {
        machine.offers.get(&minor).and_then(Observed::known)
    }

    pub(super) fn packages(
        &mut self,
        host: &HostName,
        manager: PackageManager,
        packages: &[PackageRevision],
        among: &[&str],
        with: Option<&str>,
    ) {
        let Some(machine) = self.host(host) else {
            return;
        };
        self.manager(machine, manager);
        let mut seen = BTreeSet::new();
        for package in packages {
            let name = package.name.as_str();
            let known = among.contains(&name) && machine.packages.installed.contains_key(name);
            if !known || !seen.insert(name) {
                self.should("packages", name, "a package that is installed, once");
            }
            let release = release_of_revision(&package.revision);
            let offered = release
                .and_then(|release| self.offer(machine, release.minor())?.revisions.get(name))
                .is_some_and(|revisions| revisions.contains(&package.revision));
            if !offered {
                self.should(
                    "packages",
                    &package.revision,
                    format!("a {name} that is offered to {host}"),
                );
            }
        }
        if let Some(with) = with.filter(|with| !seen.contains(with)) {
            self.should("packages", "without it", format!("with {with}"));
        }
    }

    pub(super) fn repository(&mut self, host: &HostName, minor: Minor, action: &Action) {
        let Action::SwitchRepository {
            manager,
            content,
            key,
            key_sha256,
            ..
        } = action
        else {
            return;
        };
        let Some(machine) = self.host(host) else {
            return;
        };
        self.manager(machine, *manager);
        let Some(offer) = self.offer(machine, minor) else {
            self.should("minor", minor, "a minor whose repository was looked at");
            return;
        };
        let mut words = content.split(|c: char| c.is_whitespace() || c == '=');
        if !words.any(|word| same_repository(word, &offer.url)) {
            self.should("content", "another repository", &offer.url);
        }
        self.same("key_sha256", key_sha256, &offer.key_sha256);
        match key {
            // Wherever it comes from, the host takes no key of another digest.
            KeyText::Url(_) => {}
            KeyText::Text(text) => self.same("key", sha256(text.as_bytes()), &offer.key_sha256),
        }
    }
}
