"""Runs in a process of its own: sends known values between devices and prints what came of it as JSON.

python -P train/machine_checks/links_child.py NUMBER gpu|cpu
"""

import json
import sys


def main(num_devices: int, kind: str) -> None:
    """Prints one line."""
    from distribute import check_transport, make_strategy, split_device

    # Growth: a few MiB are enough, and somebody else may be using the rest.
    devices = split_device(num_devices, kind=kind, policy="growth")
    verdict = check_transport(make_strategy(devices), devices)
    sys.stdout.write("\n" + json.dumps({**verdict.to_dict(), "text": verdict.found}) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
