"""The sampler of memory on ledgers that tell what a test wants."""

import time

from distribute.memory_timeline.ledgers import Ledgers
from distribute.memory_timeline.sampler import Sampler


def ledgers_that_tell(read):
    return Ledgers(devices=(), no_counter="none", process=read, process_source="a test")


def wait_for(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class TestSampler:
    def test_a_long_run_is_thinned_and_keeps_what_was_highest(self):
        told = iter([5, 9_000, *range(100_000)])
        sampler = Sampler(ledgers_that_tell(lambda: next(told)), 0.001, most=20)
        sampler.start()
        wait_for(lambda: sampler.interval_s > 0.003)
        sampler.stop()
        assert len(sampler.samples) <= 21
        assert max(sample.process for sample in sampler.samples) == 9_000
        seconds = [sample.seconds for sample in sampler.samples]
        assert seconds == sorted(seconds)

    def test_a_reading_that_fails_ends_the_sampling_and_no_more(self):
        told = iter([1, 2, 3])
        sampler = Sampler(ledgers_that_tell(lambda: next(told)), 0.001)
        sampler.start()
        wait_for(lambda: sampler.failure)
        sampler.stop()
        assert [sample.process for sample in sampler.samples] == [1, 2, 3]
        assert sampler.failure.startswith("StopIteration")
