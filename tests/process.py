"""Runs Python in a process of its own, for what TensorFlow allows once per process, and for the scripts."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def run_python(code, *, timeout=120, **environment):
    """Runs a piece of code in a fresh interpreter; returns the completed process with text output."""
    return _run([sys.executable, "-c", code], timeout, None, environment)


def run_main(*flags, cwd=None, timeout=240, **environment):
    """Runs ``python train/main.py`` with flags; returns the completed process with text output."""
    return _run([sys.executable, str(REPOSITORY / "train/main.py"), *flags], timeout, cwd, environment)


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


def assert_refused(result, code, *words):
    """The process ended with `code` and one short message that holds `words`, without a traceback."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 4, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr
