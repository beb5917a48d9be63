api_endpoint
etcd_open
emit members etcdctl member list -w json
emit health etcdctl endpoint health --cluster -w json
emit status etcdctl endpoint status --cluster -w json
emit alarms etcdctl alarm list -w json
