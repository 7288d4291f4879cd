"""Several processes or machines: ports, peers, TF_CONFIG."""

from distribute.log_rules.rule import Kind, Rule

CLUSTER_RULES = (
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
