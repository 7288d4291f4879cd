"""How far gradients of N replicas are from one device's in each precision, and whether a run repeats itself."""

from collections.abc import Iterator
from typing import Any

from benchmarks.evidence.command import Setting, read_json, run, run_main

# NVIDIA's own switch: cuBLAS and cuDNN compute float32 in TF32 where it allows it and TensorFlow asks for it.
TF32 = {"TF32 on": {}, "TF32 off": {"NVIDIA_TF32_OVERRIDE": "0"}}


def measure(setting: Setting) -> Iterator[dict[str, Any]]:
    """The checks with TF32 on and off (float64 is among them); the same run twice, with and without determinism."""
    for tf32, environment in TF32.items():
        for replicas in (2, 4):
            flags = [f"--virtual_gpus={replicas}", "--verify=gradients", "--steps=0"]
            name = f"{tf32}, N={replicas}"
            found = run_main(setting, f"verify-{tf32}-{replicas}", *flags, timeout_s=120, environment=environment)
            yield {"name": name, **found}
    for deterministic in ("deterministic", "nodeterministic"):
        yield {"name": f"twice with --{deterministic}", **_twice(setting, deterministic)}


def _twice(setting: Setting, deterministic: str) -> dict[str, Any]:
    names = [f"{deterministic}-{number}" for number in (1, 2)]
    flags = ["--virtual_gpus=2", "--verify=off", f"--{deterministic}", f"--steps={setting.steps}"]
    runs = [run_main(setting, name, *flags, timeout_s=120) for name in names]
    folder = setting.scratch / f"{deterministic}-compared"
    compared = run(
        ["train/compare.py", *(str(setting.scratch / name) for name in names), f"--output_dir={folder}"], timeout_s=60
    )
    digests = [one["report"].get("training", {}).get("weights_sha256") for one in runs]
    return {
        "exits": [one["exit"] for one in runs],
        "same_bytes": digests[0] is not None and digests[0] == digests[1],
        **compared,
        "comparison": read_json(folder / "comparison.json"),
    }
