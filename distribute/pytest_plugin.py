"""A pytest plug-in: the device is split before a test can use TensorFlow, and a fixture `assert_equivalent`.

Not registered by itself, since that would import TensorFlow into every pytest run of the environment. In conftest.py at
the root of the tests:

    pytest_plugins = ["distribute.pytest_plugin"]
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .device_plan import DeviceError
from .devices import current_devices, split_device
from .environment import describe_environment
from .equivalence import verify
from .report import Report

DEFAULT_REPLICAS = 2


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the command-line options and the settings of the same names in pytest.ini or pyproject.toml."""
    group = parser.getgroup("equivalence", "several replicas against one device")
    group.addoption("--virtual-gpus", type=int, metavar="N", help="replicas of assert_equivalent (2 if unset)")
    group.addoption("--equivalence-reports", metavar="FOLDER", help="keep the report.json of each check there")
    parser.addini("virtual_gpus", "replicas of assert_equivalent, if --virtual-gpus is not given", default="")
    parser.addini("equivalence_reports", "folder, if --equivalence-reports is not given", default="")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Splits the device, ahead of the import of test files, which may use TensorFlow already.

    Raises:
      pytest.UsageError: the number is none, the machine cannot be split so, or conftest.py has used TensorFlow before.
    """
    try:
        split_device(_num_replicas(session.config))
    except (ValueError, RuntimeError, DeviceError) as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture
def assert_equivalent(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`distribute.assert_equivalent` on the devices of this session; keeps its report where a folder was asked for.

    Takes what `verify` takes. Raises `EquivalenceError` with the whole report as its text, and returns the report.
    """

    def check(build: Callable[[], Any], data: Any, **options: Any) -> Report:
        __tracebackhide__ = True
        report = verify(build, data, **options)
        folder = _folder(request.config)
        if folder is not None:
            _keep(report, folder, request.node.nodeid)
        report.raise_if_failed()
        return report

    return check


def _num_replicas(config: pytest.Config) -> int:
    given = config.getoption("--virtual-gpus")
    if given is not None:
        return int(given)
    setting = str(config.getini("virtual_gpus"))
    if setting and not setting.isdigit():
        raise ValueError(f"virtual_gpus = {setting} in {config.inipath}: give a number of replicas")
    return int(setting or DEFAULT_REPLICAS)


def _folder(config: pytest.Config) -> Path | None:
    """Where reports go: from the command line as seen from the working directory, from a file as seen from there."""
    given, setting = config.getoption("--equivalence-reports"), str(config.getini("equivalence_reports"))
    if given:
        return Path(given)
    return config.rootpath / setting if setting else None


def _keep(report: Report, folder: Path, test: str) -> None:
    """Writes ``<folder>/<test>/report.json``; of several checks in a test the later ones get a number."""
    name = re.sub(r"[^\w.-]+", "-", test).strip("-")
    paths = (folder / (name if number == 1 else f"{name}-{number}") for number in range(1, 1000))
    path = next(path for path in paths if not path.exists())
    path.mkdir(parents=True)
    devices = current_devices()
    record = {
        **report.to_dict(),
        "environment": describe_environment(),
        "devices": devices.to_dict() if devices else {},
    }
    (path / "report.json").write_text(json.dumps(record, indent=2, allow_nan=False) + "\n")
