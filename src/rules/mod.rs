//! What the field knows: versions, skew, hazards, eviction. Pure functions over plain data.
//!
//! Nothing here knows where facts come from or what a plan looks like, so that a rule can be read, cited and tested alone.

pub mod eviction;
pub mod hazards;
pub mod kubeadm_files;
pub mod kubeadm_images;
pub mod kubeadm_phases;
pub mod kubeadm_policy;
pub mod placement;
pub mod skew;
pub mod static_pods;
pub mod support;
pub mod version;
