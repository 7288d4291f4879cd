"""What the flags on speed set in TensorFlow, each in a process of its own."""

import pytest

from tests.process import run_python

CODE = """
    import tensorflow as tf
    from absl import flags
    from train import flags as train_flags
    from train.device_flags import make_devices, set_speed
    train_flags.define_device_flags()
    train_flags.define_speed_flags()
    flags.FLAGS(["main.py", "--virtual_gpus=2", "--device=cpu", *{given}])
    set_speed(flags.FLAGS, make_devices(flags.FLAGS))
    pools = tf.config.threading
    print(tf.config.optimizer.get_jit() or "no XLA", pools.get_intra_op_parallelism_threads())
"""


@pytest.mark.parametrize(
    ("given", "said"), [([], "no XLA 1"), (["--xla"], "autoclustering 1"), (["--intra_op_threads=3"], "no XLA 3")]
)
def test_flags_on_speed(given, said):
    result = run_python("\n".join(line[4:] for line in CODE.format(given=given).splitlines()))
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == said
