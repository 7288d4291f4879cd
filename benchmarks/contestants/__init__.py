"""One training of the conv net by one framework each, as a process of its own: see `benchmarks.speed`."""
