flags() { # the one variable of a file that systemd reads as EnvironmentFile
  sed -n 's/^KUBELET_KUBEADM_ARGS=//p' /var/lib/kubelet/kubeadm-flags.env
}
kubelet_command() { # one argument a line
  pid=$(systemctl show -p MainPID --value kubelet.service) || return 1
  if [ -z "$pid" ] || [ "$pid" = 0 ]; then echo "refit: no kubelet runs" >&2; return 1; fi
  tr '\0' '\n' <"/proc/$pid/cmdline"
}
instance_config() {
  if [ -f /var/lib/kubelet/instance-config.yaml ]; then echo present; else echo absent; fi
}
emit flags flags
emit config-sha256 sha256sum /var/lib/kubelet/config.yaml
emit kubelet kubelet_state
emit command kubelet_command
emit instance-config instance_config
