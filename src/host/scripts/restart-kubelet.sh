systemctl daemon-reload && systemctl restart kubelet.service || die 'the kubelet was installed but does not restart'
sleep 1
systemctl is-active --quiet kubelet.service || die 'the kubelet was installed and restarted, but does not stay up: see journalctl -u kubelet'
