//! The commands, one file each; the only place that wires adapters to the rest.
