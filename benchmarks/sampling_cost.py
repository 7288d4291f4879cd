"""What `track_memory` costs: throughput with and without it, alternating, in one process; Markdown on standard output.

python -m benchmarks.sampling_cost [--rounds=40] [--interval_ms=50]

Each round trains the conv net for a second or so with and without the sampler, the first of the two changing from round
to round, so that what else the machine does falls on both alike. The time that the sampling thread itself takes, which
no noise hides, is measured apart.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "true")

from benchmarks.plan_targets import batches, conv_net
from distribute import Devices, make_strategy, split_device, track_memory
from distribute.memory_timeline.ledgers import open_ledgers

_STEPS = 30
_BATCH = 64
_READINGS = 2000


def make_steps(devices: Devices) -> Callable[[], None]:
    """A function that trains the conv net for some steps."""
    with make_strategy(devices).scope():
        model = conv_net()
    ((images, labels),) = batches(rows=_STEPS * _BATCH, shape=[28, 28, 1])
    return lambda: model.fit(images, labels, batch_size=_BATCH, verbose=0)


def seconds(run: Callable[[], None]) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def sampled(devices: Devices, run: Callable[[], None], interval_s: float) -> float:
    """How long it takes while memory is sampled."""
    with track_memory(devices, interval_s=interval_s):
        return seconds(run)


def reading_seconds(devices: Devices) -> float:
    """Processor time of one reading of all ledgers."""
    with open_ledgers(devices.names) as ledgers:
        begin = time.thread_time()
        for _ in range(_READINGS):
            ledgers.in_use()
            ledgers.process()
        return (time.thread_time() - begin) / _READINGS


def main(arguments: Sequence[str]) -> int:
    """Prints the two figures; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sampling_cost", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help="pairs of measurements")
    parser.add_argument("--interval_ms", type=float, default=50.0, help="time from sample to sample")
    options = parser.parse_args(arguments)
    devices, interval_s = split_device(2), options.interval_ms / 1000
    run = make_steps(devices)
    run()  # traces and warms up
    ratios = []
    for number in range(options.rounds):
        if number % 2:
            without = seconds(run)
            ratios.append(sampled(devices, run, interval_s) / without)
        else:
            with_it = sampled(devices, run, interval_s)
            ratios.append(with_it / seconds(run))
    lower, median, upper = statistics.quantiles(ratios, n=4)
    one = reading_seconds(devices)
    print("| time with / time without, median | quartiles | one reading | share of one core at this interval |")
    print("| --- | --- | --- | --- |")
    print(f"| {median:.3f} | {lower:.3f} to {upper:.3f} | {one * 1e6:.0f} µs | {one / interval_s:.3%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
