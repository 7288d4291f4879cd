"""Records as ``report.json`` has them, small ones and such as no run should leave."""

import functools

from train.record import EMPTY_TRAINING
from train.report_page.page import report_page

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)> & $x^2$ 'a' \x00"


def check(name, status="passed", observed=1e-15, allowed=1e-12, detail="relative L2"):
    return {"name": name, "status": status, "observed": observed, "allowed": allowed, "detail": detail}


def variable(path, residual=4e-16, distance=2e-7, **changes):
    low = {"dtype": "float32", "quantity": "gradient", "distance": distance, "reference": 1.5e-7, "allowed": 4e-6}
    return {
        "path": path,
        "shape": [3, 3, 1, 32],
        "dtype": "float64",
        "role": "trainable",
        "quantity": "gradient",
        "relative_l2": residual,
        "residual": residual,
        "max_abs": 1e-17,
        "ratio": 1.0,
        "cosine": 1.0,
        "replica": 0,
        "reductions": {"optimizer": 1},
        "reductions_expected": 1,
        "low_precision": [low],
    } | changes


def timeline(process, devices=(), limit_mib=None):
    return {
        "process": process,
        "devices": list(devices),
        "shared_by": [],
        "limit_mib": limit_mib,
        "no_counter": "" if devices else "none",
        "process_source": "resident memory of the process",
        "interval_s": 0.1,
        "failure": "",
        "seconds": [0.0, 0.1, 0.2, 0.3],
        "in_use_mib": {name: [1.0, 40.0, 41.5, 2.0] for name in devices},
        "process_mib": [600.0, 610.0, 650.0, 650.0],
        "phases": [
            {"name": "verification", "seconds": [0.0, 0.1]},
            {"name": "training", "seconds": [0.1, 0.29]},
            {"name": "evaluation", "seconds": [0.29, 0.3]},
        ],
    }


def passed_record(num_replicas=2):
    """A run that proved and trained."""
    names = [f"CPU:{index}" for index in range(num_replicas)]
    steps = {"devices": names, "examples": 32, "peak_mib": [60.0, 58.0, 58.5], "after_mib": [1.0, 1.0, 1.1]}
    share = 64 // num_replicas
    curve = {"steps": list(range(1, 101)), "values": [2.3 / step for step in range(1, 101)]}
    training = {"steps": 100, "epochs": 4.3, "examples_per_second": 1500.0, "final_loss": 0.023, "test_loss": 0.1}
    return {
        "schema_version": 1,
        "ok": True,
        "environment": {"tensorflow": "2.21.0", "gpus": [], "driver": None},
        "devices": {"kind": "cpu", "placement": "virtual", "replicas": num_replicas, "names": names},
        "checks": [
            check("gradient_equivalence/float64"),
            check("gradient_equivalence/float64@uneven"),
            check("gradient_equivalence/float32", observed=2e-7, allowed=4e-6),
            check("input_coverage", observed=0.0, allowed=0.0, detail="1437 examples, each one once"),
            check("memory_bounds/limit", observed=60.0, allowed=100, detail="peak of a replica 60 MiB"),
            check("randomness", "skipped", None, None, "not triggered: the step has no random operation"),
        ],
        "causes": [],
        "explanations": [],
        "smallest_failure": {},
        "accepted": [],
        "notes": [],
        "variables": [variable("conv/kernel"), variable("conv/bias", 3.8e-15, low_precision=[])],
        "shards": [{"batch": "", "sizes": [share] * num_replicas}],
        "memory": {
            "limit_mib": 100,
            "replicas": [{"device": name, "peak_mib": 60.0} for name in names],
            "reference_peak_mib": 66.0,
            "steps": [steps, {**steps, "devices": [], "examples": 64}],
            "sum": {"total_mib": 120.0, "activations_mib": None},
            "timelines": [timeline("this process")],
        },
        "training": {**EMPTY_TRAINING, **training, "losses": curve, "accuracies": curve, "test_accuracy": 0.98},
        "transport": {"ok": True},
        "setup": {"run": {"shards": {"64": [share] * num_replicas, "1": [0] * (num_replicas - 1) + [1]}}, "data": {}},
    }


def failed_record(text="each replica takes the mean over its own shard"):
    """A run whose gradients are wrong; `text` stands wherever a user's own words may."""
    explanation = {"cause": "loss_summed_over_replicas", "evidence": "ratio 2 with cosine 1", "variable": text}
    explanation |= {"location": f"model.py:6 in loss: {text}", "mistake": text, "remedy": f"divide: {text}"}
    smallest = {"num_replicas": 2, "num_rows": 1, "variables": [text], "compared": 2, "passing_rows": [8]}
    smallest |= {"passing_replicas": [], "does_not_matter": ["the optimizer"], "rerun": f"python main.py {text}"}
    return passed_record() | {
        "ok": False,
        "checks": [
            check("gradient_equivalence/float64", "failed", 1.0, 1e-12, text),
            check("update_equivalence/float64", "failed", None, 1e-12, f"observed nan; {text}"),
        ],
        "causes": ["loss_summed_over_replicas"],
        "explanations": [explanation],
        "smallest_failure": smallest,
        "notes": [text],
        "variables": [
            variable(text, 1.0, 1.0),
            variable("not_finite", None, None, relative_l2=None, low_precision=[]),
            variable("counter", None, relative_l2=None, quantity="not compared", low_precision=[]),
        ],
        "environment": {"platform": text},
        "training": dict(EMPTY_TRAINING),
    }


def unfinished_record():
    """A run that was out of memory before anything was measured."""
    return {
        "schema_version": 1,
        "ok": False,
        "environment": {},
        "devices": {},
        "checks": [],
        "causes": [],
        "notes": [
            "replica 1 ran out of memory under its limit of 20 MiB\n  try: --memory_limit=39\n  the raw error: --debug"
        ],
        "variables": [],
        "memory": {"limit_mib": None, "replicas": []},
        "training": dict(EMPTY_TRAINING),
    }


def isolated_record():
    """Two processes with an allocator and a limit each, without verification."""
    record = passed_record()
    lines = [timeline(f"replica {index}", ["CPU:0"], 100) for index in range(2)]
    replicas = [{"device": f"worker:{index}/CPU:0", "peak_mib": 40.0 + index} for index in range(2)]
    memory = {"limit_mib": 100, "replicas": replicas, "timelines": lines}
    return record | {"checks": [], "variables": [], "shards": [], "memory": memory}


def large_record(num_variables=500):
    """A model of hundreds of variables with long names, after a long run."""
    rows = [
        variable(f"model/block_{index}/a_layer_with_a_rather_long_name/kernel", (index + 1) * 1e-16)
        for index in range(num_variables)
    ]
    curve = {"steps": list(range(1, 1001)), "values": [2.3 + index % 7 for index in range(1000)]}
    record = passed_record(8) | {"variables": rows}
    record["training"] |= {"losses": curve, "accuracies": curve}
    return record


RECORDS = {
    "passed": passed_record,
    "eight_replicas": lambda: passed_record(8),
    "failed": failed_record,
    "hostile": lambda: failed_record(HOSTILE),
    "unfinished": unfinished_record,
    "isolated": isolated_record,
    "large": large_record,
}


@functools.cache
def page_of(name):
    return report_page(RECORDS[name]())
