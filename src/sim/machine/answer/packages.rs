//! Package managers and repositories.

use super::{Said, died, unseen};
use crate::cluster::facts::{Observed, PackageFacts, PackageManager, RepositoryFile};
use crate::host::op::{Output, PackageRevision};
use crate::ports::Failure;
use crate::rules::version::Version;
use crate::sim::machine::Machine;

const NAMES: [&str; 3] = ["kubeadm", "kubectl", "kubelet"];

/// A repository that is not Kubernetes' own, in a file that configures more than one.
const OTHER: &str = "https://deb.debian.org/debian";

/// What dpkg-query or rpm prints of installed packages, and its exit status.
fn installed(packages: &PackageFacts) -> (i32, String) {
    let all = NAMES.iter().copied().chain(
        packages
            .installed
            .keys()
            .chain(&packages.held)
            .map(String::as_str),
    );
    let all: std::collections::BTreeSet<&str> = all.collect();
    let mut text = String::new();
    let mut status = 0;
    for name in all {
        let held = packages.held.contains(name);
        match (packages.installed.get(name), packages.manager) {
            (Some(revision), PackageManager::Apt) => {
                let state = if held { "hi " } else { "ii " };
                text.push_str(&format!("{name}\t{revision}\t{state}\n"));
            }
            (None, PackageManager::Apt) if held => text.push_str(&format!("{name}\t\thn \n")),
            // dpkg-query tells it on standard error
            (None, PackageManager::Apt) => status = 1,
            (Some(revision), PackageManager::Dnf | PackageManager::Yum) => {
                text.push_str(&format!("{name}\t{revision}\n"));
            }
            (None, PackageManager::Dnf | PackageManager::Yum) => {
                status = 1;
                text.push_str(&format!("package {name} is not installed\n"));
            }
        }
    }
    (status, text)
}

/// What `versionlock list` prints.
fn locked(packages: &PackageFacts) -> String {
    packages
        .held
        .iter()
        .filter_map(|name| Some(format!("{name}-0:{}.*\n", packages.installed.get(name)?)))
        .collect()
}

/// What `apt-cache madison` or `dnf list --showduplicates` prints.
pub(super) fn offered(
    manager: PackageManager,
    revisions: &std::collections::BTreeMap<String, Vec<String>>,
) -> String {
    let mut text = String::new();
    for (name, revisions) in revisions {
        match manager {
            PackageManager::Apt => {
                for revision in revisions {
                    text.push_str(&format!("{name} | {revision} | {OTHER}  Packages\n"));
                }
            }
            PackageManager::Dnf | PackageManager::Yum => {
                for revision in revisions.iter().rev() {
                    text.push_str(&format!("{name}.x86_64  {revision}  kubernetes\n"));
                }
            }
        }
    }
    text
}

/// A file that configures the repository, in its own format.
fn source(manager: PackageManager, file: &RepositoryFile) -> String {
    let urls = std::iter::once(file.url.as_str()).chain((!file.exclusive).then_some(OTHER));
    let deb822 = file.path.ends_with(".sources");
    urls.map(|url| match manager {
        PackageManager::Apt if deb822 => format!("Types: deb\nURIs: {url}\nSuites: /\n\n"),
        PackageManager::Apt => format!("deb {url} /\n"),
        PackageManager::Dnf | PackageManager::Yum => format!("[r]\nbaseurl={url}\n"),
    })
    .collect()
}

impl Machine {
    fn sources(&self, said: &mut Said, packages: &PackageFacts) {
        for file in &packages.repositories {
            said.text("source-path", &file.path);
            said.text("source-sha256", &format!("{}  {}", file.sha256, file.path));
            said.text("source-text", &source(packages.manager, file));
        }
    }

    /// `scripts/packages.sh`.
    pub(super) fn packages(&self) -> Result<Output, Failure> {
        let packages = match &self.seen.packages {
            Observed::Known(packages) => packages,
            Observed::Unknown(why) => return unseen(why),
        };
        let mut said = Said::default();
        said.text("manager", tool(packages.manager));
        let (status, text) = installed(packages);
        said.section("installed", status, &text);
        let audit = packages.trouble.as_deref().unwrap_or_default();
        match packages.manager {
            PackageManager::Apt => {
                let audit = audit.strip_prefix("dpkg --audit: ").unwrap_or(audit);
                said.text("audit", audit);
            }
            PackageManager::Dnf | PackageManager::Yum => {
                said.text("locked", &locked(packages));
                said.text("audit", "rpm-4.16");
            }
        }
        said.text("offered", &offered(packages.manager, &packages.offered));
        self.sources(&mut said, packages);
        Ok(said.done())
    }

    /// `scripts/installed.sh`.
    pub(super) fn installed_packages(&self) -> Result<Output, Failure> {
        let packages = match &self.seen.packages {
            Observed::Known(packages) => packages,
            Observed::Unknown(why) => return unseen(why),
        };
        let mut said = Said::default();
        said.text("manager", tool(packages.manager));
        let (status, text) = installed(packages);
        said.section("installed", status, &text);
        match packages.manager {
            PackageManager::Apt => {}
            PackageManager::Dnf | PackageManager::Yum => {
                said.text("locked", &locked(packages));
                self.sources(&mut said, packages);
            }
        }
        said.text("kubelet", self.running_kubelet());
        Ok(said.done())
    }

    /// `scripts/offer.sh`.
    pub(super) fn offer(&self, url: &str) -> Result<Output, Failure> {
        let manager = match &self.seen.packages {
            Observed::Known(packages) => packages.manager,
            Observed::Unknown(why) => return unseen(why),
        };
        let known = self.seen.offers.values().filter_map(Observed::known);
        let Some(offer) = known.into_iter().find(|offer| offer.url == url) else {
            // Which repository an unseen offer is of, the facts do not say.
            let why = self.seen.offers.values().find_map(|offer| match offer {
                Observed::Known(_) => None,
                Observed::Unknown(why) => Some(why),
            });
            return match why {
                Some(why) => unseen(why),
                None => Ok(died(&format!("the repository {url} cannot be read"))),
            };
        };
        let mut said = Said::default();
        said.text("key-sha256", &format!("{}  key.asc", offer.key_sha256));
        said.text("offered", &offered(manager, &offer.revisions));
        Ok(said.done())
    }

    /// `scripts/repository.sh`.
    pub(super) fn repository(&self, file: &str, key_file: &str) -> Output {
        let mut said = Said::default();
        let digest = |path: &str| match self.files.get(path) {
            Some(sha256) => format!("{sha256}  {path}"),
            None => String::new(),
        };
        said.text("file", &digest(file));
        said.text("key", &digest(key_file));
        let fetched = self.files.contains_key(file) && !self.lists_missing(file);
        said.text("lists", if fetched { "fetched" } else { "missing" });
        said.done()
    }

    /// `scripts/prefetched.sh`.
    pub(super) fn prefetched(&self, packages: &[PackageRevision]) -> Output {
        let mut said = Said::default();
        let missing = packages
            .iter()
            .filter(|package| !self.cache.contains(*package) && !self.has_package(package))
            .count();
        said.text("missing", &missing.to_string());
        said.done()
    }

    /// `scripts/images.sh`.
    pub(super) fn images_wanted(&self, version: &Version, repository: &str) -> Output {
        let mut said = Said::default();
        said.text("wanted", &self.images_of(version, repository).join("\n"));
        let tags: Vec<&str> = self.images.iter().map(String::as_str).collect();
        let images = serde_json::json!({"images": [{"id": "x", "repoTags": tags}]});
        said.text("present-crictl", &images.to_string());
        said.done()
    }
}

const fn tool(manager: PackageManager) -> &'static str {
    match manager {
        PackageManager::Apt => "apt",
        PackageManager::Dnf => "dnf",
        PackageManager::Yum => "yum",
    }
}
