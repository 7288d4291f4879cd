"""Which hosts answer: real sockets on this machine."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from train import dataset_hosts
from train.dataset_hosts import unreachable_hosts


class _Refusing(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:  # noqa: N802  # the name that http.server looks for
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class TestUnreachableHosts:
    def test_an_error_status_is_an_answer(self, answering):
        assert unreachable_hosts([f"http://{answering}/a", f"http://{answering}/b"]) == {}

    def test_a_closed_port_is_none(self, answering):
        assert unreachable_hosts([f"http://{answering}/", "http://127.0.0.1:9/x"]) == {"127.0.0.1:9": "ConnectionError"}

    def test_a_silent_host_costs_the_request_timeout(self, silent, monkeypatch):
        monkeypatch.setattr(dataset_hosts, "_REQUEST_TIMEOUT_S", 0.3)
        assert unreachable_hosts([f"http://{silent}/"]) == {silent: "ReadTimeout"}

    def test_what_hangs_costs_the_deadline_at_most(self, monkeypatch):
        monkeypatch.setattr(dataset_hosts.requests, "head", lambda *_, **__: time.sleep(30))
        start = time.monotonic()
        reasons = unreachable_hosts([f"http://host{number}.invalid/" for number in range(5)], deadline_s=0.3)
        assert time.monotonic() - start < 10  # of the 30 s that each hangs
        assert reasons == dict.fromkeys([f"host{number}.invalid" for number in range(5)], "nothing in 0.3 s")

    def test_other_schemes_are_not_asked(self):
        assert unreachable_hosts(["ftp://127.0.0.1:9/x", "file:///tmp/x"]) == {}
