"""The environment variable ``TF_CONFIG``, judged before TensorFlow reads it.

TensorFlow itself takes ``{}`` or ``[1]`` for a machine alone and trains without the others; with an address that stands
twice, a parameter server or a host that does not resolve it waits for an hour. What passes here is a cluster for
`tf.distribute.MultiWorkerMirroredStrategy` with this process in it.
"""

import json
from typing import Any

from .config_error import ClusterConfigError
from .member import Member
from .network import check_network

_WRITE = (
    'write {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}, the same cluster in '
    "every process, or unset it to train on this machine alone"
)
_TASK_TYPES = ("chief", "worker")
_OTHER_TASK_TYPES = {
    "ps": "parameter servers are another strategy",
    "evaluator": "the workers evaluate, and need no process for it",
    "master": "TensorFlow 1 called the chief so",
}


def read_tf_config(text: str, **options: float) -> Member:
    """This process as ``TF_CONFIG`` describes it, on a network that can hold it.

    It answers in under a second, unless `options` allow it more or this machine is very busy.

    Args:
      text: the variable's value.
      **options: those of `check_network`.

    Raises:
      ClusterConfigError: as `parse_tf_config` and `check_network`.
    """
    member = parse_tf_config(text)
    check_network(member, **options)
    return member


def parse_tf_config(text: str) -> Member:
    """The same by its words alone: no name is looked up, and no port tried.

    Raises:
      ClusterConfigError: it is no cluster of ``chief`` and ``worker`` with this process in it.
    """
    config = _load(text)
    cluster = _cluster(config)
    tasks = {task_type: _addresses(task_type, cluster[task_type]) for task_type in _TASK_TYPES if task_type in cluster}
    if len(tasks.get("chief", ())) > 1:
        raise ClusterConfigError(
            f"TF_CONFIG has {len(tasks['chief'])} chiefs", "name one, and the others under 'worker'"
        )
    task_type, index = _task(config, tasks)
    num_before = len(tasks["chief"]) if task_type == "worker" and "chief" in tasks else 0
    addresses = tuple(address for task_type in _TASK_TYPES for address in tasks.get(task_type, ()))
    return Member(addresses, num_before + index, has_chief="chief" in tasks)


def _load(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ClusterConfigError(f"TF_CONFIG is no JSON ({error})", _WRITE) from error
    if not isinstance(config, dict):
        raise ClusterConfigError(f"TF_CONFIG is {_shown(config)}, not an object", _WRITE)
    if config.get("rpc_layer", "grpc") != "grpc":
        raise ClusterConfigError(
            f"TF_CONFIG has 'rpc_layer' {config['rpc_layer']!r:.40}", "leave it out, or write 'grpc'"
        )
    return config


def _cluster(config: dict[str, Any]) -> dict[str, Any]:
    if "cluster" not in config and "sparseCluster" in config:
        raise ClusterConfigError(
            "TF_CONFIG has 'sparseCluster', of a TFJob whose number of workers may change, and no 'cluster'",
            "set enableDynamicWorker: false in the TFJob: all workers have to be known from the start",
        )
    cluster = config.get("cluster")
    if not cluster or not isinstance(cluster, dict):
        found = f"'cluster' {_shown(cluster)}" if "cluster" in config else "no 'cluster'"
        raise ClusterConfigError(f"TF_CONFIG has {found}: TensorFlow would run alone, without a word", _WRITE)
    for task_type in cluster:
        _require_known(task_type, "a cluster with")
    return cluster


def _addresses(task_type: str, addresses: Any) -> list[str]:
    if not isinstance(addresses, list) or not addresses:
        what = "an empty list" if addresses == [] else f"{_shown(addresses)}, no list"
        raise ClusterConfigError(
            f"TF_CONFIG has, as '{task_type}' of its cluster, {what}", "list the host:port of each, or leave it out"
        )
    return addresses


def _task(config: dict[str, Any], tasks: dict[str, list[str]]) -> tuple[str, int]:
    task = config.get("task")
    if not isinstance(task, dict):
        found = f"'task' {_shown(task)}" if "task" in config else "no 'task'"
        raise ClusterConfigError(f"TF_CONFIG has {found}: it says which process this one is", _WRITE)
    for key in ("type", "index"):
        if key not in task:
            raise ClusterConfigError(f"TF_CONFIG has a task without '{key}'", _WRITE)
    task_type, index = task["type"], task["index"]
    _require_known(task_type, "a task of type")
    if task_type not in tasks:
        raise ClusterConfigError(
            f"TF_CONFIG has a task of type '{task_type}' and a cluster without any",
            f"name one of the cluster's types: {', '.join(tasks)}",
        )
    if not isinstance(index, int) or isinstance(index, bool):
        raise ClusterConfigError(
            f"TF_CONFIG has the task index {index!r:.40}, which is no integer", "write a number: 0"
        )
    last = len(tasks[task_type]) - 1
    if not 0 <= index <= last:
        raise ClusterConfigError(
            f"TF_CONFIG has the task {task_type} {index!r:.40}, and its cluster {last + 1} of that type",
            f"they are numbered 0 to {last}",
        )
    return task_type, index


def _require_known(task_type: Any, what: str) -> None:
    if task_type in _TASK_TYPES:
        return
    reason = _OTHER_TASK_TYPES.get(task_type, "there is no such type") if isinstance(task_type, str) else "no string"
    raise ClusterConfigError(
        f"TF_CONFIG has {what} {task_type!r:.40}: {reason}", "only 'chief' (one, or none) and 'worker' train"
    )


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:40]}…"
