"""Several processes or machines: ports, peers, TF_CONFIG."""

from .rule import Kind, Rule

CLUSTER_RULES = (
    Rule(
        "tf_config_wrong",
        "TF_CONFIG does not describe a cluster with this process in it",
        (
            r"If \"cluster\" is (?:not )?set in TF_CONFIG, ",
            r"\w+ is not a valid task_type in the cluster_spec",
            r"`task_type` '\w+' not found in cluster_spec",
            r"The `task_id` \d+ exceeds the maximum id of \w+",
        ),
        (
            'every process: {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}, the same'
            " cluster in all, with its own type and index, which counts from 0",
            "an estimator of TensorFlow 1 wants one 'chief' beside 'worker' and 'ps'",
            "one process alone: unset TF_CONFIG",
        ),
        "https://github.com/tensorflow/tensorflow/issues/17854",
    ),
    Rule(
        "grpc_server_not_started",
        "TensorFlow's server for this process could not start, most likely because its port is in use",
        (r"Could not start gRPC server", r"\S*\"?Failed to add any wildcard listeners"),
        (
            "ss -ltnp shows who listens on this process' port in TF_CONFIG: end it, often a run that did not stop",
            "another port in TF_CONFIG, the same in every process",
        ),
        "https://github.com/kubeflow/kubeflow/issues/1931",
        kind=Kind.LIKELY,
        tell_apart="'Address already in use' near it: the port; without it: the host's name in TF_CONFIG is not this"
        " machine's",
    ),
    Rule(
        "peer_lost",
        "another process of the cluster could not be reached any more: it ended, or was never there",
        (
            r"(?:Collective ops is aborted by: )?failed to connect to all addresses",
            r"(?:Collective ops is aborted by: )?(?:Connection reset by peer|Socket closed|recvmsg:Connection reset)",
            r"/job:\w+/(?:replica:\d+/)?task:\d+ heartbeat timeout",
            r"Task /job:\w+/(?:replica:\d+/)?task:\d+ (?:heartbeat timeout|reported error)",
            r"Barrier (?:timed out|failed)\b",
            r"The following tasks are unhealthy",
        ),
        (
            "the reason is in the log of the process that ended first: look for the earliest error of all of them",
            "every process needs the same cluster in TF_CONFIG, in the same order, and a way there (nc -vz HOST PORT)",
            "start all of them again and resume: one that comes back alone cannot join",
        ),
        "https://github.com/tensorflow/tensorflow/issues/60706",
        within=(
            r"failed to connect to all addresses",
            r"heartbeat timeout\. This indicates",
        ),
        tell_apart="the process that ended first has another error at its end; where none has, it is the network: a"
        " firewall, or a name that does not resolve",
        kind=Kind.LIKELY,
        follows_from=("grpc_server_not_started", "collective_shapes_differ"),
    ),
)
