"""The parts of `verify`; users import it from `distribute`."""
