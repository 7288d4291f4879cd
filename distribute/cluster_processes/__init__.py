"""The parts of `distribute.cluster`."""
