"""Networks come out of ncnn's files as they went in, and files that do not fit are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from leukosr.errors import LeukoError
from leukosr.pretrained.ncnn import read_convolutions, rrdbnet_state
from leukosr.superres.networks.real_esrgan import RRDBNet

from .ncnn_files import FP16_TAG, FP32_TAG, as_ncnn, rounded


def convolutions() -> list[nn.Conv2d]:
    torch.manual_seed(0)
    # odd numbers of weights are padded; kernels of two sizes; one without a bias
    return [nn.Conv2d(3, 5, 3), nn.Conv2d(5, 1, (1, 3)), nn.Conv2d(1, 2, 1, bias=False)]


@pytest.mark.parametrize("tag", [FP16_TAG, FP32_TAG])
def test_convolutions_come_back_in_their_order_and_shape(tag: int) -> None:
    made = convolutions()
    read = read_convolutions(*as_ncnn(made, tag), "some.param")
    assert len(read) == len(made)
    for conv, found in zip(made, read, strict=True):
        weight = conv.weight.detach().numpy()
        np.testing.assert_array_equal(found.weight.numpy(), rounded(weight) if tag == FP16_TAG else weight)
        assert (found.bias is None) == (conv.bias is None)
        if conv.bias is not None:
            assert found.bias is not None and torch.equal(found.bias, conv.bias.detach())


@pytest.mark.parametrize("blocks", [1, 2])
def test_an_rrdbnet_comes_back_with_the_names_of_its_publisher(blocks: int) -> None:
    network = RRDBNet(features=4, blocks=blocks, growth=2)
    in_order = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    state = rrdbnet_state(read_convolutions(*as_ncnn(in_order, FP32_TAG), "net.param"), "net.param")
    assert list(state) == list(network.state_dict())
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())


def test_another_number_of_convolutions_is_no_rrdbnet() -> None:
    read = read_convolutions(*as_ncnn([nn.Conv2d(3, 3, 1)] * 7, FP32_TAG), "net.param")
    with pytest.raises(LeukoError, match=r"net\.param has 7 convolutions, which is not an RRDBNet"):
        rrdbnet_state(read, "net.param")


PARAM, CONTENT = as_ncnn(convolutions())


@pytest.mark.parametrize(
    ("param", "content", "message"),
    [
        (PARAM, CONTENT[:-1], "cut short"),
        (PARAM, CONTENT + b"\0", "does not fit its .bin"),
        (PARAM, b"\x38\x4b\x0d\x00" + CONTENT[4:], "tagged 0x000d4b38"),
        (PARAM.replace("7767517", "7767518"), CONTENT, "is not a .param of ncnn"),
        (PARAM.replace("Eltwise add_0", "BatchNorm add_0"), CONTENT, "layer 'BatchNorm', which is not read here"),
        (PARAM.replace("6=135", "6=134"), CONTENT, "a convolution to 5 channels of 3x3 has 134 weights"),
        (PARAM.replace("Conv_0 1 1", "Conv_0 one 1"), CONTENT, "is damaged: the layer"),
        ("", b"", "is not a .param of ncnn"),
    ],
)
def test_files_that_do_not_fit_are_refused_by_name(param: str, content: bytes, message: str) -> None:
    with pytest.raises(LeukoError, match=message) as caught:
        read_convolutions(param, content, "some.param")
    assert "some.param" in str(caught.value)
