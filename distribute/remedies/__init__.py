"""Building blocks for mistakes that Keras itself makes under MirroredStrategy, where TensorFlow and Keras have none."""
