"""The parts of `check_memory`; users import it from `distribute`."""
