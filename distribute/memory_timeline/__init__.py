"""Parts of `track_memory`: counters over time, allocations op by op, and pictures of both."""
