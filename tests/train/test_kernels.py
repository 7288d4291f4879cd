import platform

import pytest

from train.kernels import choose_kernels


@pytest.mark.parametrize(("machine", "expected"), [("x86_64", "1"), ("AMD64", "1"), ("aarch64", None)])
def test_onednn_is_taken_on_x86(monkeypatch, machine, expected):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    environment = {}
    choose_kernels(environment)
    assert environment.get("TF_ENABLE_ONEDNN_OPTS") == expected


def test_what_the_user_has_set_stays():
    environment = {"TF_ENABLE_ONEDNN_OPTS": "0"}
    choose_kernels(environment)
    assert environment == {"TF_ENABLE_ONEDNN_OPTS": "0"}
