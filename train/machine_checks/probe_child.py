"""Runs in a process of its own: imports TensorFlow and Keras and prints what they say of themselves as JSON.

An import can end the process (an illegal instruction, a broken library), which must not end the doctor.
"""

import json
import sys
from typing import Any


def main() -> None:
    """Prints one line."""
    import tensorflow as tf

    answer: dict[str, Any] = {"tensorflow": tf.__version__, "file": tf.__file__}
    answer["build"] = {name: _plain(value) for name, value in tf.sysconfig.get_build_info().items()}
    answer["gpus"] = [device.name for device in tf.config.list_physical_devices("GPU")]
    try:
        import keras

        answer |= {"keras": keras.__version__, "backend": keras.config.backend()}
    except Exception as error:  # noqa: BLE001  # whatever it is, the doctor tells it
        answer["keras_error"] = f"{type(error).__name__}: {error}"
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    main()
