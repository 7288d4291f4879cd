"""Plain Keras models and losses; nothing here knows of replicas."""

from models.conv import build_conv_net

__all__ = ["build_conv_net"]
