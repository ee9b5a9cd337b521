"""Weight files: what is saved comes back, and whatever is not ours is refused with a reason."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from spandrel import ModelLoader
from torch import Tensor, nn

import leukosr
from leukosr.classify.onnx_export import export_onnx
from leukosr.classify.weights import load_classifier
from leukosr.engine.weights import CHECKED, DIGEST_KEY, read_tensors, write_tensors
from leukosr.errors import LeukoError
from leukosr.pretrained.bring import add
from leukosr.superres import GENERATORS
from leukosr.superres.announced import announced
from leukosr.superres.edge import input_of
from leukosr.superres.networks import Generator
from leukosr.superres.networks.real_esrgan import RRDBNet, UNetDiscriminatorSN
from leukosr.superres.networks.srgan import SRGANGenerator
from leukosr.superres.weights import init_from, load_generator, save_generator

IMAGES = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(3))
CLAIMED = [(name, scale) for name, network in GENERATORS.items() for scale in network.contract.scales]
# architectures that are told by their tensors, not by a header alone
RECOGNISED = [name for name, each in GENERATORS.items() if each.build.arguments_from is not Generator.arguments_from]
SMALL = dict(GENERATORS["real_esrgan"].tiny)


def randomise(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.05, generator=generator)


def images_for(model: Generator) -> tuple[Tensor, ...]:
    """What a network is fed, by its contract."""
    height, width = model.contract.size or (8 * model.contract.multiple_of,) * 2
    maps = torch.rand(1, model.contract.masks, height * model.scale, width * model.scale)
    return input_of(model, torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(3)), maps)


def small_generator(method: str, scale: int = 4, seed: int = 0) -> Generator:
    network = GENERATORS[method]
    model = network(scale=scale, **network.tiny).eval()
    randomise(model, seed)
    return model


def save_small(path: Path, method: str, scale: int = 4, seed: int = 0) -> Generator:
    model = small_generator(method, scale, seed)
    save_generator(path, model, method, scale, dict(GENERATORS[method].tiny))
    return model


@pytest.mark.parametrize(("method", "scale"), CLAIMED)
def test_saved_generator_comes_back_identical_and_in_eval_mode(tmp_path: Path, method: str, scale: int) -> None:
    path = tmp_path / "new folder" / "generator.safetensors"
    model = save_small(path, method, scale)
    loaded = load_generator(path)
    assert (loaded.architecture, loaded.scale) == (method, scale)
    assert loaded.arguments == dict(GENERATORS[method].tiny)
    assert not loaded.model.training
    images = images_for(model)
    with torch.no_grad():
        assert torch.equal(loaded.model(*images), model(*images))


@pytest.mark.parametrize("key", ["params_ema", "params", None])
@pytest.mark.parametrize(("method", "scale"), [(name, scale) for name, scale in CLAIMED if name in RECOGNISED])
def test_foreign_checkpoint_is_recognised_by_its_tensors(
    tmp_path: Path, method: str, scale: int, key: str | None
) -> None:
    model = small_generator(method, scale)
    state = model.state_dict()
    torch.save(state if key is None else {"epoch": 3, key: state}, tmp_path / "foreign.pth")
    loaded = load_generator(tmp_path / "foreign.pth")
    assert (loaded.architecture, loaded.scale) == (method, scale)
    assert loaded.arguments == dict(GENERATORS[method].tiny)
    images = images_for(model)
    with torch.no_grad():
        assert torch.equal(loaded.model(*images), model(*images))


def test_averaged_weights_win_where_a_checkpoint_holds_both(tmp_path: Path) -> None:
    averaged, latest = small_generator("real_esrgan", seed=1), small_generator("real_esrgan", seed=2)
    content = {"params": latest.state_dict(), "params_ema": averaged.state_dict()}
    torch.save(content, tmp_path / "both.pth")
    loaded = load_generator(tmp_path / "both.pth").model.state_dict()
    assert torch.equal(loaded["conv_last.weight"], averaged.state_dict()["conv_last.weight"])


def test_half_precision_checkpoint_is_loaded_as_single_precision(tmp_path: Path) -> None:
    state = {name: tensor.half() for name, tensor in small_generator("real_esrgan").state_dict().items()}
    torch.save(state, tmp_path / "half.pth")
    loaded = load_generator(tmp_path / "half.pth").model.state_dict()
    assert torch.equal(loaded["conv_hr.weight"], state["conv_hr.weight"].float())


def test_saved_real_esrgan_tensors_are_read_by_spandrel(tmp_path: Path) -> None:
    model = RRDBNet(features=8, blocks=1, growth=32).eval()
    randomise(model, seed=5)
    arguments = {"features": 8, "blocks": 1, "growth": 32}
    save_generator(tmp_path / "generator.safetensors", model, "real_esrgan", 4, arguments)
    theirs = ModelLoader().load_from_file(tmp_path / "generator.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(theirs.model(IMAGES), model(IMAGES), atol=1e-5, rtol=0)


def test_weights_that_went_through_spandrel_load_here_with_equal_outputs(tmp_path: Path) -> None:
    theirs = ModelLoader().load_from_state_dict(dict(RRDBNet(2, 8, 2, 32).state_dict())).model.eval()
    randomise(theirs, seed=6)
    # Names of the old ESRGAN layout, as spandrel keeps them, to those of the published Real-ESRGAN.
    layers = {"model.0": "conv_first", "model.1.sub.2": "conv_body", "model.3": "conv_up1"}
    layers |= {"model.6": "conv_up2", "model.8": "conv_hr", "model.10": "conv_last"}
    for block in range(2):
        for dense in (1, 2, 3):
            for conv in range(1, 6):
                old = f"model.1.sub.{block}.RDB{dense}.conv{conv}.0"
                layers[old] = f"body.{block}.rdb{dense}.conv{conv}"
    state = {}
    for name, tensor in theirs.state_dict().items():
        layer, part = name.rsplit(".", 1)
        state[f"{layers[layer]}.{part}"] = tensor
    torch.save({"params": state}, tmp_path / "theirs.pth")
    loaded = load_generator(tmp_path / "theirs.pth")
    assert (loaded.architecture, loaded.scale) == ("real_esrgan", 2)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(IMAGES), theirs(IMAGES), atol=1e-5, rtol=0)


def test_header_names_network_version_and_notes(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    model = small_generator("srgan")
    save_generator(path, model, "srgan", 4, {"features": 8, "blocks": 2}, note={"study": "demo"})
    with safetensors.safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert json.loads(header.pop("arguments")) == {"features": 8, "blocks": 2}
    assert re.fullmatch("[0-9a-f]{64}", header.pop(DIGEST_KEY))
    assert header == {
        **CHECKED,
        "architecture": "srgan",
        "scale": "4",
        "leukosr_version": leukosr.__version__,
        "study": "demo",
    }


def test_note_may_not_replace_what_the_header_says(tmp_path: Path) -> None:
    model = small_generator("srgan")
    arguments = {"features": 8, "blocks": 2}
    with pytest.raises(ValueError, match="scale"):
        save_generator(tmp_path / "g.safetensors", model, "srgan", 4, arguments, note={"scale": "2"})


def test_a_model_that_is_not_what_it_is_called_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "generator.safetensors"
    with pytest.raises(ValueError, match="upsampling"):
        save_generator(path, small_generator("srgan"), "srgan", 8, {"features": 8, "blocks": 2})
    assert list(tmp_path.iterdir()) == []


def test_channels_last_weights_are_saved(tmp_path: Path) -> None:
    model = small_generator("srgan").to(memory_format=torch.channels_last)
    save_generator(tmp_path / "g.safetensors", model, "srgan", 4, {"features": 8, "blocks": 2})
    loaded = load_generator(tmp_path / "g.safetensors").model
    assert torch.equal(loaded.state_dict()["tail.weight"], model.state_dict()["tail.weight"])


def test_failed_write_leaves_the_older_file_and_no_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {"a": torch.zeros(2)}, {"generation": "old"})

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(LeukoError, match="no space left"):
        write_tensors(path, {"a": torch.ones(2)}, {"generation": "new"})
    tensors, header = read_tensors(path)
    assert header["generation"] == "old"
    assert torch.equal(tensors["a"], torch.zeros(2))
    assert list(tmp_path.iterdir()) == [path]


def test_views_of_one_storage_are_written_as_they_look(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    write_tensors(tmp_path / "w.safetensors", {"whole": base, "turned": base.T, "row": base[1]}, {})
    tensors, _ = read_tensors(tmp_path / "w.safetensors")
    assert torch.equal(tensors["whole"], base)
    assert torch.equal(tensors["turned"], base.T)
    assert torch.equal(tensors["row"], base[1])


def test_weights_are_not_written_under_another_ending(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"\.safetensors"):
        write_tensors(tmp_path / "weights.pth", {"a": torch.zeros(1)}, {})


def test_loading_leaves_the_global_random_state_alone(tmp_path: Path) -> None:
    save_small(tmp_path / "g.safetensors", "real_esrgan")
    before = torch.get_rng_state()
    load_generator(tmp_path / "g.safetensors")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["absent.safetensors", "absent.pth"])
def test_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(LeukoError, match=rf"{name} does not exist: name a weight file$"):
        load_generator(tmp_path / name)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_file_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    monkeypatch.setattr("leukosr.engine.weights.os.access", lambda path, mode: False)  # root may read anything
    with pytest.raises(LeukoError, match=f"{name} cannot be read: you may not; make the file readable for you"):
        load_generator(tmp_path / name)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_read_only_weights_in_a_read_only_folder_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "shared" / f"w{suffix}"
    model = save_small(path.with_suffix(".safetensors"), "srgan")
    if suffix == ".pth":
        torch.save(model.state_dict(), path)
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        loaded = load_generator(path).model.state_dict()
    finally:
        path.parent.chmod(0o755)
    assert torch.equal(loaded["tail.weight"], model.state_dict()["tail.weight"])


def test_folder_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(LeukoError, match="is a folder"):
        load_generator(tmp_path / "folder.pth")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", [b"", b"learning rate: 0.0001\n", b"\x00" * 64, bytes(range(256)) * 16])
def test_something_that_is_no_weight_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(LeukoError, match=f"broken{suffix} cannot be read as .* damaged"):
        load_generator(path)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"cut{suffix}"
    if suffix == ".pth":
        torch.save(small_generator("srgan").state_dict(), path)
    else:
        save_small(path, "srgan")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(LeukoError, match="cut short"):
        load_generator(path)


READERS: dict[str, Callable[[Path], object]] = {
    "enhance": load_generator,
    "start": lambda path: init_from(small_generator("srgan"), path),
    "predict": load_classifier,
    "app": announced,
    "export": lambda path: export_onnx(path, path.with_suffix(".onnx")),
    "add": lambda path: add("mine", path),
}


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_refuses_what_is_no_weight_file_in_the_same_words(tmp_path: Path, reader: str) -> None:
    endings = ".safetensors" if reader == "predict" else ".safetensors, .pth or .pt"
    for name in ("README.md", "text.safetensors"):
        (tmp_path / name).write_text("# LeukoSR\n\nDoes super-resolution help?\n")
    with pytest.raises(LeukoError) as error:
        READERS[reader](tmp_path / "README.md")
    said = f"is not a weight file that can be used here: name one that ends in {endings}"
    assert str(error.value) == f"{tmp_path / 'README.md'} {said}"
    with pytest.raises(LeukoError) as error:
        READERS[reader](tmp_path / "text.safetensors")
    assert str(error.value) == (
        f"{tmp_path / 'text.safetensors'} cannot be read as a safetensors file (it does not begin as one): it is "
        "damaged, cut short or something else; make or copy it again"
    )


@pytest.mark.parametrize("missing", ["scale", "arguments"])
def test_header_that_lacks_an_entry_is_refused(tmp_path: Path, missing: str) -> None:
    header = {"architecture": "srgan", "scale": "4", "arguments": "{}"}
    del header[missing]
    write_tensors(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, header)
    with pytest.raises(LeukoError, match=f"damaged header: .*{missing} is 'missing'"):
        load_generator(tmp_path / "w.safetensors")


def test_older_weights_without_a_checksum_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    model = small_generator("srgan")
    header = {"architecture": "srgan", "scale": "4", "arguments": '{"features": 8, "blocks": 2}'}
    safetensors.torch.save_file(model.state_dict(), path, {**header, "leukosr_version": "0.1.0"})
    assert torch.equal(load_generator(path).model.state_dict()["tail.weight"], model.state_dict()["tail.weight"])


WRAPPED = {
    "Lightning": ("state_dict", "generator."),
    "Lightning of a module": ("state_dict", "model."),
    "DataParallel": ("params", "module."),
    "torch.compile": ("params", "_orig_mod."),
    "compiled DataParallel": (None, "module._orig_mod."),
    "mmagic": ("state_dict", "generator_ema."),
    "mmagic, averaged by torch": ("state_dict", "generator_ema.module."),
    "a bare module": (None, ""),
    "a training of one's own": ("model_state_dict", ""),
    "KAIR": ("netG", ""),
}


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
@pytest.mark.parametrize("wrapper", WRAPPED)
@pytest.mark.parametrize("method", RECOGNISED)
def test_weights_are_found_in_the_wrappers_of_frameworks(
    tmp_path: Path, method: str, wrapper: str, suffix: str
) -> None:
    model = small_generator(method)
    key, prefix = WRAPPED[wrapper]
    state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    if prefix:  # other networks of the same training
        state |= {"discriminator.0.weight": torch.zeros(3), "step_counter": torch.tensor(5)}
    path = tmp_path / f"wrapped{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state if key is None else {"epoch": 3, "optimizer": {"state": {}}, key: state}, path)
    loaded = load_generator(path)
    assert (loaded.architecture, loaded.scale) == (method, 4)
    images = images_for(model)
    with torch.no_grad():
        assert torch.equal(loaded.model(*images), model(*images))


def test_averaged_weights_win_under_prefixes_too(tmp_path: Path) -> None:
    averaged, latest = small_generator("srgan", seed=1).state_dict(), small_generator("srgan", seed=2).state_dict()
    state = {f"generator.{name}": tensor for name, tensor in latest.items()}
    state |= {f"generator_ema.{name}": tensor for name, tensor in averaged.items()}
    torch.save({"state_dict": state}, tmp_path / "both.pth")
    loaded = load_generator(tmp_path / "both.pth").model.state_dict()
    assert torch.equal(loaded["tail.weight"], averaged["tail.weight"])


def with_value(value: float) -> Callable[[Tensor], Tensor]:
    def changed(tensor: Tensor) -> Tensor:
        tensor = tensor.clone()
        tensor.view(-1)[0] = value
        return tensor

    return changed


UNFIT = {
    "NaN": (with_value(float("nan")), "values that are not finite, 1 of 576 NaN or infinite"),
    "Inf": (with_value(float("inf")), "values that are not finite"),
    "too large for float32": (lambda tensor: with_value(1e300)(tensor.double()), "values that are not finite"),
    "integer": (lambda tensor: (100 * tensor).to(torch.int8), "values of type int8"),
    "long": (lambda tensor: (100 * tensor).long(), "values of type int64"),
    "bool": (lambda tensor: tensor > 0, "values of type bool"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "values of type complex64"),
    "float8": (lambda tensor: tensor.to(torch.float8_e4m3fn), "values of type float8_e4m3fn"),
    "sparse": (lambda tensor: tensor.to_sparse(), "a sparse or nested tensor"),
    "quantised": (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "quantised values"),
    "meta": (lambda tensor: tensor.to("meta"), "no values, only shapes"),
}
PLAIN = ("NaN", "Inf", "too large for float32", "integer", "long", "bool", "complex", "float8")


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's own quantisation is on its way out
@pytest.mark.parametrize(
    ("fault", "suffix"), [*((fault, ".pth") for fault in UNFIT), *((fault, ".safetensors") for fault in PLAIN)]
)
def test_values_that_no_network_computes_with_are_refused_by_name(tmp_path: Path, fault: str, suffix: str) -> None:
    change, words = UNFIT[fault]
    name, state = "conv_up1.weight", small_generator("real_esrgan").state_dict()
    state[name] = change(state[name])
    path = tmp_path / f"unfit{suffix}"
    if suffix == ".pth":
        torch.save({"params": state}, path)
    else:
        header = {"architecture": "real_esrgan", "scale": "4", "arguments": json.dumps(SMALL)}
        write_tensors(path, state, header)
    for load in (load_generator, lambda path: init_from(small_generator("real_esrgan", seed=2), path)):
        with pytest.raises(LeukoError, match=rf"unfit\{suffix} holds {re.escape(words)}.* \(tensor {name}\): use"):
            load(path)


def test_safetensors_of_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    header = {"architecture": "swinir", "scale": "4", "arguments": "{}"}
    write_tensors(tmp_path / "w.safetensors", {"a": torch.zeros(1)}, header)
    with pytest.raises(LeukoError, match=r"'swinir'.*known are srgan, srgan_keras, real_esrgan"):
        load_generator(tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("scale", "arguments", "reason"),
    [
        ("four", "{}", "damaged header"),
        ("4", "{", "damaged header"),
        ("4", "[8]", "damaged header"),
        ("4", '{"features": "wide"}', "damaged header"),
        ("3", '{"features": 8, "blocks": 2}', "cannot be built.*scale 3"),
        ("4", '{"features": 8, "depth": 2}', "cannot be built.*depth"),
        ("4", '{"features": -8, "blocks": 2}', "cannot be built"),
        ("4", '{"features": 16, "blocks": 2}', "tensor head.0.weight has shape"),
    ],
)
def test_header_that_does_not_describe_the_tensors_is_refused(
    tmp_path: Path, scale: str, arguments: str, reason: str
) -> None:
    path = tmp_path / "w.safetensors"
    state = small_generator("srgan").state_dict()
    write_tensors(path, state, {"architecture": "srgan", "scale": scale, "arguments": arguments})
    with pytest.raises(LeukoError, match=reason):
        load_generator(path)


def test_checkpoint_of_an_unknown_network_is_refused_and_its_tensors_named(tmp_path: Path) -> None:
    torch.save({"params": UNetDiscriminatorSN(features=4).state_dict()}, tmp_path / "net_d.pth")
    with pytest.raises(LeukoError, match=r"no network known here .*conv0\.weight"):
        load_generator(tmp_path / "net_d.pth")


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, [1, 2], {"params": {"lr": 0.1}}, torch.zeros(3)])
def test_checkpoint_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(LeukoError, match="holds no state dict"):
        load_generator(tmp_path / "other.pth")


def test_checkpoint_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    state = small_generator("real_esrgan").state_dict()
    del state["conv_up2.bias"]
    torch.save(state, tmp_path / "partial.pth")
    with pytest.raises(LeukoError, match=r"conv_up2\.bias of shape \(8,\) is missing"):
        load_generator(tmp_path / "partial.pth")


def test_published_x1_checkpoint_is_refused_for_its_scale(tmp_path: Path) -> None:
    state = small_generator("real_esrgan").state_dict()
    state["conv_first.weight"] = torch.zeros(8, 48, 3, 3)
    torch.save(state, tmp_path / "x1.pth")
    with pytest.raises(LeukoError, match="scale 1"):
        load_generator(tmp_path / "x1.pth")


class Payload:
    """Unpickling this would make a file."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.target, "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_arbitrary_pickle_is_refused_and_never_run(tmp_path: Path, zipped: bool) -> None:
    ran = tmp_path / "ran"
    content = {"params": Payload(str(ran))}
    torch.save(content, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(LeukoError, match=r"evil\.pth is refused.*can run any code"):
        load_generator(tmp_path / "evil.pth")
    assert not ran.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_init_from_copies_every_weight(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"start{suffix}"
    source = small_generator("real_esrgan", seed=1)
    if suffix == ".pth":
        torch.save({"params_ema": source.state_dict()}, path)
    else:
        save_small(path, "real_esrgan", seed=1)
    model = small_generator("real_esrgan", seed=2).train()
    init_from(model, path)
    assert model.training
    assert all(torch.equal(tensor, source.state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("architecture", GENERATORS)
def test_bare_tensors_of_every_network_start_it(tmp_path: Path, architecture: str) -> None:
    """As public weights come, without a header that names the network."""
    source = small_generator(architecture, seed=1)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "public.pth")
    model = small_generator(architecture, seed=2)
    init_from(model, tmp_path / "public.pth")
    assert all(torch.equal(tensor, source.state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            SRGANGenerator(4, 8, 2),
            r"real_esrgan x4 \(.*where srgan x4 \(.*head\.0\.weight .*missing",
        ),
        (
            RRDBNet(2, 8, 2, 4),
            r"where real_esrgan x2 .*conv_first\.weight has shape \(8, 3, .*\(8, 12, ",
        ),
        (RRDBNet(4, 16, 2, 4), r"features 8.*features 16.*conv_first\.weight has shape \(8,"),
        (RRDBNet(4, 8, 3, 4), r"body\.2\.rdb1\.conv1\.weight of shape \(4, 8, 3, 3\) is missing"),
        (RRDBNet(4, 8, 1, 4), r"blocks 2.*blocks 1.*tensor body\.1\.\S+ of shape .* is not expected"),
    ],
)
def test_init_from_names_what_does_not_fit_and_changes_nothing(tmp_path: Path, model: nn.Module, reason: str) -> None:
    save_small(tmp_path / "start.safetensors", "real_esrgan")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(LeukoError, match=r"start\.safetensors holds .*" + reason):
        init_from(model, tmp_path / "start.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_header_says_by_which_seed_masks_were_shuffled(tmp_path: Path) -> None:
    model, path, size = (
        small_generator("oracle_prior"),
        tmp_path / "w.safetensors",
        dict(GENERATORS["oracle_prior"].tiny),
    )
    save_generator(path, model, "oracle_prior", 4, size)
    assert load_generator(path).masks_by is None
    save_generator(path, model, "oracle_prior", 4, size, {"masks": "shuffled by 7"})
    assert load_generator(path).masks_by == 7
    save_generator(path, model, "oracle_prior", 4, size, {"masks": "shuffled"})
    with pytest.raises(LeukoError, match=r"does not say by which seed its masks were shuffled .* train it again"):
        load_generator(path)
