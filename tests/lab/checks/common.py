"""What the checks share: one line for each verdict, the cluster's API, the journal."""

import base64
import http.client
import json
import os
import re
import socket
import ssl
import sys
import tempfile
import time


def check(what, holds, otherwise=""):
    """Prints a verdict, and says whether it is good."""
    print(f"ok    {what}" if holds else f"FAIL  {what}: {otherwise}", flush=True)
    return bool(holds)


class Api:
    """The cluster's API through a kubeconfig as kubeadm writes it. Reads only."""

    def __init__(self, kubeconfig, timeout=10):
        text = open(kubeconfig, encoding="utf-8").read()
        self.host, self.port = re.search(r"server: https://([^:\s]+):(\d+)", text).groups()
        name = re.search(r"tls-server-name: (\S+)", text)
        self.name = name.group(1) if name else self.host
        self.timeout = timeout
        self.tls = ssl.create_default_context(cadata=self._data(text, "certificate-authority").decode())
        pair = self._data(text, "client-certificate") + self._data(text, "client-key")
        with tempfile.NamedTemporaryFile() as file:
            file.write(pair)
            file.flush()
            self.tls.load_cert_chain(file.name)

    @staticmethod
    def _data(text, key):
        return base64.b64decode(re.search(rf"{key}-data: (\S+)", text).group(1))

    def _open(self, path):
        connection = http.client.HTTPSConnection(self.name, self.port, timeout=self.timeout)
        plain = socket.create_connection((self.host, int(self.port)), self.timeout)
        connection.sock = self.tls.wrap_socket(plain, server_hostname=self.name)
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            raise OSError(f"{path}: HTTP {response.status}: {response.read()[:200]!r}")
        return connection, response

    def get(self, path):
        connection, response = self._open(path)
        try:
            return json.load(response)
        finally:
            connection.close()

    def patiently(self, path, seconds=60):
        """Reads while an API server behind the balancer may be restarting."""
        until = time.monotonic() + seconds
        while True:
            try:
                return self.get(path)
            except (OSError, ValueError, http.client.HTTPException) as error:
                if time.monotonic() > until:
                    raise OSError(f"{path}: {error}") from error
                time.sleep(0.5)

    def watch(self, path):
        """Yields events until the connection ends."""
        connection, response = self._open(path)
        try:
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()


def journal(path):
    """The journal's events. A line that is cut off at the end is no event."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def host_log(path):
    """The lines of a host's own log of mutations, as (time, "start" | "end", run, operation, rest)."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [tuple((line.rstrip("\n").split("\t", 4) + [""] * 5)[:5]) for line in file if line.strip()]


def fail(message):
    print(message, file=sys.stderr)
    sys.exit(1)
