"""Plain Keras models, losses and optimizers; nothing here knows of replicas."""

from models.conv import build_conv_net
from models.fused_adam import FusedAdam
from models.line import build_line
from models.measures import classification, regression
from models.mlp import build_mlp
from models.resnet import build_resnet
from models.text_classifier import build_text_classifier

__all__ = [
    "FusedAdam",
    "build_conv_net",
    "build_line",
    "build_mlp",
    "build_resnet",
    "build_text_classifier",
    "classification",
    "regression",
]
