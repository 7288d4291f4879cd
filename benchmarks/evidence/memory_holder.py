"""Takes all of the first GPU's free memory but some MiB, says so, and keeps it until it is killed.

python -m benchmarks.evidence.memory_holder 1200
"""

import sys

import tensorflow as tf

from distribute.nvml import visible_gpu_memory

if __name__ == "__main__":
    limit = visible_gpu_memory()[0].free_mib - int(sys.argv[1])
    gpu = tf.config.list_physical_devices("GPU")[0]
    # CUDA itself takes some hundred MiB beside TensorFlow's allocator: they are part of what is left over.
    tf.config.set_logical_device_configuration(gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=limit)])
    with tf.device("GPU:0"):
        held = tf.zeros([1024, 1024])
    print("holding", limit, "MiB", flush=True)
    sys.stdin.read()
