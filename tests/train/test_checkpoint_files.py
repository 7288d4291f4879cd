from train.checkpoint_files import remove_all_but_newest, saved_steps

# As found after processes were killed while they saved.
LITTER = [
    "ckpt-8_temp/part-00000-of-00001.data-00000-of-00001.tempstate5639000411834862379",
    "ckpt-9.index.tempstate1771",
    "ckpt-9.data-00000-of-00001.tempstate32",
    "checkpoint.tmp4f0c",
    "ckpt-3.data-00000-of-00001",  # its index was removed, or not written yet
]


def leave(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")


def checkpoint(step):
    return [f"ckpt-{step}.index", f"ckpt-{step}.data-00000-of-00001"]


class TestRemoveAllButNewest:
    def test_leaves_three_and_what_is_no_checkpoints(self, tmp_path):
        others = ["checkpoint", "fingerprint.json", "notes.txt", "ckpt-of-mine.txt"]
        leave(tmp_path, *others, *(name for step in range(4, 9) for name in checkpoint(step)), *LITTER)
        remove_all_but_newest(tmp_path, 8)
        kept = [name for step in (6, 7, 8) for name in checkpoint(step)]
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, *kept])

    def test_removes_later_ones_which_were_damaged(self, tmp_path):
        leave(tmp_path, *checkpoint(5), *checkpoint(6), *checkpoint(9))
        remove_all_but_newest(tmp_path, 6)
        assert sorted(saved_steps(tmp_path)) == [5, 6]

    def test_keeps_later_ones_until_there_is_another_one_to_go_on_from(self, tmp_path):
        leave(tmp_path, *(name for step in (3, 4, 5, 6, 9) for name in checkpoint(step)))
        remove_all_but_newest(tmp_path, 6, keep_later=True)
        assert sorted(saved_steps(tmp_path)) == [4, 5, 6, 9]

    def test_steps_are_numbers_and_no_text(self, tmp_path):
        leave(tmp_path, *(name for step in (8, 9, 10, 11) for name in checkpoint(step)))
        remove_all_but_newest(tmp_path, 11)
        assert sorted(saved_steps(tmp_path)) == [9, 10, 11]
