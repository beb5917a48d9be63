//! Hazards: what breaks on the way to a minor, how facts show it, and what helps.
//!
//! The catalogue is data ([`catalogue`]): each entry names the hops that it threatens, a detector out of a closed list with
//! its parameters, how bad it is, a remedy that works and the upstream source. [`detect`] holds the detectors, pure
//! functions over [`evidence`], which is plain data: nothing here knows facts, documents or plans. [`page`] prints the
//! catalogue for people.
//!
//! A check that could not be made counts like the hazard itself: unknown is not fine.

pub mod accept;
mod around;
pub mod catalogue;
mod control_plane;
pub mod detect;
pub mod evidence;
mod flags;
pub mod page;

pub use accept::{Acceptance, Verdict};
pub use catalogue::{Catalogue, CatalogueError, Detector, Hazard, Hops, Severity, Where};
pub use detect::{Finding, Sighting, What, find};
pub use evidence::Evidence;
