"""The conv net on MNIST, from TensorFlow Datasets.

Command:  python train/main.py --config=configs.mnist --virtual_gpus=2
Cost:     not measured: there was no network to download it; an epoch is 469 steps of 128 images
Result:   not measured for the same reason; the same model and pipeline on the digits: configs/digits.py

The proof is that of the tests, on images of the same shape: 2, 3 and 4 replicas compute what one device computes.
"""

from configs.recipe import Recipe
from models import FusedAdam, build_conv_net


def get_config() -> Recipe:
    """Adam with a constant learning rate, shifts of up to 2 pixels."""
    return Recipe(
        build_model=build_conv_net,
        build_optimizer=FusedAdam,
        dataset="mnist",
        epochs=10,
        global_batch_size=128,
        max_shift=2,
    )
