"""Recipes (``get_config()`` in a module each) and device presets (flag files)."""
