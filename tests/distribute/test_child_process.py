import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from distribute.memory_check.child_process import ChildProcess


def start(name, timeout_s=30.0, without=(), **arguments):
    return ChildProcess(
        f"tests.distribute.child_targets:{name}",
        arguments,
        environment=os.environ,
        timeout_s=timeout_s,
        without=without,
    )


class TestChildProcess:
    def test_has_the_path_and_the_folder_of_its_parent_and_gets_what_is_sent(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path / "package folder"))
        child = start("echo", phase="echoing")
        child.send(b"payload")
        outcome = child.outcome()
        assert outcome.ok
        assert outcome.phase == "echoing"
        assert outcome.result["received"] == "payload"
        assert Path(outcome.result["folder"]) == tmp_path
        # Python itself leaves out what stands in the path for the second time.
        expected = list(dict.fromkeys(folder or str(tmp_path) for folder in sys.path))
        assert list(dict.fromkeys(outcome.result["path"]))[: len(expected)] == expected

    def test_prints_nowhere_and_reads_nothing(self, capfd):
        assert start("talk").outcome().result == {"read": ""}
        assert capfd.readouterr() == ("", "")

    def test_an_exception_comes_with_its_phase_type_text_and_traceback(self):
        outcome = start("fail").outcome()
        assert not outcome.ok
        assert not outcome.died
        assert outcome.error_types[:2] == ("KeyError", "LookupError")
        assert "KeyError in failing: 'what was wrong'" in outcome.message
        assert "child_targets.py" in outcome.report

    @pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
    def test_death_by_signal_is_named_and_comes_with_the_last_output(self, number):
        outcome = start("die", signal=int(number)).outcome()
        assert outcome.died
        assert signal.Signals(number).name in outcome.message
        assert "the last words" in outcome.report

    def test_leaving_without_a_result_is_a_death_too(self):
        outcome = start("leave").outcome()
        assert outcome.died
        assert "exit code 7" in outcome.message

    def test_a_child_that_hangs_is_ended_in_time(self):
        begin = time.monotonic()
        outcome = start("hang", timeout_s=1.0).outcome()
        assert time.monotonic() - begin < 10
        assert "had not ended after 1 s in hanging" in outcome.message

    def test_leaves_neither_processes_nor_files_behind(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        children = [start("hang") for _ in range(2)]
        for child in children:
            child.kill()
            child.outcome()
        ours = {process.pid for process in psutil.Process().children(recursive=True)}
        assert not ours & {child.pid for child in children}
        assert not list(tmp_path.iterdir())

    def test_can_do_without_a_module_while_its_entry_is_imported(self):
        assert start("imports", module="json.tool", without=["json.tool"]).outcome().result == {"found": True}

    def test_dies_with_its_parent(self):
        code = """
            import os, time
            from tests.distribute.test_child_process import start
            children = [start("hang"), start("echo", phase="waiting for a message")]
            print(*[child.pid for child in children], flush=True)
            time.sleep(600)
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
        ) as parent:
            pids = [int(pid) for pid in parent.stdout.readline().split()]
            assert len(pids) == 2
            time.sleep(0.5)
            assert all(psutil.pid_exists(pid) for pid in pids)
            parent.kill()
        deadline = time.monotonic() + 10
        while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(_alive(pid) for pid in pids)


def _alive(pid):
    # A container without an init process keeps the dead as zombies: nobody asks for their exit status.
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
