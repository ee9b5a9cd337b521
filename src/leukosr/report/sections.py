"""The text and rows of the report page, computed from the results; the template only lays them out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from leukosr.config import Classifier, Params, Trained
from leukosr.data.manifest import SR_ROLES, compared_rows, with_role
from leukosr.data.splits import SPLITS
from leukosr.quoting import counted
from leukosr.report.results import StudyResults
from leukosr.report.style import arm_looks, size_text, training_words
from leukosr.report.tables import UNDEFINED, number, percent, quality_cells, score_cells


def lead_sentence(params: Params, results: StudyResults) -> str:
    """One plain sentence: what was trained on what, how often, tested on how many images."""
    image = params.image
    low = size_text(image.height // image.scale, image.width // image.scale)
    sizes = (
        f"the low resolution is {low} pixels, the high one {size_text(image.height, image.width)} (height by width)."
        f"{_networks(params)}"
    )
    if not results.experiments:
        count = next(iter(results.arms.values())).quality.n
        return (
            f"{len(results.arms)} versions (arms) of the same {count} images are compared with the originals"
            f"{_parts(params, results)}; {sizes}"
        )
    scores = next(iter(results.experiments.values())).scores
    sources = "" if scores.n_test_sources is None else f" from {scores.n_test_sources} sources"
    folds = "" if scores.folds is None else f" ({scores.folds} folds, each tested by the classifiers of the others)"
    one = f"{100 / max(scores.n_test, 1):.2g}"
    leaks = SPLITS[results.protocol].leaks
    tested, also = ("images", ", some of which were trained on") if leaks else ("other images", "")
    return (
        f"{_trained(params, results)}, and tested on {scores.n_test} {tested}{folds}{sources}{also}, so that one image "
        f"is {one} point{'' if one == '1' else 's'} of accuracy; {sizes}"
    )


def _parts(params: Params, results: StudyResults) -> str:
    """The folders of the set that SR trains and is tested on, where these are two."""
    trained = with_role(results.manifest, params.study.sr_protocol, *SR_ROLES)
    tested = compared_rows(results.manifest, params.study)
    for rows, part in ((trained, params.prepare.train), (tested, params.prepare.test)):
        if part is None or not all(row.path.startswith(f"{part}/") for row in rows):
            return ""
    return f", all from {params.prepare.test}, while SR trained on {params.prepare.train} alone" if trained else ""


def _networks(params: Params) -> str:
    """With which seeds SR was trained, where the study names them."""
    seeds = params.study.sr_seeds
    if seeds is None:
        return ""
    if len(seeds) == 1:
        return f" Every SR method was trained with one SR seed, {seeds[0]}."
    run = ", and a run is one classifier on the images by one of them" if params.study.classifies else ""
    return (
        f" Every SR method was trained with {len(seeds)} SR seeds ({', '.join(map(str, seeds))}); its quality is the "
        f"mean over these networks{run}. The pictures, the distribution of PSNR and SSIM and the SR curves are those "
        "of the first."
    )


def _trained(params: Params, results: StudyResults) -> str:
    """The lead's first half; if experiments differ in more than their arm, the table below it says how."""
    scores, classes = next(iter(results.experiments.values())).scores, len(results.classes)
    if not alike(params, results):
        return f"Classifiers of {classes} classes were trained in {counted(len(results.experiments), 'experiment')}"
    recipe = params.classify[next(iter(results.experiments))].classifier
    backbone, weights = _network_words(recipe)
    times = "once" if scores.n_runs == 1 else f"{scores.n_runs} times"
    seeds = ("seed " if scores.n_runs == 1 else "seeds ") + ", ".join(scores.per_seed)
    shrunk = "" if recipe.size is None else f" (larger ones shrunk to {size_text(*recipe.size)} pixels)"
    arms = len(results.experiments)
    versions = f"each of {arms} versions (arms) of the same" if arms > 1 else "one version (arm) of"
    return (
        f"{backbone} was trained {weights} {times} ({seeds}) on {versions} "
        f"{scores.n_train} images{shrunk} of {classes} classes for {counted(recipe.epochs, 'epoch')}"
    )


def quality_words(params: Params) -> str:
    """How PSNR and SSIM are defined in this study."""
    channels = "RGB" if params.quality.channels == "rgb" else "luminance (Y of BT.601, 16 to 235)"
    exact = [arm for arm in params.compared if params.upscale[arm].file == "npy"]
    rounded = "images as computed, not rounded to 8 bits" if exact else "8-bit images"
    window = params.quality.ssim_window
    return f"{channels}, {rounded}, data range 255, SSIM in a uniform window of {window}×{window} pixels"


def alike(params: Params, results: StudyResults) -> bool:
    """Whether the experiments differ in nothing but the one arm that each trains and tests on."""
    chosen = [params.classify[name] for name in results.experiments]
    same = all((each.classifier, each.seeds) == (chosen[0].classifier, chosen[0].seeds) for each in chosen)
    same &= all(params.networks_of(*each.arms) == (None,) for each in chosen)
    return same and all(len(each.arms) == 1 for each in chosen) and len({each.test for each in chosen}) == len(chosen)


def _network_words(recipe: Classifier) -> tuple[str, str]:
    """The network of a recipe, and what it starts from."""
    name = re.sub("^resnet", "ResNet", recipe.backbone)
    weights = "from scratch" if recipe.weights == "none" else f"from {recipe.weights} weights"
    return (name if recipe.ensemble == 1 else f"An ensemble of {recipe.ensemble} {name}s"), weights


def experiment_rows(params: Params, results: StudyResults) -> list[list[str]]:
    """One row per experiment: the arms that it trains and tests on, its classifier, training images and runs."""
    rows, looks = [], arm_looks(params)
    for name, result in results.experiments.items():
        experiment, scores = params.classify[name], result.scores
        recipe = experiment.classifier
        rate = f"learning rate {recipe.learning_rate:g}"
        how = ", ".join((*_network_words(recipe), rate, *training_words(recipe)))
        arms, tested = " + ".join(looks[arm].label for arm in experiment.train), looks[experiment.test].label
        rows.append([result.look.label, arms, tested, how, str(scores.n_train), str(scores.n_runs)])
    return rows


def precision_sentence(results: StudyResults) -> str:
    """The precision that the networks computed in; stage by stage if it was not the same for all."""
    stages: dict[str, list[str]] = {}
    for name, training in results.trainings.items():
        stages.setdefault(str(training.metrics["precision"]), []).append(f"train_sr@{name}")
    for arm, result in results.arms.items():
        if result.quality.precision is not None:
            stages.setdefault(result.quality.precision, []).append(f"upscale@{arm}")
    for name, each in results.experiments.items():
        stages.setdefault(each.scores.precision, []).append(f"classify@{name}")
    if not stages:
        return ""
    if len(stages) == 1:
        return f"All networks computed in {next(iter(stages))}."
    parts = [f"{precision} ({', '.join(names)})" for precision, names in sorted(stages.items())]
    return f"Networks computed in {' and in '.join(parts)}: differences between these include rounding."


def split_words(mixed: StudyResults, disjoint: StudyResults) -> str:
    """What the classifiers of the two protocols have in common, and what differs besides the split."""
    first, second = (next(iter(each.experiments.values())).scores.n_train for each in (mixed, disjoint))
    same = "The SR weights are the same, and the protocols differ in whether copies of a test image are trained on"
    if first == second:
        return f"{same}; classifiers train on {first} images under both."
    amount = f"{first} training images under {mixed.protocol}, {second} under {disjoint.protocol}"
    return f"{same}, and in the amount: {amount}."


def comparison_rows(table: pd.DataFrame, results: StudyResults) -> list[list[str]]:
    """The comparison table as text: experiment or arm, scores, runs, PSNR, SSIM, published figures."""
    rows = []
    for row in table.to_dict("records"):
        cells = [results.look(str(row[results.key])).label, *score_cells(row), *quality_cells(row)]
        if "published_psnr" in row:
            if results.experiments:
                cells += [number(row[f"published_{name}_percent"], 2) for name in ("accuracy", "f1")]
            cells += [number(row["published_psnr"], 2), number(row["published_ssim"], 4)]
        rows.append(cells)
    return rows


def percentile_rows(table: pd.DataFrame, results: StudyResults) -> list[list[str]]:
    """A row for each published PSNR or SSIM: the two, each with its percentile among our images."""
    if "published_psnr_percentile" not in table:
        return []
    rows = []
    for row in table.dropna(subset=["published_psnr", "published_ssim"], how="all").to_dict("records"):
        cells = [results.look(str(row[results.key])).label]
        for measure, digits in (("psnr", 2), ("ssim", 4)):
            place = number(row[f"published_{measure}_percentile"], 0)
            cells += [number(row[f"published_{measure}"], digits), place]
        rows.append(cells)
    return rows


def f1_by_class(results: StudyResults) -> list[list[str]]:
    """One row per class: its name, its test images, the F1 of every experiment in percent."""
    first = next(iter(results.experiments.values())).scores.per_class
    return [
        [
            name,
            str(first[name].support),
            *(number(percent(each.scores.per_class[name].f1), 1) for each in results.experiments.values()),
        ]
        for name in results.classes
    ]


def class_rows(results: StudyResults) -> list[list[str]]:
    """One row per experiment and class: precision, recall, F1 in percent (means over seeds) and the test images."""
    return [
        [result.look.label, name, *(number(percent(v), 1) for v in (s.precision, s.recall, s.f1)), str(s.support)]
        for result in results.experiments.values()
        for name, s in result.scores.per_class.items()
    ]


def sr_rows(params: Params, results: StudyResults) -> list[list[str]]:
    """One row per training: the weights that its arms use, validation scores, size and cost; an en dash is unknown."""
    return [
        [
            training.look.label,
            _count(training.metrics, "iterations"),
            _weights_used(params, name),
            number(training.metrics.get("last_val_psnr"), 2),
            number(training.metrics.get("best_val_psnr"), 2),
            _count(training.metrics, "best_iteration"),
            _count(training.metrics, "n_train"),
            _count(training.metrics, "n_val"),
            _count(training.metrics, "generator_parameters"),
            _count(training.metrics, "seconds"),
            str(training.metrics.get("precision") or UNDEFINED),
        ]
        for name, training in results.trainings.items()
    ]


def _weights_used(params: Params, training: str) -> str:
    """`last`, `best` or both, in the order of the arms."""
    arms = [arm for arm in params.upscale.values() if isinstance(arm, Trained)]
    used = [arm.weights for arm in arms if training in arm.used_trainings]
    return ", ".join(dict.fromkeys(used)) or UNDEFINED


def degradation_rows(params: Params) -> list[tuple[str, str]]:
    """The settings that make LR images of HR ones: sizes, kernel, the method's own (nested keys dotted)."""
    image = params.image
    low = size_text(image.height // image.scale, image.width // image.scale)
    rows = [
        ("HR size", size_text(image.height, image.width)),
        ("LR size", f"{low} (scale {image.scale})"),
        ("fit", image.fit),
        ("kernel", image.kernel),
    ]
    return rows + list(_flat(params.degrade.model_dump(mode="json"), ""))


def grid_choice(results: StudyResults, arms: Sequence[str], count: int) -> Iterator[tuple[str, str, dict[str, str]]]:
    """The images of `chosen_images`: id, label, and a caption for each arm.

    The caption gives the image's PSNR and in how many runs it was classified right.
    """
    facts = {arm: image_facts(results, arm) for arm in arms}
    for image, true in chosen_images(results, count):
        stem = image.rsplit("/", 1)[-1]
        shown = stem if len(stem) <= 16 else f"{stem[:15]}…"
        yield image, f"{true}\n{shown}".strip(), {arm: facts[arm].get(image, "") for arm in facts}


def chosen_images(results: StudyResults, count: int) -> list[tuple[str, str]]:
    """`count` test images, first by name, and their classes: of all classes in turn, without classes of all sources."""
    if results.experiments:
        test = next(iter(results.experiments.values())).predictions.drop_duplicates("image")
        test = test.assign(group=test["true"])
    else:
        source_of = {row.id: row.source for row in results.manifest}
        test = next(iter(results.arms.values())).per_image.rename(columns={"class": "true"})
        test = test.assign(group=test["image"].map(source_of))
    test = test.sort_values("image")
    order = test.assign(turn=test.groupby("group").cumcount()).sort_values(["turn", "group"], kind="stable").head(count)
    shown = order.sort_values("group", kind="stable")
    return list(zip(shown["image"].astype(str), shown["true"].astype(str), strict=True))


def image_facts(results: StudyResults, arm: str) -> dict[str, str]:
    """The caption of each image of an arm; the first experiment that tests on it says in how many runs it was right."""
    facts: dict[str, list[str]] = defaultdict(list)
    if arm in results.arms:
        for image, psnr in results.arms[arm].per_image[["image", "psnr"]].itertuples(index=False):
            shown = number(psnr, 1)
            facts[str(image)].append(shown if shown == UNDEFINED else f"{shown} dB")
    said = next((each.predictions for each in results.experiments.values() if each.arm == arm), None)
    if said is not None:
        right = (said["true"] == said["predicted"]).groupby(said["image"])
        for image, hits, runs in zip(right.sum().index, right.sum(), right.size(), strict=True):
            facts[str(image)].append(f"right {hits}/{runs}")
    return {image: ", ".join(words) for image, words in facts.items()}


def _flat(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            shown = ", ".join(f"{part:g}" for part in value) if isinstance(value, list | tuple) else str(value)
            yield f"{prefix}{key}", shown


def _count(metrics: Mapping[str, Any], key: str) -> str:
    value = metrics.get(key)
    return UNDEFINED if value is None else f"{value:,.0f}"
