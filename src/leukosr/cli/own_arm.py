"""Whether classifiers are given images of the arm that they were trained for, by what is known of both files."""

from __future__ import annotations

from pathlib import Path

from leukosr.cli.options import PARAMS
from leukosr.errors import LeukoError
from leukosr.layout import weight_file


def on_arm(model: Path, sr: Path) -> list[str]:
    """A sentence where the classifiers of `model` expect images of another network than `sr`; else none.

    Raises LeukoError for weights that cannot be read.
    """
    from leukosr.classify.panel import weight_files
    from leukosr.engine.weights import SUFFIX, read_header

    header = read_header(weight_files(model)[0])
    study, experiment = header.get("study"), header.get("experiment")
    if experiment is None:
        return []
    file = weight_file(sr)
    made_by = read_header(file).get("study") if file.suffix == SUFFIX else None  # a checkpoint has no header
    given, (arm, networks) = _network(file), _arm_of(study, experiment)
    other = f" of the study {made_by}" if made_by not in (None, study) else ""
    if not other and (given in networks or str(file) in networks):
        return []
    return [f"{model}: meant for images of the arm {arm}, given images enlarged by {given}{other}: do not rely on it"]


def _network(file: Path) -> str:
    """The training that wrote weights, by their folder, outputs/STUDY/sr/TRAINING; of others the file's stem."""
    folders = file.absolute().parent.parts
    places = [place for place, name in enumerate(folders[:-1]) if name == "sr"]
    return folders[places[-1] + 1] if places else file.stem


def _arm_of(study: str | None, experiment: str) -> tuple[str, tuple[str, ...]]:
    """The arm that an experiment is tested on, and the networks that make it, by the study that params.yaml holds.

    Of any other study the arm and its network are called what the experiment is, as nearly all are.
    """
    from leukosr.config import ByFile, load_params

    try:
        params = load_params() if PARAMS.is_file() else None
    except LeukoError:
        params = None
    if params is None or params.study.name != study or experiment not in params.classify:
        return experiment, (experiment,)
    arm = params.classify[experiment].test
    made = params.source_arm(arm)
    if isinstance(made, ByFile):
        return arm, (str(weight_file(made.weights or made.reads)),)
    return arm, tuple(getattr(made, "used_trainings", ()))
