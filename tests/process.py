"""Runs Python in a process of its own, for what TensorFlow allows once per process, and for the scripts."""

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent

# A server that has imported TensorFlow, and never used it, forks a fresh process in no time; a new one takes seconds.
_FRESH = multiprocessing.get_context("forkserver")
_FRESH.set_forkserver_preload(["tensorflow", "distribute"])


def run_python(code, *, timeout=120):
    """Runs a piece of code in a process with unused TensorFlow; returns its exit code and output as text."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = start_python(code, out, err)
        process.join(timeout)
        if process.is_alive():
            process.kill()
            raise TimeoutError(f"not done after {timeout} s: {code}\n{err.read_text()}")
        return subprocess.CompletedProcess(code, process.exitcode, out.read_text(), err.read_text())


def start_python(code, out, err):
    """Starts a piece of code in a process with unused TensorFlow; what it prints goes to the files `out` and `err`."""
    process = _FRESH.Process(target=_execute, args=(code, str(out), str(err)))
    process.start()
    return process


def _execute(code, out, err):
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    try:
        exec(code, {"__name__": "fresh"})
    except Exception:  # noqa: BLE001  # whatever the code raises is its result
        traceback.print_exc()
        sys.exit(1)


def run_main(*flags, cwd=None, timeout=240, **environment):
    """Runs `train/main.py` with flags as `run_script_in_fork` does."""
    return run_script_in_fork("train/main.py", *flags, cwd=cwd or Path.cwd(), timeout=timeout, **environment)


def run_script(script, *flags, cwd=None, timeout=240, **environment):
    """Runs a script of the repository with flags; returns the completed process with text output."""
    return _run([sys.executable, str(REPOSITORY / script), *flags], timeout, cwd, environment)


def _run(command, timeout, cwd, environment):
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@contextlib.contextmanager
def running(*command):
    """Starts a command, whose output is to be read; it does not outlive the block."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def assert_refused(result, code, *words):
    """The process ended with `code` and one short message that holds `words`, without a traceback."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 4, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def wait_until(condition, *, timeout=120):
    """Waits until `condition()` is true, and fails where it has not come true in so many seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not so after {timeout} s"
        time.sleep(0.1)


def is_running(pid):
    """Whether there is such a process, and not only what is left of one."""
    # A container without an init process keeps the dead as zombies: nobody asks for their exit status.
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def run_script_in_fork(script, *flags, cwd, before="", timeout=240, **environment):
    """Runs a script in a process that has TensorFlow already: that saves the seconds of an import.

    What a script prints while TensorFlow is imported, and that it is quiet, needs `run_script`. The code `before` is
    executed first, to plant a fault.
    """
    code = f"import os; os.environ.update({environment!r})\n{before}\n{_script_code(script, flags, cwd)}"
    return run_python(code, timeout=timeout)


def start_script_in_fork(script, *flags, cwd, output, before=""):
    """Starts a script as `run_script_in_fork` runs it; returns the process. All that it prints goes to one file."""
    return start_python(f"{before}\n{_script_code(script, flags, cwd)}", output, output)


def _script_code(script, flags, cwd):
    path = str(REPOSITORY / script)
    return (
        f"import os, runpy, sys; os.chdir({str(cwd)!r}); sys.argv = {[path, *flags]!r}; "
        f"runpy.run_path({path!r}, run_name='__main__')"
    )


def run_main_until_output_is_closed(*flags):
    """Runs the main command with a reader that takes one line and goes; the exit code is the command's own."""
    program = f"{sys.executable} {REPOSITORY / 'train/main.py'} {' '.join(flags)}"
    return _run(["bash", "-c", f"{program} | head -1; exit ${{PIPESTATUS[0]}}"], 120, None, {})
