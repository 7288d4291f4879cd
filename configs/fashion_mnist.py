"""The conv net on Fashion-MNIST, from TensorFlow Datasets.

Command:  python train/main.py --config=configs.fashion_mnist --virtual_gpus=2
Cost:     not measured: there was no network to download it; an epoch is 469 steps of 128 images
Result:   not measured for the same reason; the same model on the digits: configs/digits.py

The proof is that of the tests, on images of the same shape: 2, 3 and 4 replicas compute what one device computes.
"""

from configs.recipe import Recipe
from models import FusedAdam, build_conv_net


def get_config() -> Recipe:
    """Adam with a constant learning rate; images are mirrored, which leaves most clothes what they are."""
    return Recipe(
        build_model=build_conv_net,
        build_optimizer=FusedAdam,
        dataset="fashion_mnist",
        epochs=15,
        global_batch_size=128,
        mirror=True,
    )
