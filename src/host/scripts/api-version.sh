api_endpoint
emit version kube --request-timeout=10s get --raw /version
