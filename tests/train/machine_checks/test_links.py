"""The row on the links between GPUs, from what the process that tries them says; it tries logical CPUs here."""

from train.machine_checks import links
from train.machine_checks.child import Answer, ask
from train.machine_checks.row import Status

DAMAGED = {
    "ok": False,
    "failures": [{"what": "GPU:0 -> GPU:1", "num_wrong": 3, "num_values": 9, "first": "0 where 7 belongs"}],
    "remedies": ["turn ACS off", "NCCL_P2P_DISABLE=1"],
    "seconds": 2.0,
    "text": "devices do not get what they are sent: GPU:0 -> GPU:1: 3 of 9 values differ, first 0 where 7 belongs",
}


class TestSkipped:
    def test_without_two_gpus_it_says_why(self):
        for num_gpus, reason in ((None, "cannot be imported"), (0, "sees no GPU"), (1, "sees one GPU")):
            row = links.links_row(num_gpus)
            assert row.status == Status.SKIPPED
            assert reason in row.remedy


class TestJudged:
    def test_sound(self):
        row = links.judged(4, Answer(0, {"ok": True, "seconds": 1.25}))
        assert (row.status, row.found) == (Status.OK, "4 GPUs get what they are sent, 1.2 s")

    def test_damaged(self):
        row = links.judged(2, Answer(0, DAMAGED))
        assert (row.status, row.found) == (Status.PROBLEM, DAMAGED["text"])
        assert row.remedy == "turn ACS off; or NCCL_P2P_DISABLE=1"

    def test_a_child_that_hangs(self):
        row = links.judged(2, Answer(None))
        assert row.status == Status.PROBLEM
        assert "300 s" in row.found
        assert "iommu=pt" in row.remedy

    def test_a_child_that_dies(self):
        row = links.judged(2, Answer(1, log="Traceback\n  File\nDeviceError: no such GPU\n"))
        assert row.status == Status.PROBLEM
        assert row.found.endswith(": DeviceError: no such GPU")
        assert links.judged(2, Answer(-11)).found.endswith(": exit code -11")


class TestChild:
    def test_sends_between_all_devices_and_says_what_came_of_it(self):
        answer = ask(links._CHILD, "2", "cpu", timeout_s=120)
        assert answer.returncode == 0, answer.log
        assert set(answer.said) == set(DAMAGED)
        assert links.judged(2, answer).status == Status.OK
