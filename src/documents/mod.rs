//! The two documents people write, the inventory and the upgrade: strict YAML in, validated settings out.

pub mod settings;
