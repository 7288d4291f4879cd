"""Scripts that train and check, and the parts they share: flags, step, loop, data, checkpoints."""
