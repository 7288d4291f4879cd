"""Asks the hosts that a download needs whether they answer, before TFDS tries for minutes.

Without a network TFDS takes 204 s to give up on MNIST; this takes `DEADLINE_S` at most.
"""

import threading
import time
from collections.abc import Iterable
from urllib.parse import urlsplit

import requests

# For all hosts together. Imports take some 5 of the 10 s that a user is to wait at most.
DEADLINE_S = 4.0
_REQUEST_TIMEOUT_S = 3.0


def unreachable_hosts(urls: Iterable[str], deadline_s: float = DEADLINE_S) -> dict[str, str]:
    """The hosts among `urls` that do not answer, each with the reason.

    Any HTTP answer will do, an error status too: hosts may refuse HEAD. One URL per host is asked, all hosts
    at once, through the proxies that the environment names. The threads are daemons because name resolution
    knows no timeout: one that hangs is left behind and does not keep the process alive.
    """
    by_host = {urlsplit(url).netloc: url for url in urls if urlsplit(url).scheme in ("http", "https")}
    reasons = dict.fromkeys(by_host, f"nothing in {deadline_s:g} s")

    def ask(host: str, url: str) -> None:
        try:
            requests.head(url, timeout=_REQUEST_TIMEOUT_S, allow_redirects=False)
        except requests.RequestException as error:
            reasons[host] = type(error).__name__
        else:
            del reasons[host]

    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in by_host.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + deadline_s
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return dict(reasons)
