"""This process's part of a `tf.distribute.MultiWorkerMirroredStrategy`: one strategy over several processes."""

import os
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

# Not public, and needed for two things that the public class has no argument for: several replicas on the CPU of one
# process, and the times after which a peer is given up.
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
from tensorflow.python.distribute import multi_worker_util
from tensorflow.python.distribute.collective_all_reduce_strategy import CollectiveAllReduceExtended
from tensorflow.python.eager import context

from .cluster_processes.tf_config import parse_tf_config
from .devices import Devices
from .strategy import make_strategy


@dataclass(frozen=True)
class Patience:
    """How long a process waits for the others, in seconds.

    Attributes:
      form_s: for all to come.
      notice_s: for a sign of life from each, once they are there.
    """

    form_s: float
    notice_s: float


def make_worker_strategy(
    devices: Devices, *, num_processes: int, shares_device: bool, patience: Patience | None = None
) -> tf.distribute.Strategy:
    """The strategy over all processes that ``TF_CONFIG`` names, with a replica on each device of each process.

    To be called before the first TensorFlow operation. It returns when all of them are there, and it takes SIGTERM for
    itself: install handlers afterwards. One process alone gets what `make_strategy` makes.

    Args:
      devices: those of this process; every process has as many.
      num_processes: how many processes there are.
      shares_device: replicas share a GPU, or a CPU. They sum gradients in a ring over gRPC, since NCCL refuses two
        ranks on one GPU; otherwise the choice is TensorFlow's.
      patience: None for TensorFlow's own, an hour for all to come.

    Raises:
      tf.errors.OpError: the others did not come.
    """
    if num_processes == 1:
        return make_strategy(devices)
    if patience is not None:
        _set_patience(patience)
    implementations = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=implementations.RING if shares_device else implementations.AUTO
    )
    if devices.kind == "cpu" and len(devices.names) > 1:
        return _SeveralCpus(len(devices.names), options)
    return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)


def process_index(strategy: tf.distribute.Strategy) -> int:
    """Which process of its strategy this one is; 0 where it is the only one."""
    return parse_tf_config(os.environ["TF_CONFIG"]).index if num_processes_of(strategy) > 1 else 0


def num_processes_of(strategy: tf.distribute.Strategy) -> int:
    """How many processes share the strategy."""
    resolver = strategy.cluster_resolver
    jobs = resolver.cluster_spec().as_dict() if resolver else {}
    return sum(len(tasks) for tasks in jobs.values()) or 1


def _set_patience(patience: Patience) -> None:
    """What MultiWorkerMirroredStrategy configures itself where nobody has, with other times."""
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec()
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=multi_worker_util.coordination_leader(cluster),
        cluster_register_timeout_in_ms=round(1000 * patience.form_s),
        heartbeat_timeout_in_ms=round(1000 * patience.notice_s),
        coordinated_jobs=[
            coordination_config_pb2.CoordinatedJob(name=job, num_tasks=cluster.num_tasks(job)) for job in cluster.jobs
        ],
    )


class _SeveralCpus(tf.distribute.MultiWorkerMirroredStrategy):
    """With a replica on each logical CPU of a process; TensorFlow's own class has one replica there."""

    def __init__(self, num_cpus: int, options: Any) -> None:
        # Not the parent's own: it would make TensorFlow's implementation, and join the cluster by it.
        tf.distribute.Strategy.__init__(self, _SeveralCpusExtended(self, num_cpus, options))


class _SeveralCpusExtended(CollectiveAllReduceExtended):
    def __init__(self, strategy: _SeveralCpus, num_cpus: int, options: Any) -> None:
        self._num_cpus = num_cpus
        super().__init__(strategy, cluster_resolver=None, communication_options=options)

    def _initialize_local_devices(self, cluster_resolver: Any, worker_device: str) -> tuple[tuple[str, ...], str]:
        return tuple(f"{worker_device}/device:CPU:{index}" for index in range(self._num_cpus)), "CPU"
