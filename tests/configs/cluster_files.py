"""The files of configs/cluster, for their tests."""

import yaml

from tests.process import REPOSITORY

CLUSTER = REPOSITORY / "configs/cluster"
MANIFESTS = sorted(CLUSTER.glob("*.yaml"))
SCRIPTS = sorted([*CLUSTER.glob("*.sh"), *CLUSTER.glob("*.sbatch")])


def documents(path):
    return list(yaml.safe_load_all(path.read_text()))


def by_kind(path):
    return {document["kind"]: document for document in documents(path)}


def pods():
    """The pod of each manifest."""
    job = by_kind(CLUSTER / "tfjob.yaml")["TFJob"]["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    return {"tfjob": job, "indexed_job": by_kind(CLUSTER / "indexed_job.yaml")["Job"]["spec"]["template"]["spec"]}
