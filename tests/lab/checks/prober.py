"""prober.py RESULT URL...: ten requests a second, in turn over the URLs, until SIGTERM; then writes what it saw to RESULT.

Each request has a connection of its own: two seconds for a pod's kernel to take it, where a pod that is gone is found
out, and five for the answer, as all the nodes of the lab share one machine's processors. Requests overlap: a slow one
does not make the others rare.
"""

import http.client
import json
import signal
import sys
import threading
import time
import urllib.parse

CONNECT_S, ANSWER_S = 2, 5

result, urls = sys.argv[1], sys.argv[2:]
lock = threading.Lock()
stop = threading.Event()
seen = {"tries": 0, "failures": [], "slowest_ms": 0, "over_a_second": 0, "longest_gap_ms": 0}
last_good = time.monotonic()


def probe(url):
    global last_good
    began = time.monotonic()
    problem = None
    stage = "no connection"
    try:
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=CONNECT_S)
        connection.connect()
        stage = "no answer"
        connection.sock.settimeout(ANSWER_S)
        connection.request("GET", "/")
        if not connection.getresponse().read().startswith(b"web-"):
            problem = "an answer that no pod of ours gives"
        connection.close()
    except Exception as error:  # whatever it was, the user saw no page
        problem = f"{stage}: {error}"
    now = time.monotonic()
    with lock:
        seen["tries"] += 1
        seen["over_a_second"] += now - began > 1
        seen["slowest_ms"] = max(seen["slowest_ms"], int(1000 * (now - began)))
        if problem is None:
            seen["longest_gap_ms"] = max(seen["longest_gap_ms"], int(1000 * (now - last_good)))
            last_good = now
        else:
            seen["failures"].append({"at": time.strftime("%H:%M:%SZ", time.gmtime()), "url": url, "problem": problem})


signal.signal(signal.SIGTERM, lambda *_: stop.set())
running = []
number = 0
due = time.monotonic()
while not stop.is_set():
    thread = threading.Thread(target=probe, args=(urls[number % len(urls)],), daemon=True)
    thread.start()
    running = [t for t in running if t.is_alive()] + [thread]
    number += 1
    due += 0.1
    stop.wait(max(0, due - time.monotonic()))
for thread in running:
    thread.join(timeout=CONNECT_S + ANSWER_S + 1)
with lock, open(result, "w", encoding="utf-8") as file:
    json.dump(seen, file, indent=1)
