"""The parts of `distribute.diagnosis`: each module looks for one group of causes."""
