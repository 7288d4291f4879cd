"""Programs with one planted mistake each, which `verify` must name, and correct programs, which it must pass."""
