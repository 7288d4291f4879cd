"""Plain Keras models and optimizers; nothing here knows of replicas."""

from models.conv import build_conv_net
from models.fused_adam import FusedAdam

__all__ = ["FusedAdam", "build_conv_net"]
