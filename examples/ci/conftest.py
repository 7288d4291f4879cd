# Where the library is installed by pip: "virtual_gpu_training.pytest_plugin".
pytest_plugins = ["distribute.pytest_plugin"]
