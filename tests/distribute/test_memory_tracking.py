"""`track_memory` on real programs, in processes of their own: the allocator of a CPU is chosen once in a process."""

import json
import textwrap
from xml.etree import ElementTree

import pytest

from distribute.memory_timeline.allocations import Allocation
from distribute.memory_timeline.holders import State, holders_at_peak
from distribute.memory_tracking import track_memory
from tests.process import run_python

MIB = 2**20


def tracked(code, *, counted=True):
    """Runs `code`, in which `found` is filled, in a fresh process under the BFC allocator; returns `found`."""
    begin = """
        import json, os
        os.environ.update({environment})
        import keras, numpy as np, tensorflow as tf
        from distribute import split_device, track_memory
        found = {{}}
    """.format(environment={"TF_CPU_ALLOCATOR_USE_BFC": "true"} if counted else {})
    end = "\nprint(json.dumps(found))"
    result = run_python(textwrap.dedent(begin) + textwrap.dedent(code) + end)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


class TestPhases:
    def test_peaks_are_exact_however_short_and_belong_to_their_phase(self):
        found = tracked("""
            with track_memory(["CPU:0"], interval_s=10) as memory:
                with memory.phase("small"):
                    tf.zeros([2**18]) + 1.0
                with memory.phase("large"):
                    tf.zeros([2**21]) + 1.0
                with memory.phase("nothing"):
                    pass
            found = memory.to_dict()
        """)
        peaks = {phase["name"]: phase["peak_mib"]["CPU:0"] for phase in found["phases"]}
        assert 1 < peaks["small"] < 4
        assert 8 < peaks["large"] < 20
        assert peaks["nothing"] < 1
        assert all(phase["outside_allocators_mib"] > 50 for phase in found["phases"])

    def test_samples_follow_what_is_in_use(self):
        found = tracked("""
            import time
            with track_memory(split_device(2, memory_limit_mib=64), interval_s=0.01) as memory:
                time.sleep(0.2)
                kept = tf.zeros([2**22]) + 1.0
                time.sleep(0.2)
            found = memory.to_dict()
        """)
        in_use = [sample["in_use_mib"][0] for sample in found["samples"]]
        assert len(in_use) > 10
        assert found["limit_mib"] == 64
        assert found["devices"] == ["CPU:0"]
        assert in_use[0] < 1
        assert 16 <= in_use[-1] < 33

    def test_what_is_raised_within_a_phase_goes_on_and_the_phase_is_kept(self):
        found = tracked("""
            with track_memory(["CPU:0"]) as memory:
                try:
                    with memory.phase("fails"):
                        raise KeyError("mine")
                except KeyError as error:
                    found["error"] = str(error)
                with memory.phase("next"):
                    pass
            found["phases"] = [phase.name for phase in memory.phases]
        """)
        assert found == {"error": "'mine'", "phases": ["fails", "next"]}

    def test_a_phase_within_a_phase_is_refused(self):
        nested = pytest.raises(RuntimeError, match="'inner' begins within another")
        with track_memory(["CPU:0"]) as memory, memory.phase("outer"), nested, memory.phase("inner"):
            pass

    @pytest.mark.parametrize(("devices", "interval_s"), [([], 0.05), (["CPU:0"], 0.0)])
    def test_arguments_that_cannot_be_are_refused(self, devices, interval_s):
        with (
            pytest.raises(ValueError, match="a device and a positive interval"),
            track_memory(devices, interval_s=interval_s),
        ):
            pass


class TestWithoutCounters:
    def test_resident_memory_is_sampled_and_a_note_says_what_is_missing(self):
        found = tracked(
            """
            with track_memory(["CPU:0"]) as memory:
                with memory.phase("all"):
                    kept = np.ones([2**23])
            found = memory.to_dict() | {"text": str(memory)}
            """,
            counted=False,
        )
        assert found["devices"] == []
        assert "TF_CPU_ALLOCATOR_USE_BFC=true" in found["notes"][0]
        assert found["notes"][0] in found["text"]
        assert found["phases"][0]["process_peak_mib"] >= found["samples"][0]["process_mib"] + 60
        assert found["phases"][0]["outside_allocators_mib"] is None


class TestHolders:
    def test_a_models_peak_by_what_holds_it(self):
        found = tracked("""
            layers = [keras.Input([64]), keras.layers.Dense(4096, activation="relu"), keras.layers.Dense(1)]
            model = keras.Sequential(layers)
            model.compile("adam", "mse", jit_compile=False)
            rows = np.ones([512, 64], "float32"), np.ones([512, 1], "float32")
            model.train_on_batch(*rows)
            kept = tf.zeros([2**21]) + 1.0
            with track_memory(["CPU:0"]) as memory:
                with memory.phase("a step", holders_of=model):
                    model.train_on_batch(*rows)
            (phase,) = memory.phases
            found = phase.to_dict(memory.devices)
            found["parameters"] = 4 * model.count_params()
            found["text"] = str(memory)
        """)
        held = found["held_by_mib"]["CPU:0"]
        assert sum(held.values()) == pytest.approx(found["peak_mib"]["CPU:0"], rel=1e-6)
        assert held["parameters"] * MIB == pytest.approx(found["parameters"], rel=0.01)
        assert held["optimizer"] * MIB == pytest.approx(2 * found["parameters"], rel=0.01)
        assert 8 <= held["activations"] < 18  # [512, 4096] of float32 is 8 MiB; a chunk may be twice as large
        assert held["other"] >= 8  # what was kept
        assert "dense" in found["text"]

    def test_on_replicas_every_copy_counts(self):
        found = tracked("""
            from distribute import Program, make_strategy
            devices = split_device(2)
            strategy = make_strategy(devices)
            with strategy.scope():
                model = keras.Sequential([keras.Input([64]), keras.layers.Dense(1024)])
                model.compile("sgd", "mse", jit_compile=False)
            rows = np.ones([64, 64], "float32"), np.ones([64, 1024], "float32")
            model.fit(*rows, verbose=0)
            with track_memory(devices) as memory:
                with memory.phase("a step", holders_of=model):
                    model.fit(*rows, verbose=0)
            found = memory.phases[0].to_dict(memory.devices)["held_by_mib"]["CPU:0"] | {"count": model.count_params()}
        """)
        assert found["parameters"] * MIB == pytest.approx(2 * 4 * found["count"], rel=0.02)
        assert found["gradients"] > 0

    def event(self, taken, address, num_bytes, in_use, op="", region="output", shape=None):
        return Allocation(taken, "cpu", address, num_bytes, num_bytes, in_use, op, region, shape)

    def test_parts_add_up_to_the_peak_and_not_to_what_came_after(self):
        events = [
            self.event(True, 1, 100, 1100, "net/Relu", shape=(5, 5)),
            self.event(True, 2, 300, 1400, "gradient_tape/net/MatMul", shape=(3, 7)),
            self.event(True, 3, 500, 1900, "gradient_tape/net/Conv", region="temp"),
            self.event(False, 3, 500, 1400),
            self.event(False, 9, 40, 1360),
            self.event(True, 4, 200, 1560, "sgd/Mul", shape=(3, 7)),
        ]
        state = State(parameters=600, optimizer=250, gradient_shapes={(3, 7)}, optimizer_name="sgd")
        held = holders_at_peak(events, state)
        assert held.peak == 1900
        assert (held.activations, held.gradients, held.temporaries) == (100, 300, 500)
        assert (held.parameters, held.optimizer, held.other) == (600, 250, 150)
        assert [piece.num_bytes for piece in held.largest] == [500, 300, 100]

    def test_nothing_allocated_is_no_peak(self):
        assert holders_at_peak([self.event(False, 1, 10, 0)], State()) is None


class TestTimeline:
    def test_is_one_picture_with_lines_phases_and_the_limit(self, tmp_path):
        tracked(f"""
            with track_memory(split_device(2, memory_limit_mib=64)) as memory:
                with memory.phase("<build>"):
                    kept = tf.zeros([2**20])
            memory.save_timeline({str(tmp_path / "memory.svg")!r}, title="a & b")
        """)
        svg = ElementTree.parse(tmp_path / "memory.svg").getroot()
        texts = [element.text for element in svg.iter() if element.text]
        assert {"a & b", "CPU:0", "process", "limit 64 MiB", "seconds"} <= set(texts)
        assert any(text.startswith("<build>: peak of CPU:0") for text in texts)
        assert len(list(svg.iter("{http://www.w3.org/2000/svg}polyline"))) == 2
