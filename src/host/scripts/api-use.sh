api_endpoint
# the last line tells that nothing was cut off before it
counted() {
  { kube --request-timeout=60s get --raw /metrics && echo '# whole'; } |
    sed -n -e '/^apiserver_requested_deprecated_apis{/p' -e '/^process_start_time_seconds /p' -e '/^# whole$/p'
}
emit counted counted
