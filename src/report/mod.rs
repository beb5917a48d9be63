//! Everything people and machines read. Reports never decide.
