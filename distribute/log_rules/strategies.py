"""tf.distribute and Keras: code that a strategy does not allow."""

from ..package_name import LIBRARY
from .rule import Kind, Rule

STRATEGY_RULES = (
    Rule(
        "merge_call_in_graph",
        "replicas were to be synchronised inside a condition, a loop or a nested tf.function, where they cannot be",
        (r"`?merge_call`? called while defining a new graph or a tf\.function",),
        (
            "one tf.function around strategy.run and none within; decide with tf.where on values, not with tf.cond or"
            " `if` around apply_gradients",
            "in compile(): no gradient_accumulation_steps, ema_overwrite_frequency or loss scaling of Keras 3;"
            f" {LIBRARY}.AllReplicasLossScaleOptimizer scales losses",
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
        "reduced_what_is_not_per_replica",
        "a sum over replicas was asked of a value that is one and the same for all of them",
        (r"A non-DistributedValues value .* cannot be reduced with the given reduce op",),
        (
            "strategy.reduce takes what strategy.run returned; a number that all replicas share needs no sum",
            "several replicas' numbers: return a tensor from the function that strategy.run calls",
        ),
        "https://github.com/tensorflow/tensorflow/issues/31852",
    ),
    Rule(
        "not_mirrored",
        "a value that differs from replica to replica was used where it must be the same on all",
        (r"Expected value to be mirrored across replicas: ",),
        (
            "strategy.extended.update takes mirrored values: first strategy.extended.reduce_to, or in the replica"
            " tf.distribute.get_replica_context().all_reduce('SUM', value)",
            "a variable that all replicas share: without synchronization=ON_READ",
        ),
        "https://github.com/mlcommons/training/issues/576",
    ),
    Rule(
        "loss_reduction",
        "a Keras loss would divide by the batch of one replica, not by the global batch",
        (r"Please use `tf\.keras\.losses\.Reduction\.SUM` or `tf\.keras\.losses\.Reduction\.NONE` for loss reduction",),
        (
            "the loss with reduction='none', then tf.nn.compute_average_loss(loss, global_batch_size=B)",
            "or model.compile and model.fit, which do it",
        ),
        "https://github.com/deepfakes/faceswap/issues/1224",
    ),
    Rule(
        "variable_made_in_function",
        "a tf.function makes a variable each time it is traced, or not in its first call",
        (
            r"tf\.function-decorated function tried to create variables on non-first call",
            r"tf\.function only supports singleton tf\.Variables created on the first call",
            r"Unable to lift tensor .{0,400}because it depends transitively on placeholder",
        ),
        (
            "make variables, layers and the optimizer before, outside of the function; optimizer.build(variables) makes"
            " its slots",
            "another model or optimizer: another tf.function",
        ),
        "https://github.com/tensorflow/tensorflow/issues/33576",
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
            f"{LIBRARY}.pad_last_batch(dataset, B) with {LIBRARY}.GlobalMean(loss) keeps every example",
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
            f"tf.distribute: {LIBRARY}.split_device and {LIBRARY}.make_strategy here",
            "or KERAS_BACKEND=jax, for which keras.distribution is made",
        ),
        "https://github.com/keras-team/keras/issues/18983",
    ),
)
