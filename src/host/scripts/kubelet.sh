flags() { # the one variable of a file that systemd reads as EnvironmentFile
  sed -n 's/^KUBELET_KUBEADM_ARGS=//p' /var/lib/kubelet/kubeadm-flags.env
}
emit flags flags
emit config-sha256 sha256sum /var/lib/kubelet/config.yaml
emit kubelet kubelet_state
