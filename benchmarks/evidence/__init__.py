"""The parts of `benchmarks.gpu_evidence`: each measures one thing and yields rows as soon as it has them."""
