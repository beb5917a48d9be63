//! Why there is no plan: every reason, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::look::{Look, wrapped};
use crate::plan::reason::{Blocked, Reason};

/// Places that share a reason; the rest is counted.
const PLACES_NAMED: usize = 20;

/// Every reason why there is no plan: what, where, by which rule, what to do.
#[must_use]
pub fn blocked(blocked: &Blocked, width: u16, look: &Look) -> String {
    let Look {
        wrong,
        heading,
        faint,
    } = look;
    let count = blocked.reasons.len();
    let reasons = if count == 1 { "reason" } else { "reasons" };
    let mut text = format!("{wrong}blocked{wrong:#}: {count} {reasons}; nothing was changed\n");
    let width = usize::from(width);
    for told in told_once(&blocked.reasons) {
        let (place, code) = (told.place(PLACES_NAMED), told.code);
        let _ = writeln!(
            text,
            "\n{heading}{place}{heading:#} {faint}[{code}]{faint:#}"
        );
        let mut lines = vec![
            told.what,
            format!("next: {}", told.next),
            format!("source: {}", told.source),
        ];
        lines.extend(told.stricter.map(stricter));
        for line in lines.iter().flat_map(|line| wrapped(line, width, 2)) {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// A reason and every place that has it.
pub(super) struct Told<'r> {
    /// In the order in which they are met; never empty.
    pub(super) places: Vec<String>,
    /// The reason's code.
    pub(super) code: &'r str,
    /// What is wrong.
    pub(super) what: String,
    /// What to do.
    pub(super) next: String,
    /// Where it is demanded.
    pub(super) source: String,
    /// Where refit is stricter than kubeadm, what kubeadm does.
    pub(super) stricter: Option<&'static str>,
}

/// That refit is stricter here.
pub(super) fn stricter(kubeadm: &str) -> String {
    format!("stricter than kubeadm: {kubeadm}")
}

impl Told<'_> {
    /// The places, the first of them by name and the rest counted.
    pub(super) fn place(&self, named: usize) -> String {
        match self.places.get(..named) {
            Some(first) if self.places.len() > named => {
                format!(
                    "{} and {} more",
                    first.join(", "),
                    self.places.len() - named
                )
            }
            _ => self.places.join(", "),
        }
    }
}

/// The reasons with the places that share each, in the order in which they are met first.
pub(super) fn told_once(reasons: &[Reason]) -> Vec<Told<'_>> {
    let mut told: Vec<Told<'_>> = Vec::new();
    let mut index = BTreeMap::new();
    for reason in reasons {
        let [what, next, source] = [
            reason.to_string(),
            reason.next(),
            reason.source().to_string(),
        ];
        let key = (reason.code(), what.clone(), next.clone(), source.clone());
        let at = *index.entry(key).or_insert(told.len());
        match told.get_mut(at) {
            Some(told) => told.places.push(reason.place()),
            None => told.push(Told {
                places: vec![reason.place()],
                code: reason.code(),
                what,
                next,
                source,
                stricter: reason.stricter(),
            }),
        }
    }
    told
}

/// The reasons for machines.
///
/// # Errors
/// Never in practice: reasons are plain text.
pub fn blocked_json(blocked: &Blocked) -> Result<String, serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        format: &'static str,
        blocked: &'a [Reason],
    }
    let mut text = serde_json::to_string_pretty(&Document {
        format: "refit.blocked/v1",
        blocked: &blocked.reasons,
    })?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_many_places_share_is_told_once() {
        let unknown = |place: &str, what: &str| Reason::Unknown {
            place: place.to_owned(),
            what: what.to_owned(),
            error: "no route to host".to_owned(),
        };
        let mut reasons = vec![unknown("w1", "its clock"), unknown("w1", "the host")];
        reasons.extend((2..=22).map(|at| unknown(&format!("w{at}"), "the host")));
        let text = blocked(&Blocked { reasons }, 200, &Look::PLAIN);
        let headings: Vec<&str> = text
            .lines()
            .filter(|line| line.ends_with("[unknown]"))
            .collect();
        assert_eq!(headings[0], "w1 [unknown]");
        assert!(headings[1].starts_with("w1, w2, w3,"), "{text}");
        assert!(headings[1].ends_with("w20 and 2 more [unknown]"), "{text}");
        assert_eq!(headings.len(), 2);
        assert!(text.starts_with("blocked: 23 reasons"), "{text}");
    }
}
