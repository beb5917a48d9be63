//! Typed answers to queries.
//!
//! Strict: an answer that is not exactly what the query's command prints is an [`AnswerError`], never a default, because
//! a wrong "fine" would let a plan go on. Scripts answer in sections, one line each (name, exit status, output in base64),
//! so that nothing inside an output can be taken for something else.

mod api_use;
mod control_plane;
mod etcd;
mod hand_edits;
mod machine;
mod packages;
mod patches;
mod rollback;
mod way_back;

pub use api_use::api_use;
pub use control_plane::{
    ApiReady, Manifests, api_ready, api_version, certificates, images, kubeadm_version, manifests,
};
pub use etcd::{Snapshot, SnapshotStatus, etcd, external_etcd, left_snapshots, snapshot};
pub use hand_edits::hand_edits;
pub use machine::{Basics, Kubelet, RunningKubelet, basics, directory, kubelet, redacted};
pub use packages::{Installed, Repository, installed, offer, packages, prefetched, repository};
pub use patches::patches;
pub use rollback::{KeptManifest, KubeadmBackups, LastKubeadm, kubeadm_backups};
pub use way_back::{WayBack, way_back};

use base64::Engine as _;

use super::op::{AnswerError, Output};

/// The part of an answer that one command of a script gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    name: String,
    status: i32,
    text: String,
}

/// A script's whole answer.
#[derive(Debug)]
pub(super) struct Sections<'a> {
    command: &'static str,
    sections: Vec<Section>,
    stderr: &'a str,
}

fn wrong(command: &str, problem: impl Into<String>) -> AnswerError {
    AnswerError {
        command: command.to_owned(),
        problem: problem.into(),
    }
}

/// The last words of a failed command, for people.
fn last_words(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let tail = lines[lines.len().saturating_sub(3)..].join("; ");
    if tail.is_empty() {
        "it said nothing".to_owned()
    } else {
        tail
    }
}

/// The output of a command that must have ended well.
fn success<'a>(command: &str, output: &'a Output) -> Result<&'a str, AnswerError> {
    if output.status == 0 {
        Ok(&output.stdout)
    } else {
        Err(wrong(
            command,
            format!(
                "exit status {}: {}",
                output.status,
                last_words(&output.stderr)
            ),
        ))
    }
}

impl<'a> Sections<'a> {
    pub(super) fn read(command: &'static str, output: &'a Output) -> Result<Self, AnswerError> {
        let text = success(command, output)?;
        let sections = text
            .lines()
            .map(|line| {
                let section = || -> Option<Section> {
                    let [name, status, encoded] =
                        <[&str; 3]>::try_from(line.split('\t').collect::<Vec<_>>()).ok()?;
                    let bytes = base64::engine::general_purpose::STANDARD
                        .decode(encoded)
                        .ok()?;
                    Some(Section {
                        name: name.to_owned(),
                        status: status.parse().ok()?,
                        text: String::from_utf8_lossy(&bytes).into_owned(),
                    })
                };
                section().ok_or_else(|| {
                    let shown: String = line.chars().take(60).collect();
                    wrong(command, format!("not a section: `{shown}`"))
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            command,
            sections,
            stderr: &output.stderr,
        })
    }

    pub(super) fn get(&self, name: &str) -> Result<&Section, AnswerError> {
        self.sections
            .iter()
            .find(|section| section.name == name)
            .ok_or_else(|| self.wrong(format!("no section `{name}`")))
    }

    /// The text of a section whose command must have ended well.
    pub(super) fn text(&self, name: &str) -> Result<&str, AnswerError> {
        let section = self.get(name)?;
        self.good(section)
    }

    fn good<'s>(&self, section: &'s Section) -> Result<&'s str, AnswerError> {
        if section.status == 0 {
            Ok(section.text.trim())
        } else {
            Err(self.failed(section))
        }
    }

    /// Sections that come in pairs: of each, the first one's text, and the second one's if its command ended well.
    #[allow(clippy::type_complexity)]
    fn in_pairs(
        &self,
        first: &str,
        second: &str,
    ) -> Result<Vec<(&str, Result<&str, AnswerError>)>, AnswerError> {
        let pairs = self.sections.chunks(2).map(|pair| match pair {
            [one, other] if one.name == first && other.name == second => {
                Ok((self.good(one)?, self.good(other)))
            }
            _ => Err(self.wrong(format!("`{first}` and `{second}` do not come in pairs"))),
        });
        pairs.collect()
    }

    fn failed(&self, section: &Section) -> AnswerError {
        self.wrong(format!(
            "`{}` ended with exit status {}: {}",
            section.name,
            section.status,
            last_words(self.stderr)
        ))
    }

    /// Sections that come in threes, for each file: its path, its digest, its text.
    fn files(&self, path: &str, sha256: &str, text: &str) -> Result<Vec<File>, AnswerError> {
        let mut files = Vec::new();
        for (index, section) in self.sections.iter().enumerate() {
            if section.name != path {
                continue;
            }
            let at = |offset: usize, name: &str| {
                self.sections
                    .get(index + offset)
                    .filter(|section| section.name == name)
                    .ok_or_else(|| self.wrong(format!("no `{name}` after `{path}`")))
            };
            files.push(File {
                path: self.good(section)?.to_owned(),
                sha256: self.digest(self.good(at(1, sha256)?)?)?,
                text: self.good(at(2, text)?)?.to_owned(),
            });
        }
        Ok(files)
    }

    /// The digest out of what sha256sum printed.
    fn digest(&self, printed: &str) -> Result<String, AnswerError> {
        let digest = printed.split_whitespace().next().unwrap_or_default();
        if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(digest.to_owned())
        } else {
            Err(self.wrong(format!("`{printed}` is not a SHA-256")))
        }
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, AnswerError> {
        json(self.command, self.text(name)?)
    }

    pub(super) fn wrong(&self, problem: impl Into<String>) -> AnswerError {
        wrong(self.command, problem)
    }
}

/// A file of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    path: String,
    sha256: String,
    text: String,
}

fn json<T: serde::de::DeserializeOwned>(command: &str, text: &str) -> Result<T, AnswerError> {
    serde_json::from_str(text)
        .map_err(|error| wrong(command, format!("not the JSON expected: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod testing {
    use super::*;

    /// The answer that a script gives, from its sections.
    pub fn answer(sections: &[(&str, i32, &str)]) -> Output {
        let stdout = sections
            .iter()
            .fold(String::new(), |mut all, (name, status, text)| {
                let encoded = base64::engine::general_purpose::STANDARD.encode(text);
                all.push_str(&format!("{name}\t{status}\t{encoded}\n"));
                all
            });
        Output {
            status: 0,
            stdout,
            stderr: String::new(),
        }
    }

    #[test]
    fn an_answer_that_is_cut_or_mixed_up_is_an_error() {
        for stdout in [
            "uid\t0\n",
            "uid\t0\tMA==\textra\n",
            "uid\tx\tMA==\n",
            "uid\t0\t*\n",
            "hello\n",
        ] {
            let output = Output {
                stdout: stdout.to_owned(),
                ..Output::default()
            };
            assert!(Sections::read("test", &output).is_err(), "{stdout:?}");
        }
    }

    #[test]
    fn a_failed_command_says_why() {
        let output = Output {
            status: 70,
            stderr: "W: noise\n\nrefit: no API server here\n".to_owned(),
            ..Output::default()
        };
        let error = Sections::read("test", &output).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unexpected answer from `test`: exit status 70: W: noise; refit: no API server here"
        );
    }
}
