"""tf.distribute and Keras: code that a strategy does not allow."""

from distribute.log_rules.rule import Kind, Rule

STRATEGY_RULES = (
    Rule(
        "merge_call_in_graph",
        "replicas were to be synchronised inside a condition, a loop or a nested tf.function, where they cannot be",
        (r"`?merge_call`? called while defining a new graph or a tf\.function",),
        (
            "one tf.function around strategy.run and none within; decide with tf.where on values, not with tf.cond or"
            " `if` around apply_gradients",
            "in compile(): no gradient_accumulation_steps, ema_overwrite_frequency or loss scaling of Keras 3;"
            " distribute.AllReplicasLossScaleOptimizer scales losses",
        ),
        "https://github.com/tensorflow/tensorflow/issues/59487",
    ),
    Rule(
        "per_replica_as_tensor",
        "a value that differs from replica to replica (PerReplica) was used like a tensor",
        (
            r"Attempt to convert a value \((?:Distributed)?PerReplica",
            r"It looks like you are using a PerReplica object while not inside a replica context",
            r"unsupported operand type\(s\) for \S+: 'PerReplica'",
            r"'PerReplica' object has no attribute",
        ),
        (
            "hand it to strategy.run(step, args=(batch,)); then: strategy.reduce('SUM', value, axis=None)",
            "model.fit of Keras 3 does it under MultiWorkerMirroredStrategy (keras#20585): a loop of your own works",
        ),
        "https://github.com/keras-team/keras/issues/20585",
    ),
    Rule(
        "variable_outside_scope",
        "a variable was made outside of the strategy's scope, or in that of another strategy",
        (
            r"Variable \(.*was not created in the distribution strategy",
            r".{0,4000}\) was not created in the distribution strategy scope of",
            r"`colocate_vars_with` must only be passed a variable created in this tf\.distribute\.Strategy",
            r"Trying to create optimizer slot variable under the scope for tf\.distribute\.Strategy",
        ),
        (
            "with strategy.scope(): make the model, its metrics and the optimizer, and compile, all in there",
            "one strategy object for the whole program",
        ),
        "https://github.com/tensorflow/hub/issues/469",
    ),
    Rule(
        "wrong_context",
        "something for all replicas together was called inside of one replica, or the other way round",
        (
            r"Method requires being in cross-replica context",
            r"`?apply_gradients\(\) cannot be called in cross-replica context",
            r"'NoneType' object has no attribute 'merge_call'",
        ),
        (
            "in strategy.run: tf.distribute.get_replica_context().all_reduce('SUM', value); outside: strategy.reduce",
            "model.fit, train_on_batch and strategy.run belong outside of the function that strategy.run calls",
        ),
        "https://github.com/tensorflow/tensorflow/issues/41773",
    ),
    Rule(
        "xla_over_devices",
        "XLA compiled a step that uses variables of several devices, which it cannot",
        (r"Trying to access resource \S+ .*located in device \S+ from device",),
        (
            "jit_compile=False in compile(); Keras sets it to 'auto'",
            "in your own code: tf.function(jit_compile=True) on what one replica does, not around strategy.run",
        ),
        "https://github.com/keras-team/keras/issues/18145",
    ),
    Rule(
        "addn_shapes_differ",
        "tensors of different shapes were added: most likely the parts of a batch that the number of replicas does not"
        " divide, or an empty one",
        (r"Inputs to operation \S+ of type AddN must have the same size and shape",),
        (
            "batch(…, drop_remainder=True) with a batch that the number of replicas divides",
            "distribute.pad_last_batch(dataset, B) with distribute.GlobalMean(loss) keeps every example",
        ),
        "https://github.com/keras-team/keras/issues/19246",
        kind=Kind.LIKELY,
        tell_apart="on one device without a strategy it is a tf.add_n, or a loss, of your own",
    ),
    Rule(
        "keras_distribution_on_tensorflow",
        "keras.distribution was used with the TensorFlow backend, for which it is not made",
        (r"module 'keras\.src\.backend\.tensorflow\.distribution_lib' has no attribute",),
        (
            "tf.distribute: distribute.split_device and distribute.make_strategy here",
            "or KERAS_BACKEND=jax, for which keras.distribution is made",
        ),
        "https://github.com/keras-team/keras/issues/18983",
    ),
)
