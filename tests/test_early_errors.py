"""A path that is not there is said at once: before torch, matplotlib or SciPy take seconds to load."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

COMMANDS = {
    "enhance cels out --weights w.safetensors": r"cels does not exist: name an image .*; did you mean cells\?",
    "enhance cells out --weights w.safetensors": "w.safetensors does not exist: name a weight file",
    "enhance cells out --weights README.md": "README.md is not a weight file that can be used here: name one that ends "
    "in .safetensors, .pth or .pt",
    "enhance cells out --weights outputs/demo/sr/srgan/last.safetensors": "outputs/demo/sr/srgan/last.safetensors does "
    "not exist: run `make repro`, or `make demo` where params.yaml holds another study",
    "segment cells --out out --weights w.pth": "w.pth does not exist: name a weight file",
    "segment cells --out out --weights cells": "cells is a folder: name a weight file",
    "predict cels --model classify": r"cels does not exist: name an image .*; did you mean cells\?",
    "predict cells --model clasify": r"clasify does not exist: name a weight file, .*; did you mean classify\?",
    "predict b3mono.png --model classify": "b3mono.png does not exist: name an image or a folder of images",
    "predict cell1.png --model classify": r"cell1.png does not exist: name an image .*; did you mean cell.png\?",
    "predict cells --model outputs/case1/classify/raw": "outputs/case1/classify/raw does not exist: run `dvc exp run "
    r"-S study=case1` with its budget \(-S budget=NAME\), or `dvc repro` where params.yaml holds that study",
    "predict cells --model README.md": "README.md is not a weight file that can be used here: name one that ends in "
    ".safetensors",
    "predict cells --model w.pth --sr README.md": r"README.md is not a weight file .*\.pth or \.pt",
    "predict cells --model classify --sr pretrained/x": "pretrained/x.safetensors is not here: run .*",
    "predict cells --model classify --out table.txt": "table.txt: predictions are written as CSV, .*",
    "app --params parms.yaml": "parms.yaml does not exist: .*",
    "compare a.csv b.csv": "a.csv does not exist: name the predictions.csv of an arm",
    "compare outputs/mine/a.csv b.csv": "outputs/mine/a.csv does not exist: name the predictions.csv of an arm",
    "compare outputs/case1/classify/raw/paper/predictions.csv b.csv": r"outputs/case1/.*\.csv does not exist: run `dvc "
    r"exp run -S study=case1` with .* \(results/ holds tables of published studies\)",
    "compare outputs/case2/clasify/raw/paper/predictions.csv b.csv": r"outputs/case2/.*\.csv does not exist: run `dvc "
    r"exp run -S study=case2` with .*; did you mean classify\?",
    f"compare outputs/{'x' * 300}/p.csv b.csv": "outputs/x+/p.csv does not exist: name the predictions.csv of an arm",
    f"enhance cells out --weights {'x' * 300}": "x+ does not exist: name a weight file",
    f"predict cells --model {'x' * 300}": "x+ does not exist: name a weight file, .*",
}
SCRIPT = """
import json, sys
from leukosr import cli
for command in json.loads(sys.argv[1]):
    sys.argv = ["leukosr", *command.split()]
    try:
        cli.main()
    except SystemExit as stop:
        assert stop.code == 1, command
print(*sorted({"torch", "torchvision", "matplotlib", "scipy", "mlflow", "uvicorn"} & sys.modules.keys()))
"""


def test_a_path_that_is_not_there_is_said_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    for folder in ("cells", "classify"):
        (tmp_path / folder).mkdir()
    for image in ("cell.png", "b12poly.png"):
        (tmp_path / image).touch()
    (tmp_path / "README.md").write_text("# LeukoSR\n")
    (tmp_path / "conf/study").mkdir(parents=True)
    (tmp_path / "outputs/case2/classify").mkdir(parents=True)
    for study in ("demo", "case1", "case2"):
        (tmp_path / "conf/study" / f"{study}.yaml").touch()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(list(COMMANDS))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    for said, expected in zip(done.stderr.splitlines(), COMMANDS.values(), strict=True):
        assert re.fullmatch(f"error: {expected}", said)
    assert done.stdout.strip() == ""
