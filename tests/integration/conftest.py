"""A run of ``--isolation=process`` that ends with its test."""

import pytest

from .isolation_runs import Run


@pytest.fixture
def start(tmp_path):
    runs = []

    def start_run(*flags, **options):
        runs.append(Run(tmp_path / "run", *flags, **options))
        return runs[-1]

    yield start_run
    for run in runs:
        run.process.kill()
