api_endpoint
ready() { kube --request-timeout=10s get --raw '/readyz?verbose' 2>&1; }
emit ready ready
