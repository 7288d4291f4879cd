"""Loss scaling does not see an overflow on a replica other than the first: not reported so far, to our knowledge.

`mixed_float16` rests on skipping a step with an overflow. Where only the second GPU has one, it is applied, and the
weights are infinite from then on. It looks like an unstable model. `distribute.AllReplicasLossScaleOptimizer` asks all
replicas.
"""

import keras
import numpy as np

rng = np.random.default_rng(0)
batches = [(rng.normal(size=[16, 8]), rng.normal(size=[16, 1]))]


def build():
    """The optimizer that the policy mixed_float16 brings."""
    model = keras.Sequential([keras.Input([8]), keras.layers.Dense(16, "tanh"), keras.layers.Dense(1)])
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), "mse")
    return model
