"""Devices with a process each: what lies in its allocator early leaves room for one large tensor."""

import textwrap

import pytest

from tests.process import run_python

CODE = """
    import os
    os.environ.update(TF_CPU_ALLOCATOR_USE_BFC="true", TF_CPU_BFC_MEM_LIMIT_IN_MB="32")
    import tensorflow as tf
    from distribute import split_device
    from distribute.process_devices import take_limit_at_once
    devices = split_device(1, memory_limit_mib=32, kind="cpu")
    take_limit_at_once(32, devices.names[0])
    print(tf.config.experimental.get_memory_info("CPU:0")["peak"] < 2**20)
    early = tf.zeros([3 * 2**18])
    del early
    print(tf.zeros([27 * 2**18]).shape)
"""


class TestTakeLimitAtOnce:
    def test_memory_that_was_given_back_serves_one_large_tensor(self):
        result = run_python(textwrap.dedent(CODE))
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines() == ["True", "(7077888,)"]

    @pytest.mark.proof
    def test_without_it_the_first_region_is_lost_to_a_large_tensor(self):
        result = run_python(textwrap.dedent(CODE.replace("    take_limit_at_once(32, devices.names[0])\n", "")))
        assert "OOM when allocating" in result.stderr
