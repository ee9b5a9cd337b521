"""Commands for published weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukosr.cli.options import console

if TYPE_CHECKING:
    from leukosr.pretrained.bring import Brought


def weights_list() -> None:
    """List the weights that `fetch` knows and those that were added: what they are, and whether they are here."""
    from leukosr.pretrained.listing import every_weight_file

    for row in every_weight_file():
        console.print(f"{row.name} ({row.state}): {row.what}")
        size = f"{row.parameters:,} parameters, {row.megabytes:.1f} MB"
        console.print(f"    {size}, licence {row.licence}, from {row.source}")


def weights_fetch(
    name: Annotated[str, typer.Argument(help="One of the names of `leukosr weights list`.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="The publisher's file, already on disk, instead of a download."),
    ] = None,
) -> None:
    """Fetch published weights into pretrained/NAME.safetensors and check their digests."""
    from leukosr.pretrained.bring import fetch

    _say("fetch", name, fetch(name, source))


def weights_add(
    name: Annotated[str, typer.Argument(help="The name below pretrained/.")],
    path: Annotated[Path, typer.Argument(help="A .pth, .pt or .safetensors file.")],
) -> None:
    """Convert any weight file to pretrained/NAME.safetensors."""
    from leukosr.pretrained.bring import add

    _say("add", name, add(name, path))


def _say(command: str, name: str, brought: Brought) -> None:
    kept = "under DVC" if brought.under_dvc else "not under DVC, as this is not a project"
    console.print(
        f"weights {command} {name}: {brought.path}, from {brought.source}, SHA-256 {brought.sha256}, {kept}; studies "
        f"name it pretrained/{name}"
    )


def export_onnx(
    weights: Annotated[Path, typer.Argument(help="Weights of a classifier or a generator.")],
    out: Annotated[Path, typer.Argument(help="The .onnx file to write.")],
) -> None:
    """Write weights as ONNX for images of any size, and check them against torch under onnxruntime."""
    from leukosr.classify.onnx_export import export_onnx as export

    console.print(f"export onnx: {out}, at most {export(weights, out):.1g} from torch")
