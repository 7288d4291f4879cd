pytest_plugins = ["distribute.pytest_plugin"]
