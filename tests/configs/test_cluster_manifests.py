"""The Kubernetes manifests of configs/cluster: fields that exist, and names that fit each other."""

import pytest

from .cluster_files import CLUSTER, MANIFESTS, by_kind, documents, pods

# The fields of Kubernetes and of the training operator that are used here, and what they hold: a misspelt one is not
# among them. From the API reference of batch/v1 and v1 (1.34) and of kubeflow.org/v1 (training-operator 1.9).
POD = {
    "subdomain": str,
    "restartPolicy": ("Always", "OnFailure", "Never"),
    "terminationGracePeriodSeconds": int,
    "containers": [
        {
            "name": str,
            "image": str,
            "command": [str],
            "args": [str],
            "env": [{"name": str, "value": str, "valueFrom": {"fieldRef": {"fieldPath": str}}}],
            "ports": [{"name": str, "containerPort": int}],
            "resources": {"limits": {"nvidia.com/gpu": int}},
            "volumeMounts": [{"name": str, "mountPath": str}],
        }
    ],
    "volumes": [{"name": str, "persistentVolumeClaim": {"claimName": str}}],
}
COMMON = {"apiVersion": str, "kind": str, "metadata": {"name": str}}
SCHEMAS = {
    "kubeflow.org/v1 TFJob": COMMON
    | {
        "spec": {
            "enableDynamicWorker": bool,
            "successPolicy": ("", "AllWorkers"),
            "runPolicy": {"backoffLimit": int, "cleanPodPolicy": ("All", "Running", "None")},
            "tfReplicaSpecs": {
                "Worker": {
                    "replicas": int,
                    "restartPolicy": ("Always", "OnFailure", "Never", "ExitCode"),
                    "template": {"spec": POD},
                }
            },
        }
    },
    "batch/v1 Job": COMMON
    | {
        "spec": {
            "completionMode": ("Indexed", "NonIndexed"),
            "completions": int,
            "parallelism": int,
            "backoffLimit": int,
            "template": {"spec": POD},
        }
    },
    "v1 Service": COMMON
    | {
        "spec": {
            "clusterIP": str,
            "publishNotReadyAddresses": bool,
            "selector": {"job-name": str},
            "ports": [{"name": str, "port": int}],
        }
    },
}

# Stands for srun: as many processes on this machine as it has tasks, with what Slurm tells each.


def require(value, schema, where):
    """Fails where `value` has a field or a type that `schema` has not."""
    if isinstance(schema, dict):
        assert isinstance(value, dict), where
        for name, item in value.items():
            assert name in schema, f"{where}: no field {name!r}"
            require(item, schema[name], f"{where}.{name}")
    elif isinstance(schema, list):
        assert isinstance(value, list), where
        for item in value:
            require(item, schema[0], f"{where}[]")
    elif isinstance(schema, tuple):
        assert value in schema, f"{where}: {value!r}"
    else:
        assert type(value) is schema, f"{where}: {value!r}"


class TestManifests:
    @pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
    def test_have_fields_that_exist(self, path):
        for document in documents(path):
            name = f"{document['apiVersion']} {document['kind']}"
            require(document, SCHEMAS[name], name)

    def test_a_misspelt_field_would_be_seen(self):
        document = by_kind(CLUSTER / "indexed_job.yaml")["Job"]
        document["spec"]["backofLimit"] = document["spec"].pop("backoffLimit")
        with pytest.raises(AssertionError, match="no field 'backofLimit'"):
            require(document, SCHEMAS["batch/v1 Job"], "")

    def test_names_fit_each_other(self):
        kinds = by_kind(CLUSTER / "indexed_job.yaml")
        service, job = kinds["Service"], kinds["Job"]
        name = job["metadata"]["name"]
        (container,) = job["spec"]["template"]["spec"]["containers"]
        environment = {one["name"]: one.get("value") for one in container["env"]}
        assert service["spec"]["selector"] == {"job-name": name}
        assert service["spec"]["clusterIP"] == "None"
        assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
        assert environment["HOSTS"].startswith(f"{name}-INDEX.{service['metadata']['name']}.")
        assert int(environment["NUM_WORKERS"]) == job["spec"]["completions"] == job["spec"]["parallelism"]
        names = [one["name"] for one in container["env"]]
        assert names.index("NAMESPACE") < names.index("HOSTS")  # $(NAMESPACE) is known to what follows it only

    def test_the_training_operator_finds_its_container_and_no_sparse_cluster(self):
        spec = by_kind(CLUSTER / "tfjob.yaml")["TFJob"]["spec"]
        assert [container["name"] for container in pods()["tfjob"]["containers"]] == ["tensorflow"]
        assert spec["enableDynamicWorker"] is False

    @pytest.mark.parametrize("name", ["tfjob", "indexed_job"])
    def test_the_run_lies_on_the_shared_volume(self, name):
        pod = pods()[name]
        (container,) = pod["containers"]
        (mount,) = container["volumeMounts"]
        assert mount["name"] in [volume["name"] for volume in pod["volumes"]]
        assert f"{mount['mountPath']}/digits" in " ".join(container["command"])
