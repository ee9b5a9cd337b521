"""Images and settings that the benchmarks run on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from leukosr.config import Params, SyntheticSet, parse_params
from leukosr.data.synthetic.smears import CLASSES, write_demo
from leukosr.engine.device import choose_device
from leukosr.engine.precision import resolve
from leukosr.images.reading import read_rgb
from leukosr.images.resampling import resize

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"  # BCCD, where it has been fetched
SIZE = (240, 320)


def image_set(folder: Path, count: int) -> list[Path]:
    """Put `count` different JPEGs of SIZE into `folder`, as TRAIN/<class>/ and TEST/<class>/; their sorted paths.

    They are taken evenly from BCCD in data/ if that is there, else drawn.
    """
    real = sorted(file for part in ("TRAIN", "TEST") for file in (DATA / part).rglob("*.jp*g"))
    if len(real) < count:
        views = -(-count // (2 * len(CLASSES)))
        height, width = SIZE
        drawn_set = SyntheticSet(
            folder=str(folder), height=height, width=width, train_sources=1, test_sources=1, views=views, seed=0
        )
        write_demo(folder, drawn_set)
        drawn = sorted(folder.rglob("*.jpg"))
        return [drawn[i * len(drawn) // count] for i in range(count)]
    chosen = [real[i * len(real) // count] for i in range(count)]
    copies = [folder / file.relative_to(DATA) for file in chosen]
    for file, copy in zip(chosen, copies, strict=True):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return copies


def read_resized(files: list[Path], size: tuple[int, int]) -> list[np.ndarray]:
    """The images at another size (height, width)."""
    return [resize(read_rgb(file), size, "pillow_bicubic") for file in files]


def compose_params(*overrides: str) -> Params:
    """The parameters that `dvc exp run -S …` would compose from conf/."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        return parse_params(OmegaConf.to_container(compose("config", overrides=list(overrides)), resolve=True), "conf")


def published_params(*overrides: str) -> Params:
    """Case study 1 with the published widths, in the precision that is native here; nothing is downloaded."""
    native = resolve("auto", choose_device("auto"))
    return compose_params(
        "study=case1", "budget=paper", f"budget.precision={native}", "budget.pretrained=none", *overrides
    )
