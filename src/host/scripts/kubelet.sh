flags() { # the one variable of a file that systemd reads as EnvironmentFile
  sed -n 's/^KUBELET_KUBEADM_ARGS=//p' /var/lib/kubelet/kubeadm-flags.env
}
kubelet_state() {
  pid=$(systemctl show -p MainPID --value kubelet.service) || return 1
  if [ -z "$pid" ] || [ "$pid" = 0 ]; then echo stopped; return 0; fi
  exe=$(readlink "/proc/$pid/exe") || return 1
  case $exe in *' (deleted)') echo replaced ;; *) echo installed ;; esac
}
emit flags flags
emit config-sha256 sha256sum /var/lib/kubelet/config.yaml
emit kubelet kubelet_state
