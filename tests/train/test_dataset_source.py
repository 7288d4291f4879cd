"""Data sets by name: TFDS' own, several processes at once, no network, damaged data, unusable folders."""

import contextlib
import errno
import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import numpy as np
import pytest
import requests
import tensorflow as tf

from train import dataset_source
from train.data import Source, train_batches
from train.dataset_source import load_source
from train.digits.digits_dataset_builder import Builder
from train.errors import InputError, MachineError
from train.texts import tokenize


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A data folder in which `digits` is prepared; tests copy it before they break it."""
    folder = tmp_path_factory.mktemp("prepared")
    load_source("digits", str(folder))
    return folder


@contextlib.contextmanager
def _mocked_tfds(name: str, folder: Path, splits: dict[str, int]) -> Iterator[None]:
    """TFDS' mock data for `name`: real metadata as after preparing it, invented images."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import splits as splits_lib

    info = tfds.builder(name, data_dir=folder).info
    template = tfds.core.ShardedFileTemplate(Path(info.data_dir), dataset_name=name, filetype_suffix="tfrecord")
    info.set_splits(
        splits_lib.SplitDict(
            tfds.core.SplitInfo(name=split, shard_lengths=[size], num_bytes=0, filename_template=template)
            for split, size in splits.items()
        )
    )
    Path(info.data_dir).mkdir(parents=True)
    info.write_to_directory(info.data_dir)
    with tfds.testing.mock_data(num_examples=max(splits.values()), data_dir=str(folder)):
        yield


def _message(error: type[Exception], name: str, folder: Path | str | None) -> str:
    with pytest.raises(error) as caught:
        load_source(name, str(folder) if folder else None)
    text = str(caught.value)
    assert text.count("\n") < 3
    assert len(text) < 600
    assert f"--dataset={name}" in text
    return text


class TestTfdsSets:
    @pytest.mark.parametrize(
        ("name", "shape"), [("mnist", (28, 28, 1)), ("fashion_mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))]
    )
    def test_load_by_name(self, tmp_path, name, shape):
        with _mocked_tfds(name, tmp_path, {"train": 20, "test": 20}):
            source = load_source(name, str(tmp_path))
        assert (source.name, source.input_shape, source.num_outputs) == (name, shape, 10)
        assert (source.num_train_examples, source.num_test_examples) == (20, 20)
        batches = list(train_batches(source, global_batch_size=16, seed=0, num_epochs=1))
        assert [images.shape.as_list() for images, _ in batches] == [[16, *shape], [4, *shape]]

    def test_texts_are_read_as_the_caller_says(self, tmp_path):
        with _mocked_tfds("imdb_reviews", tmp_path, {"train": 20, "test": 20}):
            read = functools.partial(tokenize, sequence_length=16, vocabulary_size=100)
            source = load_source("imdb_reviews", str(tmp_path), read_text=read)
            assert "imdb_reviews holds texts" in _message(InputError, "imdb_reviews", tmp_path)
        assert (source.input_shape, source.num_outputs) == ((16,), 2)
        for tokens, labels in train_batches(source, global_batch_size=16, seed=0, num_epochs=1):
            assert tokens.dtype == tf.int32
            assert np.all((tokens >= 0) & (tokens < 100))
            assert set(labels.numpy()) <= {0, 1}

    def test_need_a_test_split(self, tmp_path):
        with _mocked_tfds("mnist", tmp_path, {"train": 20}):
            assert "has no test split, only train" in _message(InputError, "mnist", tmp_path)

    @pytest.mark.parametrize(
        ("name", "problem"),
        [
            ("ag_news_subset", "lacks the features `image` or `text`, and `label`"),
            ("imagenet2012", "shape (None, None, 3)"),
        ],
    )
    def test_must_be_something_to_classify(self, tmp_path, name, problem):
        assert problem in _message(InputError, name, tmp_path)

    @pytest.mark.parametrize(
        ("name", "hint"),
        [("mnits", "mnist"), ("revews", "reviews"), ("digitz", "digits"), ("no_such_set_at_all", "Try digits, mnist")],
    )
    def test_unknown_name_gets_the_nearest_ones(self, tmp_path, name, hint):
        text = _message(InputError, name, tmp_path)
        assert hint in text
        assert "abstract_reasoning" not in text  # the first of TFDS' list of all sets

    @pytest.mark.parametrize("name", ["mnist:9.9.9", "mnist/no_such_config", "../mnist", ""])
    def test_unknown_version_or_config_is_bad_input(self, tmp_path, name):
        assert "cannot be loaded: " in _message(InputError, name, tmp_path)


# Forked after the imports, which take seconds, and before TensorFlow has devices and threads. The first line
# says whether TFDS was imported before data was asked for.
_FOUR_AT_ONCE = """
import os, sys
from train.dataset_source import load_source
print("tensorflow_datasets" in sys.modules, flush=True)
import tensorflow_datasets, sklearn.model_selection
children = []
for _ in range(4):
    child = os.fork()
    if not child:
        try:
            print(load_source("digits").num_train_examples, flush=True)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
sys.exit(any(codes))
"""


class TestPreparing:
    @pytest.mark.proof
    def test_by_several_processes_at_once(self, tmp_path):
        """Four processes, in a folder that TFDS_DATA_DIR names and that does not exist yet."""
        env = {**os.environ, "TFDS_DATA_DIR": str(tmp_path / "new" / "data"), "CUDA_VISIBLE_DEVICES": ""}
        command = [sys.executable, "-c", _FOUR_AT_ONCE]
        result = subprocess.run(command, env=env, text=True, capture_output=True, timeout=120, check=False)
        assert result.returncode == 0, result.stderr
        assert result.stdout.split() == ["False", *["1437"] * 4]

    def test_needs_no_lock_when_prepared(self, prepared, tmp_path, monkeypatch):
        shutil.copytree(prepared / "digits", tmp_path / "digits")
        for folder in (tmp_path, tmp_path / "digits", tmp_path / "digits" / "1.0.0"):
            folder.chmod(0o555)
        monkeypatch.setattr(dataset_source.filelock, "FileLock", None)
        assert load_source("digits", str(tmp_path)).num_test_examples == 360
        assert not list(tmp_path.glob(".*"))
        for folder in tmp_path.rglob("*/"):
            folder.chmod(0o755)  # so that pytest can remove it

    def test_gives_up_waiting_for_another_process(self, tmp_path, monkeypatch):
        monkeypatch.setattr(dataset_source, "LOCK_TIMEOUT_S", 0.2)
        with filelock.FileLock(tmp_path / ".digits.lock"):
            assert "another process" in _message(MachineError, "digits", tmp_path)

    def test_is_silent(self, tmp_path, capfd):
        load_source("digits", str(tmp_path))
        assert capfd.readouterr().out == ""

    def test_of_a_set_beyond_the_cache_limit_reads_the_same(self, prepared, monkeypatch):
        def labels(source: Source) -> list:
            return [label for _, label in source.train.as_numpy_iterator()]

        cached = load_source("digits", str(prepared))
        monkeypatch.setattr(dataset_source, "CACHE_LIMIT_BYTES", 1000)
        streamed = load_source("digits", str(prepared))
        assert "Cache" in type(cached.train).__name__
        assert "Cache" not in type(streamed.train).__name__
        assert streamed.num_train_examples == cached.num_train_examples
        np.testing.assert_array_equal(labels(streamed), labels(cached))


def _network_is_there() -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.head("https://storage.googleapis.com", timeout=3).status_code > 0
    return False


class TestOffline:
    def _assert_explains(self, name: str, folder: Path, host: str) -> None:
        start = time.monotonic()
        text = _message(MachineError, name, folder)
        assert time.monotonic() - start < 5  # of the 10 s that a user waits at most, imports take the rest
        assert all(part in text for part in (str(folder), host, "--data_dir", "--dataset=digits"))
        assert not list(folder.iterdir())

    def test_fails_at_once_and_says_what_to_do(self, tmp_path):
        if _network_is_there():
            pytest.skip("there is a network")
        self._assert_explains("mnist", tmp_path, "storage.googleapis.com")

    @pytest.mark.parametrize(
        ("name", "host"), [("cifar10", "www.cs.toronto.edu"), ("fashion_mnist", "fashion-mnist.s3-website")]
    )
    def test_fails_at_once_behind_a_dead_proxy(self, tmp_path, monkeypatch, name, host):
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(variable, "http://127.0.0.1:9")  # the discard port: nobody listens
        self._assert_explains(name, tmp_path, host)


def _shorten_record(folder: Path) -> None:
    os.truncate(next(folder.glob("*train.tfrecord*")), 5000)


def _flip_a_byte_of_the_test_split(folder: Path) -> None:
    record = next(folder.glob("*test.tfrecord*"))
    content = bytearray(record.read_bytes())
    content[5000] ^= 255
    record.write_bytes(content)


_DAMAGES = {
    "shortened record": _shorten_record,
    "flipped byte": _flip_a_byte_of_the_test_split,
    "emptied record": lambda folder: os.truncate(next(folder.glob("*train.tfrecord*")), 0),
    "missing record": lambda folder: next(folder.glob("*train.tfrecord*")).unlink(),
    "empty info": lambda folder: (folder / "dataset_info.json").write_bytes(b""),
    "shortened info": lambda folder: os.truncate(folder / "dataset_info.json", 300),
    "binary info": lambda folder: (folder / "dataset_info.json").write_bytes(b"\xff\x00\x81"),
    "meaningless info": lambda folder: (folder / "dataset_info.json").write_text("{}"),
    "missing info": lambda folder: (folder / "dataset_info.json").unlink(),
}


class TestDamagedData:
    @pytest.mark.parametrize("damage", _DAMAGES.values(), ids=_DAMAGES)
    def test_names_the_folder_and_the_way_out(self, prepared, tmp_path, damage):
        shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
        damage(tmp_path / "digits" / "1.0.0")
        text = _message(MachineError, "digits", tmp_path)
        assert "is damaged: " in text
        assert "{{" not in text
        shutil.rmtree(text.split("the data in ")[1].split(" is damaged")[0])  # do what the message says
        assert load_source("digits", str(tmp_path)).num_train_examples == 1437


class TestUnusableFolder:
    @pytest.fixture
    def below_a_file(self, tmp_path) -> Path:
        """A folder that nobody can make, not even root."""
        (tmp_path / "file").touch()
        return tmp_path / "file" / "data"

    def test_that_the_user_chose_is_bad_input(self, below_a_file):
        text = _message(InputError, "digits", below_a_file)
        assert all(part in text for part in (str(below_a_file), "--data_dir", "Not a directory"))

    def test_by_default_is_the_machines_fault(self, below_a_file, monkeypatch):
        monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(below_a_file))
        assert str(below_a_file) in _message(MachineError, "digits", None)


class TestMissingPackage:
    """A package that is hidden stands for one that is not installed."""

    def test_of_the_set_itself_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(MachineError, match="needs a Python package .*huggingface_hub"):
            load_source("huggingface:mnist", str(tmp_path))

    def test_of_its_preparation_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
        with pytest.raises(MachineError, match=r"needs a Python package .*sklearn.datasets(.|\n)*pip"):
            load_source("digits", str(tmp_path))


class TestFailingPreparation:
    @pytest.mark.parametrize(
        ("error", "expected", "words"),
        [
            (OSError(errno.ENOSPC, "No space left on device"), MachineError, "No space left"),
            (PermissionError(errno.EACCES, "Permission denied"), InputError, "Permission denied"),
            (requests.ConnectionError("connection reset"), MachineError, "could not be downloaded"),
            (AssertionError("Manual directory does not exist.\nDetails"), MachineError, "Manual directory"),
        ],
    )
    def test_is_one_message(self, tmp_path, monkeypatch, error, expected, words):
        def fail(_: Builder) -> None:
            raise error

        monkeypatch.setattr(Builder, "download_and_prepare", fail)
        text = _message(expected, "digits", tmp_path)
        assert words in text
        assert str(tmp_path) in text
