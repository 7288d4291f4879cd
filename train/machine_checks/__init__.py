"""The parts of `train.doctor`: what is read of the machine, and the rows that judge it."""
