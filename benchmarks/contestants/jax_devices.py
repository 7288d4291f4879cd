"""JAX with flax and optax: one jitted step over N host devices, the batch sharded and the weights replicated."""

from benchmarks.contestants.stopwatch import Stopwatch, images_in, read_task

if __name__ == "__main__":
    watch = Stopwatch(task := read_task())

    import os

    one_thread = " --xla_cpu_multi_thread_eigen=false" if task.threads == 1 else ""
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={task.replicas}{one_thread}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax
    from flax import linen as nn
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from benchmarks.contestants.last_epoch import loss_over_last_epoch

    class ConvNet(nn.Module):
        """The conv net of models/conv.py."""

        @nn.compact
        def __call__(self, images):
            x = nn.relu(nn.Conv(32, (3, 3), padding="VALID")(images))
            x = nn.max_pool(x, (2, 2), (2, 2))
            x = nn.relu(nn.Conv(64, (3, 3), padding="VALID")(x))
            x = nn.max_pool(x, (2, 2), (2, 2))
            x = nn.relu(nn.Conv(64, (3, 3), padding="VALID")(x))
            x = nn.relu(nn.Dense(64)(x.reshape(len(x), -1)))
            return nn.Dense(10)(x)

    file = np.load(task.workload)
    names = ["Conv_0", "Conv_1", "Conv_2", "Dense_0", "Dense_1"]
    params = {
        name: {"kernel": jnp.asarray(file[f"weight{2 * i}"]), "bias": jnp.asarray(file[f"weight{2 * i + 1}"])}
        for i, name in enumerate(names)
    }
    mesh = Mesh(np.array(jax.devices()), ("replicas",))
    replicated, split = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("replicas"))
    optimizer = optax.adam(float(file["learning_rate"]), eps=1e-7)
    state = jax.device_put((params, optimizer.init(params)), replicated)

    def losses_of(params, images, labels, weights):
        logits = ConvNet().apply({"params": params}, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        accuracy = jnp.sum(weights * (jnp.argmax(logits, -1) == labels)) / jnp.sum(weights)
        return jnp.sum(weights * losses) / jnp.sum(weights), accuracy

    @jax.jit
    def step(state, images, labels, weights):
        params, slots = state
        (loss, accuracy), gradients = jax.value_and_grad(losses_of, has_aux=True)(params, images, labels, weights)
        updates, slots = optimizer.update(gradients, slots)
        return (optax.apply_updates(params, updates), slots), loss, accuracy

    images, labels, first = file["images"], file["labels"], 0
    for number, size in enumerate(file["sizes"].tolist(), 1):
        rows = -(-size // task.replicas) * task.replicas  # what a mesh can split; rows on top weigh nothing
        batch = [images[first : first + size], labels[first : first + size], np.ones(size, np.float32)]
        padded = [np.pad(part, [(0, rows - size)] + [(0, 0)] * (part.ndim - 1)) for part in batch]
        first += size
        state, loss, _ = step(state, *jax.device_put(padded, split))
        if watch.after_step(number):
            float(loss)
            watch.done(number)

    def mean_loss(images, labels):
        return float(losses_of(state[0], images, labels, np.ones(len(labels), np.float32))[0])

    watch.report(images_in(task, int(file["num_examples"])), loss_over_last_epoch(file, mean_loss))
