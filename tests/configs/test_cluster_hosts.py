"""The scripts of configs/cluster on two hosts: network namespaces with a cable between them, which can be cut."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.process import REPOSITORY, is_running, wait_until

# This shell is the first host, a second namespace the other one. No privilege is needed: they belong to a user
# namespace of their own.
HOSTS = r"""
set -eu
unshare --net sleep 600 & other=$!
trap 'kill $other' EXIT
on_other() { nsenter --target "$other" --net "$@"; }
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.1; done
ip link add name cable type veth peer name cable netns "$other"
ip link set lo up; ip address add 10.77.0.1/16 dev cable; ip link set cable up
on_other sh -c 'ip link set lo up; ip address add 10.77.1.1/16 dev cable; ip link set cable up'

task() {
    export JOB_COMPLETION_INDEX=$1 NUM_WORKERS=2 HOSTS=10.77.INDEX.1; shift
    TF_CONFIG=$(sh configs/cluster/tf_config_from_index.sh) && export TF_CONFIG
    exec "$@" sh configs/cluster/train_or_resume.sh $RUN
}
(task 0) >"$LOGS/0.out" 2>"$LOGS/0.err" & first=$!
(task 1 nsenter --target "$other" --net) >"$LOGS/1.out" 2>"$LOGS/1.err" & second=$!
while kill -0 $first $second 2>/dev/null; do
    if [ -e "$LOGS/cut" ]; then ip link set cable down; rm "$LOGS/cut"; fi
    sleep 0.1
done
code=0; wait $first || code=$?; echo $code >"$LOGS/0.code"
code=0; wait $second || code=$?; echo $code >"$LOGS/1.code"
"""


def may_make_hosts():
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip")):
        return False
    command = ["unshare", "--user", "--map-root-user", "--net", "ip", "link", "add", "name", "cable", "type", "veth"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not may_make_hosts(), reason="this user may not make network namespaces"),
]


class TwoHosts:
    """The command on two hosts, as one process each."""

    def __init__(self, logs, *flags):
        self.logs = logs
        environment = {
            **os.environ,
            "LOGS": str(logs),
            "RUN": " ".join([str(logs / "run"), *flags]),
            "PYTHON": sys.executable,
        }
        command = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", HOSTS]
        self.process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, start_new_session=True)

    def cut(self):
        """Takes the cable out; returns when it is out."""
        (self.logs / "cut").touch()
        wait_until(lambda: not (self.logs / "cut").exists(), timeout=10)

    def end(self):
        """Waits for the end; returns the exit codes and what each host said of errors."""
        assert self.process.wait(300) == 0
        codes = [int((self.logs / f"{host}.code").read_text()) for host in (0, 1)]
        return codes, [(self.logs / f"{host}.err").read_text() for host in (0, 1)]


@pytest.fixture
def start(tmp_path):
    started = []

    def start_two(*flags):
        started.append(TwoHosts(tmp_path, "--device=cpu", "--virtual_gpus=2", "--verify=off", *flags))
        return started[-1]

    yield start_two
    for hosts in started:
        if is_running(hosts.process.pid):
            os.killpg(hosts.process.pid, signal.SIGKILL)


def test_they_train_together_and_go_on_when_started_again(tmp_path, start):
    for steps in (10, 20):
        codes, errors = start(f"--steps={steps}").end()
        assert codes == [0, 0], errors
        report = json.loads((tmp_path / "run/report.json").read_text())
        assert report["training"]["steps"] == steps
        assert len(report["devices"]["names"]) == 4


def test_a_cut_cable_ends_both_within_the_bound(tmp_path, start):
    hosts = start("--epochs=100000", "--save_every=5", "--notice_timeout=10")
    wait_until(lambda: list(tmp_path.glob("run/checkpoints/*.index")))
    hosts.cut()
    begin = time.monotonic()
    codes, errors = hosts.end()
    assert codes == [3, 3], errors
    assert time.monotonic() - begin < 60
    for error in errors:
        assert "does not answer any more" in error
        assert "--resume" in error
