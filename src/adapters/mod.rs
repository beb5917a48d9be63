//! The outside world behind the ports: the only users of kube, SSH, HTTP, the disk and real time.
//!
//! Nothing here decides. An adapter turns typed operations into requests and their answers into the model, says honestly
//! whether a failed change may have happened, and retries reads only.

pub mod clock;
pub mod disk;
pub mod kube;
pub mod program;
pub mod prometheus;
mod seal;
pub mod ssh;
