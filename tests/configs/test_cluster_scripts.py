"""The scripts of configs/cluster, run as far as a machine without a cluster can."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from distribute.cluster_processes.tf_config import read_tf_config
from tests.process import REPOSITORY, run_python

from .cluster_files import CLUSTER, MANIFESTS, SCRIPTS, pods

SRUN = r"""#!/bin/bash
while [[ $1 == --* ]]; do shift; done
export SLURM_STEP_NODELIST=127.0.0.[1-2] SLURM_STEP_TASKS_PER_NODE='1(x2)' SLURM_STEP_NUM_TASKS=2 SLURM_LOCALID=0
worst=0
for task in 0 1; do SLURM_PROCID=$task "$@" & started="$started $!"; done
for process in $started; do wait "$process"; status=$?; ((status > worst)) && worst=$status; done
exit $worst
"""

# Stands for Python with TensorFlow: says who it is in the cluster and what it was called with, and ends as it is told.
PYTHON = f"""#!{sys.executable}
import importlib.util, json, os, sys, types
package = types.ModuleType("distribute")
package.__path__ = [{str(REPOSITORY / "distribute")!r}]
sys.modules["distribute"] = package
from distribute.cluster_processes.slurm import slurm_member
member = slurm_member(os.environ, 2222)
print(json.dumps({{"argv": sys.argv[1:], "member": member and json.loads(member.tf_config())}}))
sys.exit(int(os.environ["STATUS"]))
"""


def put(folder, name, text):
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


class TestComments:
    @pytest.mark.parametrize("path", [*MANIFESTS, *SCRIPTS], ids=lambda path: path.name)
    def test_each_file_opens_with_what_it_is_and_its_command(self, path):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#!")]
        opening = "\n".join(lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))])
        assert "# Command:  " in opening
        assert path.name in opening
        if path.suffix != ".sh":
            for word in ("# Cost: ", "# Result: ", "# Change: ", "Security"):
                assert word in opening


class TestScripts:
    @pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
    def test_have_no_mistake_that_shellcheck_knows(self, path):
        shellcheck = Path(sys.executable).with_name("shellcheck")
        result = subprocess.run([shellcheck, path], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout

    def test_flags_are_those_of_the_main_script(self):
        sbatch = re.search(r"train_or_resume\.sh .*", (CLUSTER / "slurm.sbatch").read_text())[0]
        given = [[word for word in shlex.split(sbatch) if word.startswith("--")]]
        given += [pod["containers"][0]["args"] for pod in pods().values()]
        assert all(given)
        lines = [
            "from absl import flags",
            "from train import main",
            "main.define_flags()",
            *(f"flags.FLAGS(['main.py', '--output_dir=a', '--resume', *{flags}])" for flags in given),
        ]
        result = run_python("\n".join(lines))
        assert result.returncode == 0, result.stderr


class TestTfConfigFromIndex:
    def run(self, **environment):
        command = ["sh", CLUSTER / "tf_config_from_index.sh"]
        return subprocess.run(
            command, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, check=False
        )

    @pytest.mark.parametrize("index", [0, 2])
    def test_is_a_cluster_with_this_pod_in_it(self, index):
        # 127.0.0.10 to 127.0.0.12 are all this machine.
        result = self.run(JOB_COMPLETION_INDEX=str(index), NUM_WORKERS="3", HOSTS="127.0.0.1INDEX", PORT="22347")
        member = read_tf_config(result.stdout)
        assert member.addresses == ("127.0.0.10:22347", "127.0.0.11:22347", "127.0.0.12:22347")
        assert member.index == index

    def test_of_the_manifest(self):
        (container,) = pods()["indexed_job"]["containers"]
        environment = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        environment["HOSTS"] = environment["HOSTS"].replace("$(NAMESPACE)", "team")
        result = self.run(**environment, JOB_COMPLETION_INDEX="1")
        port = container["ports"][0]["containerPort"]
        assert json.loads(result.stdout) == {
            "cluster": {"worker": [f"digits-{index}.digits.team.svc.cluster.local:{port}" for index in (0, 1)]},
            "task": {"type": "worker", "index": 1},
        }

    @pytest.mark.parametrize(
        ("environment", "words"),
        [
            ({"NUM_WORKERS": "2", "HOSTS": "a-INDEX"}, "JOB_COMPLETION_INDEX"),
            ({"JOB_COMPLETION_INDEX": "0", "HOSTS": "a-INDEX"}, "NUM_WORKERS"),
            ({"JOB_COMPLETION_INDEX": "0", "NUM_WORKERS": "2"}, "HOSTS"),
            ({"JOB_COMPLETION_INDEX": "0", "NUM_WORKERS": "2", "HOSTS": "a"}, "HOSTS=a has no INDEX"),
        ],
    )
    def test_what_is_missing_is_named(self, environment, words):
        result = self.run(**environment)
        assert result.returncode != 0
        assert words in result.stderr
        assert result.stdout == ""

    def test_the_container_stops_where_it_cannot_be_built(self, tmp_path):
        (container,) = pods()["indexed_job"]["containers"]
        python = put(tmp_path, "python", "#!/bin/sh\necho started\n")
        environment = {"PATH": os.environ["PATH"], "PYTHON": str(python)}
        result = subprocess.run(
            container["command"], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode != 0
        assert result.stdout == ""


class TestTrainOrResume:
    def run(self, folder, *flags):
        command = ["sh", CLUSTER / "train_or_resume.sh", folder, *flags]
        result = subprocess.run(
            command, env={**os.environ, "PYTHON": "echo"}, capture_output=True, text=True, check=True
        )
        return result.stdout.split()

    def test_begins_where_there_is_no_checkpoint(self, tmp_path):
        (tmp_path / "report.json").touch()
        for folder in (tmp_path, tmp_path / "no"):
            assert self.run(folder, "--steps=3") == ["train/main.py", f"--output_dir={folder}", "--steps=3"]

    def test_goes_on_where_there_is_one(self, tmp_path):
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints/ckpt-20.index").touch()
        assert self.run(tmp_path, "--steps=3") == ["train/main.py", f"--output_dir={tmp_path}", "--resume", "--steps=3"]


class TestSlurm:
    def run(self, folder, status):
        """The script with stand-ins for srun, scontrol and Python."""
        put(folder, "srun", SRUN)
        put(folder, "scontrol", '#!/bin/sh\necho "scontrol $*"\n')
        environment = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHON": str(put(folder, "python", PYTHON)),
            "SLURM_JOB_NAME": "digits",
            "SLURM_JOB_ID": "7",
            "STATUS": str(status),
        }
        result = subprocess.run(
            ["bash", CLUSTER / "slurm.sbatch"],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert result.returncode == status, result.stderr
        return result.stdout.splitlines()

    def test_every_task_trains_in_one_cluster(self, tmp_path):
        tasks = [json.loads(line) for line in self.run(tmp_path, 0)]
        assert sorted(task["member"]["task"]["index"] for task in tasks) == [0, 1]
        for task in tasks:
            assert task["member"]["cluster"] == {"worker": ["127.0.0.1:2222", "127.0.0.2:2222"]}
            assert task["argv"][:2] == ["train/main.py", "--output_dir=runs/digits-7"]

    def test_a_run_whose_time_was_over_is_queued_again(self, tmp_path):
        assert self.run(tmp_path, 143)[-1] == "scontrol requeue 7"

    def test_a_run_that_failed_is_not(self, tmp_path):
        assert not [line for line in self.run(tmp_path, 3) if line.startswith("scontrol")]
