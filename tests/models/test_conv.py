import numpy as np

from models import build_conv_net


class TestConvNet:
    def test_has_the_parameters_of_the_tutorial(self):
        assert build_conv_net().count_params() == 93_322

    def test_maps_images_to_logits(self):
        assert build_conv_net()(np.zeros([5, 28, 28, 1])).shape == (5, 10)

    def test_takes_other_images_and_classes(self):
        assert build_conv_net((32, 32, 3), 100)(np.zeros([2, 32, 32, 3])).shape == (2, 100)
