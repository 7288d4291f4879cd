"""A small ResNet with BatchNormalization on CIFAR-10, its statistics those of the global batch.

Command:  python train/main.py --config=configs.resnet --virtual_gpus=2
Cost:     not measured on CIFAR-10, since there was no network; with --dataset=digits --epochs=15: 3 min and 1 GB
Result:   not measured on CIFAR-10; with --dataset=digits --epochs=15 test accuracy 0.94 on 360 images, though
          mirrored digits are no digits

What goes wrong without a remedy: plain BatchNormalization normalises over a replica's own rows
(`local_batch_statistics`), and each replica keeps moving statistics of its own, of which the first one's are saved
(`moving_statistics_not_aggregated`). ``synchronized=True`` sums over all replicas and mends both, for uneven shards
too. What it costs: further all-reduces for each layer, forwards and backwards; and a variance as E[x²] − E[x]², which
float32 loses where the mean is far larger than the spread (docs/cases.md): images in [0, 1] are far from that.

SiLU and not ReLU, whose gradient jumps at 0: of a million activations some are so near to it that rounding decides, and
two right runs in float32 were 4e-3 apart (relative L2, 13 rows) where one device was 1e-6 from float64.
"""

import functools

import keras

from configs.recipe import Recipe
from models import FusedAdam, build_resnet

# Without momentum of its own the first epochs would be evaluated with statistics of the initial weights.
_NORMALIZATION = functools.partial(keras.layers.BatchNormalization, momentum=0.9, synchronized=True)


def get_config() -> Recipe:
    """Adam; crops out of a margin of 4 pixels and mirrored images, as in section 4.2 of the paper."""
    return Recipe(
        build_model=functools.partial(build_resnet, activation="silu", make_normalization=_NORMALIZATION),
        build_optimizer=FusedAdam,
        dataset="cifar10",
        epochs=30,
        global_batch_size=128,
        max_shift=4,
        mirror=True,
    )
