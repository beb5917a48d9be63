//! Packages, repositories and images: what there is, and what a change leaves behind.

use crate::cluster::facts::{Observed, Offer, PackageFacts, RepositoryFile};
use crate::host::op::PackageRevision;
use crate::rules::kubeadm_images::{COMPONENTS, Companions};
use crate::rules::version::Version;

use super::Machine;
use super::fail::Failing;

impl Machine {
    pub(super) fn package_facts(&mut self) -> Option<&mut PackageFacts> {
        match &mut self.seen.packages {
            Observed::Known(packages) => Some(packages),
            Observed::Unknown(_) => None,
        }
    }

    pub(super) fn has_package(&self, package: &PackageRevision) -> bool {
        let packages = self.seen.packages.known();
        packages.is_some_and(|all| all.installed.get(&package.name) == Some(&package.revision))
    }

    /// The lists of this repository file have not been fetched since it was written.
    pub(super) fn lists_missing(&self, file: &str) -> bool {
        self.unfetched.contains(file)
    }

    /// The machine's own lists have this revision.
    pub(super) fn listed(&self, package: &PackageRevision) -> bool {
        let packages = self.seen.packages.known();
        let offered = packages.and_then(|all| all.offered.get(&package.name));
        offered.is_some_and(|all| all.contains(&package.revision))
            || self.has_package(package)
            || self.cache.contains(package)
    }

    fn offered_at(&self, url: &str) -> Option<&Offer> {
        let url = url.trim_end_matches('/');
        let mut known = self.seen.offers.values().filter_map(Observed::known);
        known.find(|offer| offer.url.trim_end_matches('/') == url)
    }

    /// Fetches the lists of all repositories of Kubernetes that are configured.
    pub(super) fn fetch_lists(&mut self) -> Result<(), Failing> {
        let files: Vec<RepositoryFile> = self
            .seen
            .packages
            .known()
            .map(|packages| packages.repositories.clone())
            .unwrap_or_default();
        let mut offered = None;
        for file in &files {
            match self.offered_at(&file.url) {
                Some(offer) => offered = Some(offer.revisions.clone()),
                None if self.unfetched.contains(&file.path) => {
                    return Err(Failing::with(
                        70,
                        format!(
                            "E: The repository '{}' does not have a Release file.\nrefit: the lists of {} cannot be fetched",
                            file.url, file.path
                        ),
                    ));
                }
                None => {}
            }
            self.unfetched.remove(&file.path);
        }
        if let (Some(offered), Some(packages)) = (offered, self.package_facts()) {
            packages.offered = offered;
        }
        Ok(())
    }

    /// Writes a repository's file and key.
    pub(super) fn write_repository(
        &mut self,
        file: &str,
        content: &str,
        key_file: &str,
        want: &str,
    ) -> Result<(), Failing> {
        let url = content
            .split(|c: char| c.is_whitespace() || c == '=')
            .filter(|word| word.contains("://"))
            .find(|word| !word.starts_with("file:") && !word.ends_with(".key"))
            .unwrap_or_default()
            .to_owned();
        if let Some(offer) = self.offered_at(&url)
            && offer.key_sha256 != super::digest(want)
        {
            return Err(Failing::with(
                70,
                format!(
                    "refit: the repository's key has SHA-256 {}, the plan was made with {want}: nothing was changed",
                    offer.key_sha256
                ),
            ));
        }
        let sha256 = crate::host::judge::sha256(content.as_bytes());
        self.files.insert(file.to_owned(), sha256.clone());
        self.files.insert(key_file.to_owned(), want.to_owned());
        self.unfetched.insert(file.to_owned());
        let Some(packages) = self.package_facts() else {
            return Ok(());
        };
        packages.repositories.retain(|known| known.path != file);
        packages.repositories.push(RepositoryFile {
            path: file.to_owned(),
            url,
            exclusive: true,
            sha256,
        });
        packages.repositories.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(())
    }

    /// kubeadm's images of a release. Tags that the field does not know stay as they are.
    pub(super) fn images_of(&self, version: &Version, repository: &str) -> Vec<String> {
        let mut images: Vec<String> = COMPONENTS
            .iter()
            .map(|name| format!("{repository}/{name}:{}", version.tag()))
            .collect();
        if let Some(companions) = Companions::of(version.minor()) {
            images.extend(companions.images(repository));
        }
        images
    }

    pub(super) fn missing_images(&self, version: &Version, repository: &str) -> Vec<String> {
        let mut images = self.images_of(version, repository);
        images.retain(|image| !self.images.contains(image));
        images
    }
}
