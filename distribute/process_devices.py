"""Devices with a process each, instead of the logical devices of one process that `split_device` makes."""

import os
from collections.abc import Mapping

import tensorflow as tf

from .device_plan import DevicePlan, plan_devices
from .devices import Devices, describe_found, describe_plan, refuse_shared_pool
from .machine import read_inventory
from .memory_check.runs import child_environment

# What TensorFlow may have taken before the first operation of ours.
_TAKEN_BEFORE_MIB = 2


def plan_process_devices(
    num_devices: int, *, memory_limit_mib: int | None = None, kind: str = "auto", policy: str | None = None
) -> tuple[Devices, list[dict[str, str]]]:
    """Plans what `split_device` would make, with each device in a process of its own; makes nothing here.

    Each process, with its variables, then calls ``split_device(1, …)`` with limit, kind and policy of the result.

    Args:
      num_devices: processes, one for each replica.
      memory_limit_mib: limit of each device, in MiB. It holds on CPU as well: there it is the cap of the BFC
        allocator, the one that guards a GPU, over everything in the process that TensorFlow allocates.
      kind: as for `split_device`.
      policy: as for `split_device`.

    Returns:
      What there will be, and the environment variables of each process.

    Raises:
      ValueError: as `split_device`; or processes are to share a GPU without a limit.
      DeviceError: as `split_device`.
    """
    plan = plan_devices(read_inventory(), num_devices, memory_limit_mib=memory_limit_mib, kind=kind, policy=policy)
    refuse_shared_pool(plan)
    if plan.kind == "gpu" and plan.placement == "virtual" and memory_limit_mib is None:
        raise ValueError(
            "processes are to share a GPU and no limit was given: CUDA takes memory in each of them beside the "
            "limit, so no share is safe; give the limit (memory_limit_mib, --memory_limit)"
        )
    return _describe(plan), [variables_of_process(plan, index, os.environ) for index in range(num_devices)]


def plan_member_devices(
    num_devices: int,
    *,
    num_processes: int,
    memory_limit_mib: int | None = None,
    kind: str = "auto",
    policy: str | None = None,
) -> tuple[Devices, dict[str, str]]:
    """Plans the devices of a cluster whose processes have `num_devices` each, and looks at this machine alone.

    Args:
      num_devices: devices of each process.
      num_processes: how many processes there are, on how many machines it may be.
      memory_limit_mib: limit of each device, in MiB; on CPU that of all in the process together holds.
      kind: as for `split_device`.
      policy: as for `split_device`.

    Returns:
      All devices of the cluster, and the environment variables of this machine's process.

    Raises:
      ValueError: as `split_device`.
      DeviceError: as `split_device`.
    """
    plan = plan_devices(read_inventory(), num_devices, memory_limit_mib=memory_limit_mib, kind=kind, policy=policy)
    refuse_shared_pool(plan)
    names = tuple(
        f"worker:{process}/{plan.kind.upper()}:{index}"
        for process in range(num_processes)
        for index in range(num_devices)
    )
    what = f"found {describe_found()}; {num_processes} processes with {num_devices} {plan.placement} each"
    if plan.kind == "gpu":
        return describe_plan(plan, what, names, plan.limit_enforced_by), dict(os.environ)
    if memory_limit_mib is None:
        return describe_plan(plan, what, names, ""), child_environment(os.environ, None)
    enforced_by = "TensorFlow's allocator, for all devices of a process together"
    return (
        describe_plan(plan, what, names, enforced_by),
        child_environment(os.environ, memory_limit_mib * num_devices),
    )


def variables_of_process(plan: DevicePlan, index: int, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of one process: on CPU its allocator's cap, on a GPU the one that it may see."""
    if plan.kind == "cpu":
        return child_environment(environment, plan.memory_limit_mib)
    physical = [number for number, count in enumerate(plan.slices) for _ in range(count)][index]
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(len(plan.slices))]
    return {**environment, "CUDA_VISIBLE_DEVICES": names[physical].strip()}


def take_limit_at_once(limit_mib: int | None, device: str) -> None:
    """Makes the allocator of this process's CPU take its whole limit as one piece, as that of a GPU with a limit does.

    On CPU it would take memory in pieces that double in size and never join: what lies in the small first ones, such
    as a data set, leaves no room for one large tensor in the rest. To be called before any other operation.

    Args:
      limit_mib: the cap of the process's allocator; None, without one, takes nothing.
      device: its name; a GPU does so by itself.
    """
    if not device.startswith("CPU") or limit_mib is None or limit_mib <= _TAKEN_BEFORE_MIB:
        return
    num_bytes = (limit_mib - _TAKEN_BEFORE_MIB) * 2**20
    with tf.device(device):
        tf.raw_ops.Empty(shape=[num_bytes], dtype=tf.uint8, init=False)  # given back, and kept by the allocator
    tf.config.experimental.reset_memory_stats(device)


def _describe(plan: DevicePlan) -> Devices:
    num_processes = sum(plan.slices)
    names = tuple(f"worker:{index}/{plan.kind.upper()}:0" for index in range(num_processes))
    device = f"a {plan.placement} {plan.kind.upper()}"
    made = (
        f"made {num_processes} processes with {device} each" if num_processes > 1 else f"made a process with {device}"
    )
    enforced_by = "TensorFlow's allocator in each replica's own process, in training and evaluation"
    return describe_plan(
        plan, f"found {describe_found()}; {made}", names, enforced_by if plan.memory_limit_mib is not None else ""
    )
