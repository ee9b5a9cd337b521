"""Networks of other architectures, in their publishers' files, enlarge images here as they do there."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from leukosr.engine.device import place, to_batch, to_uint8
from leukosr.errors import LeukoError
from leukosr.superres.networks.real_esrgan import RRDBNet
from leukosr.superres.upscaler import upscale_batch, upscale_images
from leukosr.superres.weights import init_from, load_generator

CPU = torch.device("cpu")
HOW = SimpleNamespace(precision="fp32", channels_last=True)
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)  # multiples of every window below

WINDOWS = {"img_size": 16, "embed_dim": 12, "num_heads": (2, 2), "window_size": 8, "upsampler": "pixelshuffle"}
# as their authors build them, but tiny: where the network stands in spandrel, its arguments
NETWORKS: dict[str, tuple[str, dict[str, object]]] = {
    "SwinIR": ("SwinIR.SwinIR", {**WINDOWS, "depths": [2, 2], "mlp_ratio": 2}),
    "HAT": ("HAT.HAT", {**WINDOWS, "depths": (2, 2), "compress_ratio": 3, "squeeze_factor": 6}),
    "DAT": ("DAT.DAT", {"embed_dim": 32, "split_size": [4, 4], "depth": [2, 2], "num_heads": [2, 2]}),
    "SPAN": ("SPAN.SPAN", {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8}),
    "Compact": ("Compact.__arch.SRVGG.SRVGGNetCompact", {"num_feat": 8, "num_conv": 2}),
    "PLKSR": ("PLKSR.PLKSR", {"dim": 8, "n_blocks": 2}),
    "RCAN": ("RCAN.RCAN", {"n_resgroups": 1, "n_resblocks": 2, "n_feats": 16, "reduction": 4}),
}
SCALE_KEY = {"PLKSR": "upscaling_factor", "RCAN": "scale"}


def built(name: str, scale: int = 4) -> nn.Module:
    module, _, network = f"spandrel.architectures.{NETWORKS[name][0]}".rpartition(".")
    torch.manual_seed(0)
    arguments = {**NETWORKS[name][1], SCALE_KEY.get(name, "upscale"): scale}
    model: nn.Module = getattr(importlib.import_module(module), network)(**arguments)
    return model.eval()


def enlarged(model: nn.Module, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return to_uint8(model(to_batch(image[None], CPU, channels_last=False))).numpy()[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_network_gives_what_its_own_code_gives(tmp_path: Path, name: str) -> None:
    model = built(name)
    torch.save({"params_ema": model.state_dict()}, tmp_path / "net.pth")
    loaded = load_generator(tmp_path / "net.pth")
    assert (loaded.architecture.lower(), loaded.scale) == (name.lower(), 4)  # Compact is read as a network of our own
    found = upscale_batch(place(loaded.model, CPU, channels_last=True), [IMAGE, IMAGE[::-1].copy()], HOW, CPU)
    for image, result in zip([IMAGE, IMAGE[::-1].copy()], found, strict=True):
        assert np.abs(result.astype(int) - enlarged(model, image)).max() <= 1  # a rounding


WRAPPERS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "bare": lambda state: state,
    "params": lambda state: {"params": state},
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "module.": lambda state: {"params": {f"module.{name}": each for name, each in state.items()}},
    "generator_ema.": lambda state: {"state_dict": {f"generator_ema.{name}": each for name, each in state.items()}},
    "half": lambda state: {name: each.half() for name, each in state.items()},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_of_common_frameworks_are_undone(tmp_path: Path, wrapper: str) -> None:
    torch.save(WRAPPERS[wrapper](built("Compact").state_dict()), tmp_path / "net.pth")
    loaded = load_generator(tmp_path / "net.pth")
    assert (loaded.architecture, loaded.scale) == ("compact", 4)
    assert all(parameter.dtype is torch.float32 for parameter in loaded.model.parameters())


def test_safetensors_of_others_are_read_too(tmp_path: Path) -> None:
    save_file(built("SPAN", scale=2).state_dict(), tmp_path / "net.safetensors")
    assert (
        load_generator(tmp_path / "net.safetensors").architecture,
        load_generator(tmp_path / "net.safetensors").scale,
    ) == ("SPAN", 2)


@pytest.mark.filterwarnings("ignore")
def test_sizes_that_a_network_cannot_take_are_padded_and_cropped(tmp_path: Path) -> None:
    torch.save(built("SwinIR").state_dict(), tmp_path / "net.pth")
    (result,) = upscale_batch(load_generator(tmp_path / "net.pth").model, [IMAGE[:9, :13]], HOW, CPU)
    assert result.shape == (36, 52, 3)


@pytest.mark.filterwarnings("ignore")
def test_tiles_of_a_network_that_sees_the_whole_image_are_warned_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, warnings in (("SwinIR", 1), ("Compact", 0)):
        torch.save(built(name).state_dict(), tmp_path / "net.pth")
        model = load_generator(tmp_path / "net.pth").model
        results = list(upscale_images(model, [IMAGE, IMAGE], 4, HOW, CPU, batch=1, tile=16, overlap=8))
        assert [result.shape for result in results] == [(96, 128, 3)] * 2
        assert capsys.readouterr().err.count("try tile 0") == warnings


def test_a_grey_network_enlarges_the_luminance(tmp_path: Path) -> None:
    from spandrel.architectures.SwinIR import SwinIR

    grey = SwinIR(
        img_size=16,
        embed_dim=12,
        depths=[2],
        num_heads=[2],
        window_size=8,
        upscale=2,
        in_chans=1,
        upsampler="pixelshuffle",
    )
    torch.save(grey.state_dict(), tmp_path / "grey.pth")
    loaded = load_generator(tmp_path / "grey.pth")
    assert loaded.model.contract.channels == "luminance"
    (result,) = upscale_batch(loaded.model, [IMAGE], HOW, CPU)
    assert result.shape == (48, 64, 3)


def test_a_damaged_network_is_refused_by_name(tmp_path: Path) -> None:
    state = built("SPAN").state_dict()
    del state["block_3.c1_r.eval_conv.weight"]
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(LeukoError, match=r"net\.pth looks like a network that spandrel knows, but cannot be built"):
        load_generator(tmp_path / "net.pth")
    state = built("SPAN").state_dict()
    state["conv_2.eval_conv.weight"][0] = float("nan")
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(LeukoError, match=r"net\.pth holds values that are not finite"):
        load_generator(tmp_path / "net.pth")


def test_another_architecture_is_no_start_of_a_training(tmp_path: Path) -> None:
    torch.save(built("SPAN").state_dict(), tmp_path / "net.pth")
    with pytest.raises(LeukoError, match="holds SPAN x4, which can be used but not trained here"):
        init_from(RRDBNet(features=4, blocks=1, growth=2), tmp_path / "net.pth")


def test_loading_leaves_the_random_state_alone(tmp_path: Path) -> None:
    torch.save(built("Compact").state_dict(), tmp_path / "net.pth")
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    load_generator(tmp_path / "net.pth")
    assert torch.equal(torch.random.get_rng_state(), before)
