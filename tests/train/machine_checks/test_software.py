"""Versions of Python, TensorFlow, Keras and packages: each row with its fault planted."""

import pytest

from distribute.log_explanation import read_log
from train.machine_checks.probe import Probe
from train.machine_checks.row import Status, version_tuple
from train.machine_checks.software import keras_row, packages_row, python_row, tensorflow_row

from .facts import HEALTHY, SITE, assert_row


class TestSoftware:
    @pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
    def test_supported_python(self, version):
        assert_row(python_row(version), Status.OK)

    @pytest.mark.parametrize("version", [(3, 10), (3, 14), (2, 7)])
    def test_other_python(self, version):
        assert_row(python_row(version), Status.PROBLEM, "3.11 to 3.13")

    def test_tensorflow(self):
        assert_row(tensorflow_row(HEALTHY), Status.OK, "2.21.0")
        assert_row(tensorflow_row(Probe(tensorflow="2.16.1", file=SITE)), Status.WARNING, "2.16.1", "2.21")
        assert_row(
            tensorflow_row(Probe(tensorflow="2.21.0", file="/home/me/tensorflow/__init__.py")),
            Status.WARNING,
            "/home/me",
        )
        missing = Probe(error="ModuleNotFoundError: No module named 'tensorflow'")
        assert_row(tensorflow_row(missing), Status.PROBLEM, "No module named", "pip install")

    def test_an_import_that_fails_is_explained_by_its_log(self):
        log = read_log(["TypeError: Descriptors cannot be created directly."])
        assert_row(tensorflow_row(Probe(error="TypeError: …", log=log)), Status.PROBLEM, "protobuf")

    def test_keras(self):
        assert_row(keras_row(HEALTHY), Status.OK, "3.15.1")
        for version in ("3.15.0", "3.9.2", "2.15.0"):
            assert_row(keras_row(Probe(tensorflow="2.21.0", keras=version)), Status.PROBLEM, "3.15.1", "CVE")
        assert_row(
            keras_row(Probe(tensorflow="2.21.0", keras="3.16.0", backend="jax")), Status.PROBLEM, "KERAS_BACKEND"
        )
        assert_row(keras_row(Probe(tensorflow="2.21.0", keras_error="ImportError: x")), Status.PROBLEM, "ImportError")
        assert_row(keras_row(Probe()), Status.SKIPPED, "is installed")

    def test_packages(self):
        assert_row(packages_row({"tensorflow", "keras", "nvidia-ml-py"}), Status.OK)
        assert_row(packages_row({"tensorflow", "tensorflow-cpu"}), Status.PROBLEM, "tensorflow and tensorflow-cpu")
        assert_row(packages_row({"tensorflow", "pynvml"}), Status.WARNING, "nvidia-ml-py")

    @pytest.mark.parametrize(("text", "version"), [("2.21.0", (2, 21, 0)), ("3.15.1rc2", (3, 15, 1)), ("dev", ())])
    def test_versions(self, text, version):
        assert version_tuple(text) == version
