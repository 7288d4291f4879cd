"""TensorFlow's thread pools: what is chosen, and that nobody's own setting is replaced."""

import json

import pytest

from distribute.threads import choose_thread_pools
from tests.process import run_python

SET = """
import json, os
os.environ.update({environment})
import tensorflow as tf
{before}
from distribute import split_device
from distribute.threads import set_thread_pools
pools = set_thread_pools(split_device({replicas}, kind="cpu"){arguments})
threading = tf.config.threading
found = [threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()]
print(json.dumps([found, pools.reason, os.cpu_count()]))
"""


def pools_of(*, replicas=2, before="", arguments="", environment="{}"):
    """(intra_op, inter_op) and the reason, in a fresh process."""
    result = run_python(SET.format(replicas=replicas, before=before, arguments=arguments, environment=environment))
    assert result.returncode == 0, result.stderr
    (intra_op, inter_op), reason, _ = json.loads(result.stdout)
    return (intra_op, inter_op), reason


class TestChoice:
    @pytest.mark.parametrize(
        ("kind", "replicas", "cores", "processes", "expected"),
        [
            ("cpu", 1, 8, 1, (0, 0)),
            ("cpu", 2, 8, 1, (1, 8)),
            ("cpu", 16, 2, 1, (1, 2)),
            ("cpu", 1, 8, 4, (2, 8)),
            ("cpu", 1, 2, 4, (1, 2)),
            ("cpu", 2, 8, 2, (1, 8)),
            ("gpu", 4, 8, 1, (0, 0)),
        ],
    )
    def test_depends_on_cores_replicas_and_processes(self, kind, replicas, cores, processes, expected):
        pools = choose_thread_pools(kind, replicas, cores, processes)
        assert (pools.intra_op, pools.inter_op) == expected


class TestSetting:
    def test_what_is_chosen_is_set(self):
        (intra_op, inter_op), _ = pools_of()
        assert intra_op == 1
        assert inter_op >= 1

    def test_what_is_asked_for_is_set(self):
        assert pools_of(arguments=", intra_op=3")[0][0] == 3

    @pytest.mark.parametrize(
        ("own", "expected"),
        [
            ({"before": "tf.config.threading.set_intra_op_parallelism_threads(5)"}, (5, 0)),
            ({"environment": "{'TF_NUM_INTEROP_THREADS': '7'}"}, (0, 0)),
        ],
    )
    def test_what_the_user_has_set_stays(self, own, expected):
        found, reason = pools_of(**own)
        assert found == expected
        assert "set before" in reason

    def test_flags_win_over_what_the_environment_says(self):
        assert pools_of(arguments=", inter_op=3", environment="{'TF_NUM_INTEROP_THREADS': '7'}")[0][1] == 3
