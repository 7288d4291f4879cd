"""Side-by-side measurements: what is compared with what, and that all contestants learn the same."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from benchmarks.contestants.stopwatch import Task, images_in
from benchmarks.rounds import Contestant, dump_workload, run_once, run_rounds
from benchmarks.speed_picture import save_picture
from benchmarks.speed_table import ONEDNN, PLAIN, best_settings, ratios, same_losses, table


def row(name, speeds, setting="", losses=None):
    keys = ("first_step_s", "wall_s", "end_s", "peak_mib")
    losses = losses or [0.5] * len(speeds)
    runs = [
        {"images_per_second": speed, "loss": loss, **dict.fromkeys(keys, 1.0)}
        for speed, loss in zip(speeds, losses, strict=True)
    ]
    return {"name": name, "setting": setting, "runs": runs}


ROWS = [
    row("Keras fit", [100, 110, 90], "slow"),
    row("Keras fit", [200, 210, 190], "fast"),
    row("tf.function loop", [150, 150, 150]),
    row("Keras fit, oneDNN", [250, 250, 250]),
    row("this project, N=2", [300, 420, 285]),
]


class TestTable:
    def test_ratios_are_to_the_fastest_setting_within_each_round(self):
        assert ratios(ROWS[-1], PLAIN, ROWS) == [1.5, 2.0, 1.5]
        assert ratios(ROWS[-1], ONEDNN, ROWS) == [1.2, 1.68, 1.14]

    def test_has_the_best_setting_of_each(self):
        assert [one["setting"] for one in best_settings(ROWS) if one["name"] == "Keras fit"] == ["fast"]
        text = table("64", ROWS)
        assert "| this project, N=2 |  | 300 | 1.50 [1.50, 2.00] | 1.20 [1.14, 1.68] |" in text
        assert "slow" not in text

    def test_losses_that_differ_are_found(self):
        assert same_losses(ROWS)
        assert same_losses([*ROWS, row("Keras fit", [1], losses=[0.58])])
        assert not same_losses([*ROWS, row("Keras fit", [1], losses=[0.65])])

    def test_picture(self, tmp_path):
        save_picture(tmp_path / "speed.svg", {"64": ROWS, "256": ROWS})
        assert ElementTree.parse(tmp_path / "speed.svg").getroot().tag.endswith("svg")


class TestWorkload:
    def test_is_the_same_where_its_data_set_is_prepared_first(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
        first, second = (_weights(tmp_path / name) for name in ("first", "second"))
        assert all(np.array_equal(first[name], second[name]) for name in first)


def _weights(folder):
    folder.mkdir()
    dump_workload(folder, batch=64, steps=1, warmup=1)
    with np.load(folder / "workload_64.npz") as file:
        return {name: file[name] for name in file if name.startswith("weight")}


class TestImages:
    def test_of_an_epochs_last_batch_are_those_that_are_left(self):
        task = Task(
            1,
            batch=4,
            warmup=1,
            steps=4,
            threads=0,
            intra_op=None,
            inter_op=None,
            steps_per_call=0,
            onednn=0,
            workload="",
        )
        assert images_in(task, num_examples=10) == 4 + 2 + 4 + 4


class TestRounds:
    @pytest.mark.proof
    def test_contestants_learn_the_same_and_take_turns(self, tmp_path):
        workload = dump_workload(tmp_path, batch=64, steps=5)
        contestants = [
            Contestant("ours", "ours", {"replicas": 2}),
            Contestant("keras", "keras_fit", {"onednn": 1}),
            Contestant("loop", "tf_loop", {"onednn": 1}),
        ]
        results = list(run_rounds(contestants, workload, num_rounds=2))
        assert [one.name for _, one, _ in results] == ["ours", "keras", "loop", "loop", "keras", "ours"]
        losses = [result["loss"] for _, _, result in results]
        assert max(losses) - min(losses) < 0.02 * max(losses)
        assert all(result["peak_mib"] > 100 and result["end_s"] > 0 for _, _, result in results)

    def test_one_that_fails_is_told_with_its_last_words(self):
        with pytest.raises(RuntimeError, match=r"(?s)no_such ended with 1:.*No module named"):
            run_once(Contestant("none", "no_such"), [])
