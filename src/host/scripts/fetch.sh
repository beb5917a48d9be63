# fetch URL FILE: downloads without credentials and without a cache
fetch() {
  if [ -x /usr/lib/apt/apt-helper ]; then
    /usr/lib/apt/apt-helper -o Acquire::EnableSrvRecords=false -o Acquire::Retries=3 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
      download-file "$1" "$2" >&2
  else
    curl -fsSL --retry 3 --connect-timeout 20 --max-time 120 -o "$2" -- "$1"
  fi
}
