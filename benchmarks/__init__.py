"""Measurements that take their time: how well predictions hold, side by side with what happens."""
