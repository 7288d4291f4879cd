"""Entries for the processes of a cluster that need no TensorFlow, so that each test of them takes a moment."""

import importlib
import json
import os
import signal
import sys
import time
import types
from pathlib import Path

if "distribute" not in sys.modules:
    # The package without its __init__, which imports TensorFlow.
    package = types.ModuleType("distribute")
    package.__path__ = [str(Path(__file__).parents[2] / "distribute")]
    sys.modules["distribute"] = package

Worker = importlib.import_module("distribute.cluster_processes.worker").Worker


def describe(channel, index, greeting):
    worker = Worker(channel, on_stop=lambda number: None)
    worker.tell({"greeting": greeting, "index": index})
    task = json.loads(os.environ["TF_CONFIG"])["task"] if "TF_CONFIG" in os.environ else None
    print(f"printed by {index}")
    worker.finish({"task": task, "own": os.environ["OWN"], "pid": os.getpid()})


def finish_or_fail(channel, index, how, failing=1, text=""):
    """Process `failing` fails; the others hang, as in a collective that waits for it."""
    worker = Worker(channel, on_stop=lambda number: None)
    worker.phase("working")
    worker.tell(os.getpid())
    if index != failing:
        time.sleep(600)
    print("the last words", file=sys.stderr)
    if how == "raise":
        raise ValueError(text)
    if how == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "leave":
        os._exit(7)
    worker.finish(None)


def fail_after_others(channel, index):
    """All but process 1 notice that it is gone before it can say why."""
    Worker(channel, on_stop=lambda number: None)
    if index == 1:
        time.sleep(1.0)
        raise MemoryError("the reason")
    raise RuntimeError("Collective ops is aborted by: Error reported from /job:worker/replica:0/task:1: gone")


def stop_when_told(channel, index):
    """Process 0 is told, and says so to the others by a file, as an all-reduce would."""
    told = Path(os.environ["TOLD"])
    worker = Worker(channel, on_stop=lambda number: told.write_text(str(number)))
    worker.tell("ready")
    while not told.exists() or not told.read_text():
        time.sleep(0.02)
    if index > 0:
        raise KeyboardInterrupt
    time.sleep(1.0)  # it saves
    worker.tell("saved")
    raise KeyboardInterrupt


def take_the_port_at_first(channel, index):
    worker = Worker(channel, on_stop=lambda number: None)
    tried = Path(os.environ["TRIED"])
    with tried.open("a") as file:
        file.write(f"{os.environ['TF_CONFIG']}\n")
    if index == 0 and len(tried.read_text().splitlines()) <= 2 * int(os.environ["FAILURES"]):
        time.sleep(0.5)
        raise RuntimeError("Could not start gRPC server")
    worker.finish(index)


def hang(channel, index):
    Worker(channel, on_stop=lambda number: None).tell(os.getpid())
    time.sleep(600)
