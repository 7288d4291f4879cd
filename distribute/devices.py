"""Splits the machine into N logical devices, before TensorFlow initialises what it has."""

import logging
import os
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from .device_plan import DevicePlan, Kind, Policy, plan_devices
from .machine import read_inventory

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Devices:
    """The logical devices that `split_device` made, one for each replica.

    Attributes:
      kind: ``gpu`` or ``cpu``.
      names: logical devices in replica order, such as ``("GPU:0", "GPU:1")``.
      placement: ``physical`` when each has a physical device of its own, else ``virtual``.
      policy: the memory policy: ``default``, ``growth`` or ``limit``.
      memory_limit_mib: limit of each logical device in MiB, None without one.
      limit_enforced_by: who holds the limit, in words; empty without one.
      summary: one line for a log: what was found, what was made, who enforces the limit, and why.
    """

    kind: Kind
    names: tuple[str, ...]
    placement: str
    policy: Policy
    memory_limit_mib: int | None
    limit_enforced_by: str
    summary: str

    def to_dict(self) -> dict[str, Any]:
        """The ``devices`` entry of ``report.json``."""
        return {
            "kind": self.kind,
            "placement": self.placement,
            "replicas": len(self.names),
            "names": list(self.names),
            "memory_limit_mib": self.memory_limit_mib,
            "limit_enforced_by": self.limit_enforced_by,
        }


# TensorFlow's device configuration belongs to the process, so what was made belongs to the process, too.
_made: tuple[dict[str, Any], Devices] | None = None


def split_device(
    num_devices: int, *, memory_limit_mib: int | None = None, kind: str = "auto", policy: str | None = None
) -> Devices:
    """Makes `num_devices` logical devices; call it before the first TensorFlow operation.

    With at least `num_devices` GPUs each replica gets one of its own; with fewer, all visible GPUs are split evenly;
    with none, the CPU is split. GPUs that are not used are hidden, or TensorFlow would take their memory as well.

    Args:
      num_devices: logical devices, one for each replica.
      memory_limit_mib: limit of each logical device, in MiB. A GPU that is split gets an even share of what is free
        when none is given. On CPU no limit can be enforced in this process; `check_memory` measures against it.
      kind: ``auto`` (GPUs where there are any), ``gpu`` or ``cpu``.
      policy: ``default``, ``growth`` or ``limit``; None means ``limit`` when a limit is given or a GPU is split, and
        ``default`` otherwise.

    Returns:
      What was made. The same call again returns the same.

    Raises:
      ValueError: an argument is out of range, or policy and limit contradict each other.
      DeviceError: the machine does not have what was asked.
      RuntimeError: TensorFlow's devices are set up already, and differently.
    """
    global _made
    request = {
        "num_devices": num_devices,
        "memory_limit_mib": memory_limit_mib,
        "kind": kind,
        "policy": policy,
    }
    if _made is not None:
        return _same_again(request, *_made)
    plan = plan_devices(read_inventory(), num_devices, memory_limit_mib=memory_limit_mib, kind=kind, policy=policy)
    refuse_shared_pool(plan)
    _refuse_other_split(plan)
    found = describe_found()
    try:
        _apply(plan)
    except RuntimeError as error:
        raise RuntimeError(
            f"{num_devices} logical devices were asked for, and TensorFlow's devices are set up already "
            f"({found}): call split_device before the first TensorFlow operation of the process"
        ) from error
    devices = _describe_made(plan, found)
    _log.info(devices.summary)
    _made = (request, devices)
    return devices


def current_devices() -> Devices | None:
    """What `split_device` made in this process, None where it was not called."""
    return _made[1] if _made else None


def _same_again(request: dict[str, Any], made_for: dict[str, Any], devices: Devices) -> Devices:
    if request != made_for:
        changed = {key: value for key, value in request.items() if value != made_for[key]}
        raise RuntimeError(
            f"this process was split with {made_for} and is now asked for {changed}: TensorFlow cannot change its "
            "devices any more; use the devices that exist, or a new process"
        )
    return devices


def refuse_shared_pool(plan: DevicePlan) -> None:
    """Raises ValueError for a limit that would not hold.

    With cuda_malloc_async all virtual devices of a GPU share one pool (tensorflow PR 67373).
    """
    if plan.memory_limit_mib is not None and plan.kind == "gpu":
        allocator = os.environ.get("TF_GPU_ALLOCATOR")
        if allocator == "cuda_malloc_async":
            raise ValueError(
                f"TF_GPU_ALLOCATOR={allocator} and a limit of {plan.memory_limit_mib} MiB contradict each other: "
                "that allocator ignores limits; unset TF_GPU_ALLOCATOR"
            )


def _refuse_other_split(plan: DevicePlan) -> None:
    """A split that the user's own code made: TensorFlow would keep it, or replace it in silence."""
    for device, wanted in _configurations(plan):
        made = tf.config.get_logical_device_configuration(device)
        if made is not None and list(made) != wanted:
            raise RuntimeError(
                f"{device.name} is split already, into {_described(made)}, and {_described(wanted)} were asked for: "
                "leave the splitting to split_device, or ask it for the same"
            )


def _described(configurations: list[Any]) -> str:
    limits = sorted({str(one.memory_limit) for one in configurations if one.memory_limit is not None})
    limited = f" of {' or '.join(limits)} MiB" if limits else ""
    return f"{len(configurations)} logical device{'s' * (len(configurations) != 1)}{limited}"


def _configurations(plan: DevicePlan) -> list[tuple[Any, list[Any]]]:
    """The physical devices that are used, each with the logical devices to make of it."""
    physical = tf.config.list_physical_devices(plan.kind.upper())[: len(plan.slices)]
    limit = plan.memory_limit_mib if plan.kind == "gpu" else None
    one = tf.config.LogicalDeviceConfiguration(memory_limit=limit)
    return [(device, [one] * count) for device, count in zip(physical, plan.slices, strict=True)]


def _apply(plan: DevicePlan) -> None:
    used = _configurations(plan)
    if plan.kind == "gpu":
        tf.config.set_visible_devices([device for device, _ in used], "GPU")
    else:
        tf.config.set_visible_devices([], "GPU")
    for device, configurations in used:
        if plan.policy == "growth" and plan.kind == "gpu":
            tf.config.experimental.set_memory_growth(device, True)
        if len(configurations) > 1 or configurations[0].memory_limit is not None:
            tf.config.set_logical_device_configuration(device, configurations)


def describe_found() -> str:
    """What the machine has, for the plan line."""
    gpus = tf.config.list_physical_devices("GPU")
    return f"{len(gpus)} GPU{'s' * (len(gpus) != 1)}, {os.cpu_count()} CPU cores"


def _describe_made(plan: DevicePlan, found: str) -> Devices:
    names = tuple(f"{plan.kind.upper()}:{index}" for index in range(sum(plan.slices)))
    made = f"{plan.placement} {plan.kind.upper()} device{'s' * (len(names) != 1)}"
    return describe_plan(plan, f"found {found}; made {len(names)} {made}", names, plan.limit_enforced_by)


def describe_plan(plan: DevicePlan, what: str, names: tuple[str, ...], enforced_by: str) -> Devices:
    """The devices of a plan by these names; `what` was found and made, for the plan line."""
    limit = f", {plan.memory_limit_mib} MiB each" if plan.memory_limit_mib is not None else ""
    enforced = f"; the limit is enforced by {enforced_by}" if enforced_by else ""
    return Devices(
        kind=plan.kind,
        names=names,
        placement=plan.placement,
        policy=plan.policy,
        memory_limit_mib=plan.memory_limit_mib,
        limit_enforced_by=enforced_by,
        summary=f"devices: {what} ({', '.join(names)}{limit}), because {plan.reason}{enforced}",
    )
