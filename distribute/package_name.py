"""The name that this library goes by: `distribute` in its repository, `virtual_gpu_training` where it is installed."""

LIBRARY = __name__.partition(".")[0]
