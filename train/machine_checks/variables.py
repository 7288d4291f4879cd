"""Environment variables that change what TensorFlow does, alone or together."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from distribute.cluster_processes.config_error import ClusterConfigError
from distribute.cluster_processes.network import ISOLATE, public_hosts
from distribute.cluster_processes.tf_config import read_tf_config
from train.machine_checks.row import Row, Status

# Modules whose namesakes on PYTHONPATH have broken many a TensorFlow.
_SHADOWED = ("tensorflow", "keras", "numpy", "google", "absl")


@dataclass(frozen=True)
class Surroundings:
    """What a variable is judged against."""

    environment: Mapping[str, str]
    num_gpus: int = 0

    def get(self, name: str) -> str | None:
        """The variable's value, None where it is not set."""
        return self.environment.get(name)


def variable_rows(environment: Mapping[str, str], num_gpus: int) -> list[Row]:
    """A row for each variable that matters and is set; one that says so where there is none.

    Args:
      environment: as `os.environ`.
      num_gpus: GPUs of the machine, seen or not.
    """
    surroundings = Surroundings(environment, num_gpus)
    rows = [row for check in _CHECKS for row in check(surroundings)]
    return rows or [Row("environment", Status.OK, "no variable is set that changes what TensorFlow does")]


def _visible_devices(on: Surroundings) -> Iterator[Row]:
    name = "CUDA_VISIBLE_DEVICES"
    value = on.get(name)
    if value is None:
        return
    entries = [entry.strip() for entry in value.split(",")]
    if value.strip() == "" or entries[0] == "-1":
        shown = "set, and empty" if value.strip() == "" else value
        status = Status.PROBLEM if on.num_gpus else Status.WARNING
        yield Row(name, status, f"{shown}: hides every GPU", f"unset {name}, unless the CPU is meant (--device=cpu)")
    elif wrong := next((entry for entry in entries if not _is_device(entry, on.num_gpus)), None):
        remedy = "indices of nvidia-smi -L, or GPU-… and MIG-… names: CUDA sees only what stands before a wrong one"
        yield Row(name, Status.WARNING, f"{value}: {wrong!r} is no GPU of this machine", remedy)
    elif len(set(entries)) < len(entries):
        yield Row(name, Status.PROBLEM, f"{value}: names a GPU twice", "each once; --virtual_gpus=N splits one GPU")
    else:
        yield Row(name, Status.OK, value)


def _is_device(entry: str, num_gpus: int) -> bool:
    if entry.startswith(("GPU-", "MIG-")):
        return True
    return entry.isdigit() and (num_gpus == 0 or int(entry) < num_gpus)


def _growth(on: Surroundings) -> Iterator[Row]:
    name = "TF_FORCE_GPU_ALLOW_GROWTH"
    value = on.get(name)
    if value is None:
        return
    if value not in ("true", "false"):
        yield Row(name, Status.WARNING, f"{value!r}: TensorFlow reads true and false only", f"{name}=true, or unset it")
    elif on.get("TF_GPU_ALLOCATOR") == "cuda_malloc_async":
        remedy = f"unset {name}: that allocator grows by itself"
        yield Row(name, Status.WARNING, f"{value}, with TF_GPU_ALLOCATOR=cuda_malloc_async", remedy)
    else:
        remedy = (
            f"unset {name} where --memory_policy or --memory_limit is given: a limit is then no longer set aside at"
            " the start, and another process may have the memory when it is needed"
        )
        yield Row(name, Status.WARNING, value, remedy)


def _gpu_allocator(on: Surroundings) -> Iterator[Row]:
    name = "TF_GPU_ALLOCATOR"
    value = on.get(name)
    if value is None:
        return
    if value == "cuda_malloc_async":
        remedy = f"unset {name}: virtual GPUs share one pool under it, no limit holds and no peak can be measured"
        yield Row(name, Status.PROBLEM, f"{value}, with virtual GPUs", remedy)
    else:
        yield Row(name, Status.WARNING, value, f"unset {name}: limits hold under TensorFlow's own allocator only")


def _cpu_allocator(on: Surroundings) -> Iterator[Row]:
    limit, switch = "TF_CPU_BFC_MEM_LIMIT_IN_MB", "TF_CPU_ALLOCATOR_USE_BFC"
    value, is_on = on.get(limit), (on.get(switch) or "").lower() in ("1", "true")
    if value is not None and not value.isdigit():
        yield Row(limit, Status.PROBLEM, f"{value!r} is no number", f"{limit}=MiB, or unset it")
    elif value is not None and not is_on:
        yield Row(limit, Status.WARNING, f"{value}, without {switch}=true: it does nothing", f"unset {limit}")
    elif is_on:
        found = f"on, with {value} MiB" if value else "on"
        remedy = (
            f"unset {switch}: it caps the whole process, and Conv2D can crash under it; --memory_limit is per replica"
        )
        yield Row(switch, Status.WARNING, found, remedy)


def _cluster(on: Surroundings) -> Iterator[Row]:
    name = "TF_CONFIG"
    value = on.get(name)
    if value is None:
        return
    try:
        member = read_tf_config(value)
    except ClusterConfigError as error:
        yield Row(name, Status.PROBLEM, error.found.removeprefix(f"{name} "), error.remedy)
        return
    task_type, index = member.task
    yield Row(name, Status.OK, f"{task_type} {index} in a cluster of {len(member.addresses)}")
    if hosts := public_hosts(member):
        yield Row(name, Status.WARNING, f"public addresses in the cluster: {', '.join(hosts)}", ISOLATE)


def _xla(on: Surroundings) -> Iterator[Row]:
    name = "XLA_FLAGS"
    value = on.get(name)
    if value is None:
        return
    for flag in value.split():
        folder = flag.removeprefix("--xla_gpu_cuda_data_dir=")
        if folder != flag and not Path(folder).is_dir():
            yield Row(
                name, Status.PROBLEM, f"{flag}: there is no such folder", "name the one that holds nvvm/libdevice"
            )
            return
    if "--xla_force_host_platform_device_count" in value:
        yield Row(name, Status.WARNING, value, "that flag is JAX's; here --virtual_gpus=N splits the CPU")
    else:
        yield Row(
            name, Status.WARNING, value, f"unset {name} unless you know why it is set: unknown flags end TensorFlow"
        )


def _log_level(on: Surroundings) -> Iterator[Row]:
    name = "TF_CPP_MIN_LOG_LEVEL"
    value = on.get(name) or "0"
    if value in ("2", "3"):
        hidden = "warnings, the allocator's report among them," if value == "2" else "errors"
        yield Row(
            name, Status.WARNING, f"{value}: hides {hidden} of TensorFlow", f"unset {name} while looking for a fault"
        )


def _library_path(on: Surroundings) -> Iterator[Row]:
    name = "LD_LIBRARY_PATH"
    folders = [Path(folder) for folder in (on.get(name) or "").split(":") if folder]
    held = [folder for folder in folders if any(_cuda_files(folder))]
    if held:
        found = "holds CUDA or cuDNN: " + ", ".join(map(str, held))
        yield Row(name, Status.WARNING, found, f"unset {name}: it goes before the libraries that came with TensorFlow")


def _cuda_files(folder: Path) -> Iterator[Path]:
    for pattern in ("libcudart.so*", "libcudnn*.so*", "libcublas.so*", "libnccl.so*"):
        yield from folder.glob(pattern)


def _python_path(on: Surroundings) -> Iterator[Row]:
    name = "PYTHONPATH"
    for folder in (on.get(name) or "").split(":"):
        for module in _SHADOWED if folder else ():
            for path in (Path(folder, module), Path(folder, f"{module}.py")):
                if path.exists():
                    remedy = f"rename it, or take {folder} off {name}"
                    yield Row(name, Status.WARNING, f"{path} goes before the installed {module}", remedy)


def _keras(on: Surroundings) -> Iterator[Row]:
    name = "TF_USE_LEGACY_KERAS"
    if (on.get(name) or "").lower() in ("1", "true"):
        yield Row(name, Status.PROBLEM, "tf.keras is Keras 2 under it", f"unset {name}: this repository is for Keras 3")


_CHECKS: tuple[Callable[[Surroundings], Iterator[Row]], ...] = (
    _visible_devices,
    _growth,
    _gpu_allocator,
    _cpu_allocator,
    _cluster,
    _xla,
    _log_level,
    _library_path,
    _python_path,
    _keras,
)
