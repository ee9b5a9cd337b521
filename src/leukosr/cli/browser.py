"""The command that opens a study's models in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from leukosr.cli.options import MOST_ERRORS, PARAMS, Device, MostErrors, ParamsFile, Precision, console, errors
from leukosr.config import load_params
from leukosr.layout import Layout


def app(
    params: ParamsFile = PARAMS,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to serve the page on (0 picks a free one).")] = 7860,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Any but 127.0.0.1 opens the page to everyone who can reach it, without a password."
        ),
    ] = "127.0.0.1",
    max_megabytes: Annotated[int, typer.Option(min=1, help="Largest image file accepted, in MB.")] = 32,
    max_pixels: Annotated[
        int, typer.Option(min=4, help="Largest low-resolution image accepted, in pixels.")
    ] = 1_000_000,
    most_errors: MostErrors = MOST_ERRORS,
    precision: Precision = "fp32",
    device: Device = "auto",
) -> None:
    """Open a page on this machine: drop an image, see it in every arm, with what the study's classifiers say.

    For research, never on patients.
    """
    from leukosr.app.address import LOOPBACK, NAMES, listen

    settings, own = load_params(params), host in LOOPBACK
    with listen(host, port) as listening:
        from leukosr.app.models import StudyModels
        from leukosr.app.server import Limits, serve, site

        models = StudyModels(
            settings, Layout(settings.study.name), precision=precision, device_name=device, most_errors=most_errors
        )
        for sentence in models.missing:
            errors.print(f"not shown: {sentence}")
        if not own:
            errors.print(f"note: whoever reaches {host} can use this page, without a password")
        found = f"{len(models.arms)} arms, {len(models.experiments)} experiments, {len(models.missing)} not shown"
        console.print(f"app: study {settings.study.name}: {found}")
        name = f"[{host}]" if ":" in host else host
        console.print(f"app: open http://{name}:{listening.getsockname()[1]} (Ctrl-C ends it)")
        serve(site(models, Limits(max_megabytes, max_pixels), NAMES if own else ("*",)), listening)
    console.print("app: ended; no image was kept")
