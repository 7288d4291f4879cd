"""The parts of `distribute.log_explanation`: where messages begin in a log, and those that are known."""
