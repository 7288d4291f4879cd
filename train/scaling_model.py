"""Step time and efficiency of N replicas, predicted from one replica's step and the gradients that are summed.

The cost of an all-reduce of S bytes over n ranks on links of latency L and bandwidth B:

    ring          2 (n - 1) (c L + S / (n B))            c: how many all-reduces of the bytes' parts follow one another;
                                                         those under way at the same time count as one
    hierarchical  within a host of g ranks a reduce-scatter and an all-gather, together a ring over g; between the hosts
                  a ring of the S / g bytes that each rank then has

Sources: Patarasuk and Yuan, Bandwidth Optimal All-reduce Algorithms for Clusters of Workstations, 2009 (the ring, and
that no algorithm sends less); Thakur, Rabenseifner and Gropp, Optimization of Collective Communication Operations in
MPICH, 2005 (latency and bandwidth terms). The global batch grows with N: each replica's share, and so its computing
time, stays what was measured.
"""

from dataclasses import dataclass

# Of a step without communication the share that backpropagation takes: two of three products of matrices.
BACKWARD_SHARE = 2 / 3


@dataclass(frozen=True)
class Link:
    """What connects two ranks.

    Attributes:
      name: for tables.
      latency_s: of one message, in seconds.
      bandwidth: in bytes a second, one way.
    """

    name: str
    latency_s: float
    bandwidth: float

    def __str__(self) -> str:
        return f"{self.name} ({self.latency_s * 1e6:g} µs, {self.bandwidth / 1e9:g} GB/s)"


# Data-sheet bandwidths, one way, and round figures for the latency of a message; measure your own where it matters.
LINKS = {
    "nvlink": Link("NVLink 4", 3e-6, 450e9),
    "pcie": Link("PCIe 4.0 x16", 6e-6, 25e9),
    "10gbe": Link("10 Gb/s Ethernet", 30e-6, 1.25e9),
    "100gbe": Link("100 Gb/s Ethernet", 8e-6, 12.5e9),
    "400gbe": Link("400 Gb/s Ethernet", 5e-6, 50e9),
}


@dataclass(frozen=True)
class Prediction:
    """Of a step of `replicas`.

    Attributes:
      all_reduce_s: time of the sum over replicas, in seconds.
      step_s: time of the whole step.
      efficiency: speed per replica, as a share of that of one alone.
    """

    replicas: int
    all_reduce_s: float
    step_s: float
    efficiency: float


def ring_s(num_bytes: float, ranks: int, link: Link, *, calls: float = 1) -> float:
    """Seconds of so many all-reduces in a ring, one after the other, which sum so many bytes together."""
    return 2 * (ranks - 1) * (calls * link.latency_s + num_bytes / ranks / link.bandwidth)


def hierarchical_s(num_bytes: float, ranks: int, per_host: int, inner: Link, outer: Link, *, calls: float = 1) -> float:
    """Seconds of an all-reduce within hosts of `per_host` ranks over `inner`, and between hosts over `outer`.

    Fewer ranks than a host has stay within it.

    Raises:
      ValueError: the last host would not be full.
    """
    if ranks <= per_host:
        return ring_s(num_bytes, ranks, inner, calls=calls)
    if ranks % per_host:
        raise ValueError(f"{ranks} replicas do not fill hosts of {per_host}")
    within = ring_s(num_bytes, per_host, inner, calls=calls)
    return within + ring_s(num_bytes / per_host, ranks // per_host, outer, calls=calls)


def predict(step_s: float, all_reduce_s: float, replicas: int, overlap: bool) -> Prediction:
    """One step: computing and the all-reduce, one after the other or, with `overlap`, behind backpropagation.

    Overlap is taken as perfect: what is hidden costs nothing, so it is the best that any bucketing can reach.
    """
    hidden = BACKWARD_SHARE * step_s if overlap else 0.0
    total = step_s + max(0.0, all_reduce_s - hidden)
    return Prediction(replicas, all_reduce_s, total, step_s / total)
