"""Logs of other users of GPUs: PyTorch, JAX and their kin, where TensorFlow's remedies do not help.

They link the same CUDA, and JAX the same XLA, so that their messages are often TensorFlow's, word for word. What tells
them apart is the exception's name, the packages that its traceback passes through, and what else the log names. The
file that wrote a line does not: TensorFlow 2.21 has ``external/xla/xla/…``, as JAX has.
"""

import re

_PACKAGES = (
    r"torch|torchvision|torchaudio|mmcv|mmdet|mmengine|detectron2|jax|jaxlib|flax|cupy\w*|numba|onnxruntime\w*|mxnet"
    r"|paddle|triton|pycuda"
)

_EXCEPTION = re.compile(
    rf"\b(?:{_PACKAGES})(?:\.\w+)*\.\w*(?:Error|Exception)\b|\b(?:Xla|Jax)RuntimeError\b|ProcessGroupNCCL"
)

# A line of a traceback, as Python and as IPython write it.
_FRAME = re.compile(
    r"(?:File )?\"?[^\"\s]*(?:site|dist)-packages[/\\](?P<package>\w+)[^\"\s]*(?:\", line \d+, | |:\d+, )in "
)
_OTHER_PACKAGE = re.compile(_PACKAGES)
_TENSORFLOW_PACKAGE = re.compile(r"tensorflow\w*|keras\w*|tf_keras")

# The code that JAX shares with TensorFlow names TensorFlow's folders and services, which makes no log TensorFlow's.
_NAMES_TENSORFLOW = re.compile(
    r"(?<!org_)(?<!org_tensorflow/)[Tt]ensor[Ff]low(?!\.Coordination)|\b[Kk]eras\b|\btf\."
    r"|\b(?:ResourceExhausted|InvalidArgument|FailedPrecondition|Internal)Error\b"
)
_NAMES_ANOTHER = re.compile(
    rf"\b(?:import|from) (?:{_PACKAGES})\b"
    r"|/job:jax_worker\b|/xla/python/local_client\.cc"
    r"|\b(?:cuda|\w+Device)\(id=\d"  # how JAX shows a device
)


def is_of_another_library(text: str) -> bool:
    """Whether a cleaned line is another library's exception."""
    may_be = "Error" in text or "Exception" in text or "NCCL" in text  # much faster than the regular expression
    return may_be and _EXCEPTION.search(text) is not None


class LibraryWatch:
    """Reads a log line by line, and says whose it is and whose the exceptions in it are."""

    def __init__(self) -> None:
        self._packages: set[str] = set()  # that the traceback passed through so far
        self._names_tensorflow = False
        self._names_another = False

    @property
    def is_another_librarys_log(self) -> bool:
        """Whether the log names another library, and TensorFlow nowhere."""
        return self._names_another and not self._names_tensorflow

    def feed(self, text: str) -> None:
        """Takes the next cleaned line."""
        if not self._names_tensorflow:
            self._names_tensorflow = _NAMES_TENSORFLOW.search(text) is not None
            self._names_another |= is_of_another_library(text) or _NAMES_ANOTHER.search(text) is not None
        if "-packages" in text and (frame := _FRAME.match(text)):
            self._packages.add(frame["package"])

    def take_exception(self, text: str) -> bool:
        """Takes a line that ends a traceback; returns whether another library raised it."""
        passed_another = any(map(_OTHER_PACKAGE.fullmatch, self._packages))
        passed_tensorflow = any(map(_TENSORFLOW_PACKAGE.fullmatch, self._packages))
        self._packages.clear()
        return is_of_another_library(text) or (passed_another and not passed_tensorflow)
