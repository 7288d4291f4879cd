import keras
import numpy as np
import pytest

from distribute import Program
from tests.process import run_python
from train.checkpoint import Checkpoints
from train.epoch_means import EpochMeans
from train.errors import InputError, NonFiniteError


def program(units=3, learning_rate=0.1):
    keras.utils.set_random_seed(units)
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(units)])
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)
    return Program(train_step=None, model=model, optimizer=optimizer)


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints of the steps 5 and 9, whose kernels are all 5 and all 9."""
    writer = program()
    checkpoints = Checkpoints(tmp_path, writer)
    for step in (5, 9):
        writer.model.layers[0].kernel.assign(np.full([2, 3], step))
        checkpoints.save(step, EpochMeans(64, 0.5, 0.25))
    return tmp_path


def restored_kernel(folder):
    reader = program()
    step = Checkpoints(folder, reader).restore_latest()
    return step, reader.model.layers[0].kernel.numpy()


class TestRestoreLatest:
    def test_takes_the_newest(self, saved):
        step, kernel = restored_kernel(saved)
        assert step == 9
        np.testing.assert_array_equal(kernel, 9)

    def test_does_not_depend_on_the_state_file(self, saved):
        (saved / "checkpoint").unlink()
        assert restored_kernel(saved)[0] == 9

    @pytest.mark.parametrize("name", ["ckpt-9.index", "ckpt-9.data-00000-of-00001"])
    @pytest.mark.parametrize("content", [b"", b"garbage" * 100])
    def test_a_damaged_one_is_warned_of_and_the_one_before_is_used(self, saved, capsys, name, content):
        (saved / name).write_bytes(content)
        step, kernel = restored_kernel(saved)
        assert step == 5
        np.testing.assert_array_equal(kernel, 5)
        assert "ckpt-9 is damaged" in capsys.readouterr().err

    def test_one_without_its_data_is_damaged(self, saved):
        (saved / "ckpt-9.data-00000-of-00001").unlink()
        assert restored_kernel(saved)[0] == 5

    def test_brings_the_means_of_the_epoch(self, saved):
        checkpoints = Checkpoints(saved, program())
        assert checkpoints.epoch == EpochMeans()
        checkpoints.restore_latest()
        assert checkpoints.epoch == EpochMeans(64, 0.5, 0.25)

    def test_a_process_whose_files_do_not_count_reads_the_same_ones(self, saved, tmp_path):
        reader = program()
        checkpoints = Checkpoints(saved, reader, save_to=tmp_path / "others" / "1")
        assert checkpoints.restore_latest() == 9
        checkpoints.save(11, EpochMeans(64, 0.5, 0.25))
        assert not (saved / "ckpt-11.index").exists()
        assert (tmp_path / "others" / "1" / "ckpt-11.index").exists()

    def test_another_model_is_refused(self, saved):
        with pytest.raises(InputError, match="belongs to another model"):
            Checkpoints(saved, program(units=4)).restore_latest()

    def test_another_optimizer_is_refused_in_one_message(self, saved):
        code = f"""if True:
            import gc, pathlib, keras
            from distribute import Program
            from train.checkpoint import Checkpoints
            from train.errors import InputError
            model = keras.Sequential([keras.Input([2]), keras.layers.Dense(3)])
            optimizer = keras.optimizers.SGD()
            optimizer.build(model.trainable_variables)
            checkpoints = Checkpoints(pathlib.Path({str(saved)!r}), Program(None, model=model, optimizer=optimizer))
            try:
                checkpoints.restore_latest()
            except InputError as error:
                print(error)
            del checkpoints
            gc.collect()  # TensorFlow complains when the checkpoint goes
        """
        result = run_python(code)
        assert "belongs to another model or optimizer" in result.stdout
        assert result.stderr == ""

    @pytest.mark.parametrize("num_replicas", [1, 2])
    def test_the_learning_rate_asked_for_is_kept(self, saved, strategy_of, num_replicas):
        with strategy_of(num_replicas).scope():
            reader = program(learning_rate=0.5)
        assert Checkpoints(saved, reader).restore_latest() == 9
        assert float(reader.optimizer.learning_rate.numpy()) == 0.5
        np.testing.assert_array_equal(reader.model.layers[0].kernel.numpy(), 9)

    def test_a_schedule_is_no_obstacle(self, saved, tmp_path):
        schedule = keras.optimizers.schedules.CosineDecay(0.1, 100)
        writer = program(learning_rate=schedule)
        Checkpoints(tmp_path / "scheduled", writer).save(3, EpochMeans())
        assert Checkpoints(tmp_path / "scheduled", program(learning_rate=schedule)).restore_latest() == 3

    def test_only_the_newest_three_are_kept(self, tmp_path):
        checkpoints = Checkpoints(tmp_path, program())
        for step in range(1, 6):
            checkpoints.save(step, EpochMeans(64, 0.5, 0.25))
        assert sorted(path.name for path in tmp_path.glob("*.index")) == [
            "ckpt-3.index",
            "ckpt-4.index",
            "ckpt-5.index",
        ]


class TestSave:
    def test_weights_that_an_update_ruined_are_not_saved(self, tmp_path):
        ruined = program()
        checkpoints = Checkpoints(tmp_path, ruined)
        checkpoints.save(1, EpochMeans())
        ruined.model.layers[0].kernel.assign(np.full([2, 3], np.nan))
        with pytest.raises(NonFiniteError, match="step 2: NaN or Inf in .*kernel after the update"):
            checkpoints.save(2, EpochMeans())
        assert [path.name for path in tmp_path.glob("*.index")] == ["ckpt-1.index"]
