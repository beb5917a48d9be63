kubelet_state() { # whether the kubelet that runs is the one that is installed
  pid=$(systemctl show -p MainPID --value kubelet.service) || return 1
  if [ -z "$pid" ] || [ "$pid" = 0 ]; then echo stopped; return 0; fi
  exe=$(readlink "/proc/$pid/exe") || return 1
  case $exe in *' (deleted)') echo replaced ;; *) echo installed ;; esac
}
