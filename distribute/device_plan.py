"""Which logical devices to make out of which physical ones: a pure function, so that any machine can be tried.

Nothing here imports TensorFlow or touches a device: `plan_devices` maps what a machine has and what was asked to a
`DevicePlan`, which `distribute.devices` then carries out.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gpu", "cpu"]
Policy = Literal["default", "growth", "limit"]

KINDS = ("auto", "gpu", "cpu")
POLICIES = ("default", "growth", "limit")

# Left to what no limit covers (CUDA context, cuBLAS and cuDNN workspaces) when a GPU is split evenly without a limit
# being given. A limit of 1024 MiB was seen as 1455 MiB by nvidia-smi, so 431 MiB were beyond it; on an H200 622 MiB
# were (docs/gpu.md). Where too little is left, the last logical device gets a tenth less than the others, silently.
GPU_RESERVE_MIB = 768
# Less than this is no basis for training anything: the GPU is taken by somebody else.
SMALLEST_SHARE_MIB = 64


class DeviceError(RuntimeError):
    """The machine cannot give what was asked: no such GPU, too little memory, or the GPU is in use."""


@dataclass(frozen=True)
class Gpu:
    """A visible physical GPU; memory in MiB, None where NVML does not tell."""

    model: str = "GPU"
    total_mib: int | None = None
    free_mib: int | None = None


@dataclass(frozen=True)
class Inventory:
    """What a machine has: the visible GPUs in TensorFlow's order, and the memory this process may use, in MiB."""

    gpus: tuple[Gpu, ...]
    host_memory_mib: int


@dataclass(frozen=True)
class DevicePlan:
    """What to make.

    Attributes:
      kind: the kind of the logical devices.
      slices: logical devices on each physical device that is used, in order; its sum is the number of replicas.
      policy: the memory policy.
      memory_limit_mib: limit of each logical device, None without one.
      limit_enforced_by: who holds the limit, in words; empty without a limit.
      reason: why this was chosen, for the plan line.
    """

    kind: Kind
    slices: tuple[int, ...]
    policy: Policy
    memory_limit_mib: int | None
    limit_enforced_by: str
    reason: str

    @property
    def placement(self) -> Literal["physical", "virtual"]:
        """``virtual`` as soon as one physical device carries more than one logical device."""
        return "virtual" if max(self.slices) > 1 else "physical"


def plan_devices(
    inventory: Inventory,
    num_devices: int,
    *,
    memory_limit_mib: int | None = None,
    kind: str = "auto",
    policy: str | None = None,
) -> DevicePlan:
    """Plans `num_devices` logical devices on the machine that `inventory` describes.

    Args:
      inventory: what the machine has.
      num_devices: logical devices wanted, at least 1.
      memory_limit_mib: limit of each logical device, in MiB. On a GPU that is split a limit is always set: without
        one given, an even share of what is free less `GPU_RESERVE_MIB`; so it is for GPUs of different models, with
        policy None, so that what trains on one replica trains on each.
      kind: ``auto`` takes GPUs where there are any.
      policy: ``default``, ``growth``, ``limit``, or None for ``limit`` when there is a limit and ``default`` otherwise.

    Raises:
      ValueError: an argument is out of range, or policy and limit contradict each other.
      DeviceError: the machine does not have what was asked.
    """
    _check_arguments(num_devices, memory_limit_mib, kind, policy)
    if kind == "gpu" and not inventory.gpus:
        raise DeviceError(
            "a GPU was asked for and TensorFlow sees none: check the driver and CUDA_VISIBLE_DEVICES, "
            "or use the CPU (kind='cpu', --device=cpu)"
        )
    if inventory.gpus and kind != "cpu":
        return _plan_gpus(inventory, num_devices, memory_limit_mib, policy)
    return _plan_cpu(inventory, num_devices, memory_limit_mib, policy, asked_for_cpu=kind == "cpu")


def even_slices(num_devices: int, num_physical: int) -> tuple[int, ...]:
    """Spreads logical devices evenly over physical ones; the first ones take one more where it does not divide."""
    used = min(num_devices, num_physical)
    share, rest = divmod(num_devices, used)
    return tuple(share + (index < rest) for index in range(used))


def _check_arguments(num_devices: int, memory_limit_mib: int | None, kind: str, policy: str | None) -> None:
    for name, value in (("num_devices", num_devices), ("memory_limit_mib", memory_limit_mib)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError(f"{name} is {value!r}: give a whole number")
    if num_devices < 1:
        raise ValueError(f"{num_devices} devices were asked for: at least 1 is needed")
    if memory_limit_mib is not None and memory_limit_mib < 1:
        raise ValueError(f"a memory limit of {memory_limit_mib} MiB was asked for: give a positive number of MiB")
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is unknown: choose one of {', '.join(KINDS)}")
    if policy is not None and policy not in POLICIES:
        raise ValueError(f"memory policy {policy!r} is unknown: choose one of {', '.join(POLICIES)}")


def _choose_policy(policy: str | None, memory_limit_mib: int | None, *, needs_limit: bool) -> Policy:
    limited = memory_limit_mib is not None or needs_limit
    if policy is None:
        return "limit" if limited else "default"
    if policy == "limit" and not limited:
        raise ValueError("memory policy 'limit' needs a limit: give one (memory_limit_mib, --memory_limit)")
    if policy in ("default", "growth") and limited:
        # TensorFlow refuses growth after a limit and silently ignores a limit after growth (tensorflow#38367).
        found = f"a limit of {memory_limit_mib} MiB" if memory_limit_mib else "a GPU that is split, which needs a limit"
        raise ValueError(
            f"memory policy {policy!r} contradicts {found}: TensorFlow cannot combine them; "
            "leave the policy out, or leave the limit out and use one device per GPU"
        )
    return policy  # type: ignore[return-value]  # one of POLICIES: checked before


def _plan_gpus(inventory: Inventory, num_devices: int, limit: int | None, policy: str | None) -> DevicePlan:
    slices = even_slices(num_devices, len(inventory.gpus))
    splits_gpu = max(slices) > 1
    used = inventory.gpus[: len(slices)]
    models = sorted({gpu.model for gpu in used})
    reason = "one GPU each" if not splits_gpu else f"fewer GPUs than the {num_devices} replicas asked for"
    if len(models) > 1:
        reason += f"; models differ ({', '.join(models)}): the slowest sets the pace, the smallest what fits"
    alike = len(models) > 1 and policy is None and all(gpu.free_mib is not None for gpu in used)
    chosen = _choose_policy(policy, limit, needs_limit=splits_gpu or alike)
    if limit is not None:
        _check_gpu_limit(used, slices, limit)
    elif splits_gpu or alike:
        limit = _even_share(used, slices)
        reason += f"; the limit is an even share of the free memory less {GPU_RESERVE_MIB} MiB for CUDA's own needs"
    enforced_by = "TensorFlow's allocator, on each logical GPU" if limit is not None else ""
    return DevicePlan("gpu", slices, chosen, limit, enforced_by, reason)


def _even_share(gpus: tuple[Gpu, ...], slices: tuple[int, ...]) -> int:
    """One limit for all replicas, so the fullest GPU decides (replicas of unlike size hide bugs of the smallest)."""
    shares = []
    for index, (gpu, count) in enumerate(zip(gpus, slices, strict=True)):
        if gpu.free_mib is None:
            raise DeviceError(
                f"GPU {index} ({gpu.model}) is to be split and NVML does not say how much of its memory is free: "
                "give the limit yourself (memory_limit_mib, --memory_limit)"
            )
        shares.append((gpu.free_mib - GPU_RESERVE_MIB) // count)
    if min(shares) < SMALLEST_SHARE_MIB:
        index = shares.index(min(shares))
        raise DeviceError(
            f"GPU {index} ({gpus[index].model}) has {gpus[index].free_mib} MiB free, too little for {slices[index]} "
            f"replicas after {GPU_RESERVE_MIB} MiB for CUDA's own needs: free it (nvidia-smi shows who uses it)"
        )
    return min(shares)


def _check_gpu_limit(gpus: tuple[Gpu, ...], slices: tuple[int, ...], limit: int) -> None:
    for index, (gpu, count) in enumerate(zip(gpus, slices, strict=True)):
        need = count * limit
        for size, what in ((gpu.total_mib, ""), (gpu.free_mib, " free (nvidia-smi shows who uses the rest)")):
            if size is not None and need > size:
                raise DeviceError(
                    f"{count} x {limit} MiB = {need} MiB were asked for on GPU {index} ({gpu.model}), which has "
                    f"{size} MiB{what}: ask for at most {size // count} MiB each, or for fewer replicas"
                )


def _plan_cpu(
    inventory: Inventory, num_devices: int, limit: int | None, policy: str | None, *, asked_for_cpu: bool
) -> DevicePlan:
    chosen = _choose_policy(policy, limit, needs_limit=False)
    enforced_by = ""
    if limit is not None:
        if num_devices * limit > inventory.host_memory_mib:
            raise DeviceError(
                f"{num_devices} x {limit} MiB = {num_devices * limit} MiB were asked for and this process may use "
                f"{inventory.host_memory_mib} MiB: ask for at most {inventory.host_memory_mib // num_devices} MiB each"
            )
        # LogicalDeviceConfiguration(memory_limit=…) is refused on CPU, and all logical CPUs share one allocator.
        enforced_by = "nothing in this process, since TensorFlow has no limit per logical CPU"
    reason = "the CPU was asked for" if asked_for_cpu else "TensorFlow sees no GPU"
    if chosen == "growth":
        reason += "; memory growth has no effect on a CPU"
    return DevicePlan("cpu", (num_devices,), chosen, limit, enforced_by, reason)
