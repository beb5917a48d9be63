//! The outside world behind the ports: the only users of kube, SSH, the disk and real time.
