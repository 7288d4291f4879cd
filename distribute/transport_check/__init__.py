"""The parts of `check_transport`; users import it from `distribute`."""
