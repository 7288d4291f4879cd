"""Memory over the time of a run, in a process of its own: TensorFlow chooses its allocator once."""

import json

from tests.process import run_python

CODE = """
    import json, os
    os.environ |= {environment}
    import tensorflow as tf
    from distribute import split_device
    from train.memory_history import MemoryHistory

    history = MemoryHistory()
    history.begin_phase("before it starts")
    history.stop()
    assert history.to_dict() == {{}}
    history.start(split_device(2, kind="cpu"), "first")
    kept = tf.zeros([2**21]) + 1.0
    history.begin_phase("second")
    history.stop()
    print(json.dumps(history.to_dict()))
"""


def history_with(**environment):
    result = run_python("if True:" + CODE.format(environment=environment))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


class TestMemoryHistory:
    def test_what_logical_cpus_share_is_counted_together_under_the_cap_of_the_process(self):
        found = history_with(TF_CPU_ALLOCATOR_USE_BFC="true", TF_CPU_BFC_MEM_LIMIT_IN_MB="128")
        assert (found["devices"], found["shared_by"], found["limit_mib"]) == (["CPU:0"], ["CPU:0", "CPU:1"], 128)
        assert found["in_use_mib"]["CPU:0"][-1] >= 8
        assert [phase["name"] for phase in found["phases"]] == ["first", "second"]
        assert found["phases"][0]["seconds"][1] == found["phases"][1]["seconds"][0]

    def test_without_a_counter_there_is_the_process_alone(self):
        found = history_with()
        assert (found["devices"], found["in_use_mib"], found["limit_mib"]) == ([], {}, None)
        assert "TF_CPU_ALLOCATOR_USE_BFC" in found["no_counter"]
        assert min(found["process_mib"]) > 100
