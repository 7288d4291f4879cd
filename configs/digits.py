"""The conv net of the TensorFlow tutorial on the 1,797 handwritten digits that scikit-learn ships.

Command:  python train/main.py --virtual_gpus=2 --memory_limit=1024
Cost:     about a minute on two CPU cores (58 s measured), verification included
Result:   test accuracy 0.978 to 0.992 (seeds 0 to 4, 360 test images)
"""

from configs.recipe import Recipe
from models import FusedAdam, build_conv_net


def get_config() -> Recipe:
    """Adam with a constant learning rate, shifts of up to 3 pixels."""
    return Recipe(build_model=build_conv_net, build_optimizer=FusedAdam, max_shift=3)
