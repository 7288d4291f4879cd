"""Predicted all-reduces against the messages of the algorithm, sent one by one on a model of a link."""

import pytest

from train.scaling_model import LINKS, Link, hierarchical_s, predict, ring_s

LINK = Link("test", 1e-3, 1e6)


def ring_by_messages(num_bytes, ranks, link):
    """Every rank sends a piece to its neighbour, 2 (n - 1) times; all at once, so a round takes as long as one."""
    pieces = {rank: {piece: {rank} for piece in range(ranks)} for rank in range(ranks)}
    seconds = 0.0
    for step in range(ranks - 1):  # reduce-scatter: a piece arrives with what its senders had summed
        for rank in range(ranks):
            piece = (rank - step) % ranks
            pieces[(rank + 1) % ranks][piece] = pieces[(rank + 1) % ranks][piece] | pieces[rank][piece]
        seconds += link.latency_s + num_bytes / ranks / link.bandwidth
    for step in range(ranks - 1):  # all-gather
        for rank in range(ranks):
            piece = (rank + 1 - step) % ranks
            pieces[(rank + 1) % ranks][piece] = pieces[(rank + 1) % ranks][piece] | pieces[rank][piece]
        seconds += link.latency_s + num_bytes / ranks / link.bandwidth
    everyone = set(range(ranks))
    assert all(summed == everyone for held in pieces.values() for summed in held.values())
    return seconds


class TestRing:
    @pytest.mark.parametrize("ranks", [1, 2, 3, 8])
    def test_takes_as_long_as_its_messages(self, ranks):
        assert ring_s(12_000, ranks, LINK) == pytest.approx(ring_by_messages(12_000, ranks, LINK))

    def test_of_many_pieces_pays_latency_for_each(self):
        assert ring_s(0, 4, LINK, calls=10) == pytest.approx(10 * ring_s(0, 4, LINK))
        assert ring_s(4000, 4, LINK, calls=10) - ring_s(0, 4, LINK, calls=10) == pytest.approx(
            ring_s(4000, 4, LINK) - ring_s(0, 4, LINK)
        )


class TestHierarchical:
    def test_of_hosts_with_one_replica_is_a_ring(self):
        assert hierarchical_s(1e6, 16, 1, LINKS["nvlink"], LINK) == ring_s(1e6, 16, LINK)

    def test_of_one_host_stays_within_it(self):
        assert hierarchical_s(1e6, 4, 8, LINKS["nvlink"], LINK) == ring_s(1e6, 4, LINKS["nvlink"])

    def test_sends_a_share_of_the_bytes_between_hosts(self):
        within = ring_s(8e6, 8, LINKS["nvlink"])
        assert hierarchical_s(8e6, 32, 8, LINKS["nvlink"], LINK) - within == pytest.approx(ring_s(1e6, 4, LINK))

    def test_needs_full_hosts(self):
        with pytest.raises(ValueError, match="12 replicas do not fill hosts of 8"):
            hierarchical_s(1e6, 12, 8, LINK, LINK)


class TestStep:
    def test_pays_for_what_does_not_hide_behind_backpropagation(self):
        assert predict(0.3, 0.1, 8, overlap=False).step_s == pytest.approx(0.4)
        assert predict(0.3, 0.1, 8, overlap=True).step_s == pytest.approx(0.3)
        assert predict(0.3, 0.5, 8, overlap=True).step_s == pytest.approx(0.6)
        assert predict(0.3, 0.1, 8, overlap=False).efficiency == pytest.approx(0.75)
