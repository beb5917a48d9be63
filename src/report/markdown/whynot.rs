//! Why there is no plan: the first reasons in full, further ones folded, the rest counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::text::{clip, code, folded, prose};
use super::{LIMIT, marker};
use crate::plan::data::Plan;
use crate::plan::reason::Blocked;
use crate::report::blocked::{stricter, told_once};
use crate::report::words;

/// Reasons that are read without unfolding.
const OPEN: usize = 10;

/// Places that share a reason; the rest is counted.
const PLACES_NAMED: usize = 12;

/// Characters of what a reason says: an error of a host may be of any length.
const SAID: usize = 1000;

/// Bytes kept for what is counted at the end.
const REST: usize = 6_000;

/// Every reason, with what to do about it. `observed` is when the facts were observed; `against` the earlier plan that a new
/// one was to be compared with.
#[must_use]
pub fn blocked(
    upgrade: &str,
    blocked: &Blocked,
    observed: Timestamp,
    at: Timestamp,
    against: Option<&Plan>,
) -> String {
    let mut text = marker(upgrade);
    let count = blocked.reasons.len();
    let reasons = if count == 1 { "reason" } else { "reasons" };
    let _ = write!(
        text,
        "### {}: blocked for {count} {reasons}\n\nThere is no plan, and nothing was changed. Facts: {}.\n\n",
        code(&clip(upgrade, 253)),
        prose(&words::observed(observed, at)),
    );
    if let Some(earlier) = against {
        let _ = write!(text, "{}\n\n", prose(&words::not_compared(earlier)));
    }
    let mut further = String::new();
    let mut shown = 0;
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for told in told_once(&blocked.reasons) {
        let mut item = format!(
            "- **{}** {}: {}\n  - next: {}\n",
            prose(&clip(&told.place(PLACES_NAMED), SAID)),
            code(told.code),
            prose(&clip(&told.what, SAID)),
            prose(&clip(&told.next, SAID)),
        );
        let _ = writeln!(item, "  - source: {}", prose(&clip(&told.source, SAID)));
        if let Some(kubeadm) = told.stricter {
            let _ = writeln!(item, "  - {}", prose(&stricter(kubeadm)));
        }
        if text.len() + further.len() + item.len() > LIMIT - REST {
            *left.entry(told.code).or_default() += told.places.len();
        } else if shown < OPEN {
            text.push_str(&item);
            shown += 1;
        } else {
            further.push_str(&item);
            shown += 1;
        }
    }
    text.push('\n');
    if !further.is_empty() {
        text.push_str(&folded(&format!("{} more", shown - OPEN), &further));
    }
    if !left.is_empty() {
        text.push_str("Not shown here, as `refit plan` shows them:\n\n");
        for (code_, count) in left {
            let _ = writeln!(text, "- {count} × {}", code(code_));
        }
        text.push('\n');
    }
    text
}
