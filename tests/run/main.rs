//! What carries a plan out: the executor against a cluster in memory, the scripts that run on hosts, and the client of
//! Kubernetes.

mod drain;
mod drain_rules;
mod gates;
mod hooks;
mod host_scripts;
mod kill;
mod kube_adapter;
mod lease;
mod metrics;
mod sim;
mod soak;
mod steps;
mod windows;
mod world;
