"""The report page of a study: one HTML file that needs nothing beside it, and its figures as files."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from PIL import Image

from leukosr.config import ByClass, Params
from leukosr.data.splits import SPLITS, shown_name
from leukosr.files import new_file, new_folder, write_json
from leukosr.images.reading import read_as_rgb
from leukosr.report import sections
from leukosr.report.charts import (
    accuracy_figure,
    class_counts,
    class_distribution,
    confusion_figure,
    quality_figure,
)
from leukosr.report.content import Figure, Page, ProtocolPart, SweepPart
from leukosr.report.curves import classifier_curves, sr_curves
from leukosr.report.evidence import evidence
from leukosr.report.grids import arm_grid, read_cell
from leukosr.report.published import published_figures
from leukosr.report.quality_blocks import psnr_differences
from leukosr.report.results import StudyResults
from leukosr.report.sheet import sheet, sheet_markdown
from leukosr.report.split_effect import compared_protocols, effect_figure, effect_rows, split_effects
from leukosr.report.style import arm_looks, budget_note, training_words
from leukosr.report.tables import comparison_table, summary
from leukosr.report.verdicts import Verdicts, judge, labels_of, leakage, verdict_part
from leukosr.versions import installed_versions

PAGE_WIDTH = 1400  # pixels; wider pictures are reduced for the page


def write_report(
    folder: Path,
    params: Params,
    results: StudyResults,
    versions: Mapping[str, str] | None = None,
    others: Sequence[StudyResults] = (),
    conf: Path = Path("conf"),
) -> Path:
    """Write the report of a study into `folder`, whose former content is replaced; returns its index.html.

    Beside index.html (self-contained: no script, no request) stand figures/*.png, comparison.csv,
    summary.json and sheet.md, the reporting sheet. `versions` defaults to the installed packages; `others` are the
    results under further protocols; `conf` is the folder that the parameters were composed from.
    The same inputs give the same bytes.
    Raises LeukoError when an image of the grid is missing or `folder` cannot be written.
    """
    from leukosr.report.reproduce import reproduction

    note = f"{results.study}: {budget_note(params.budget)}"
    published = published_figures(params.study.published)
    everything = [results, *others]
    tables = [comparison_table(each, None if SPLITS[each.protocol].disjoint else published) for each in everything]
    with new_folder(folder) as work:
        pictures = _draw(work / "figures", params, results, note)
        for each in others:
            pictures |= _draw_protocol(work / "figures", each, note)
        swept = _draw_sweep(work / "figures", params, results, pictures)
        compared = compared_protocols(everything)
        effects = split_effects(*compared) if compared else []
        if compared and effects:
            names = shown_name(compared[0].protocol), shown_name(compared[1].protocol)
            looks = {name: each.look for name, each in compared[0].experiments.items()}
            effect_figure(work / "figures" / "split_effect.png", effects, names, looks, note)
            words = f"Test accuracy of every experiment under both protocols with 95 % intervals. {note}"
            pictures["split_effect"] = Figure(data_uri(work / "figures" / "split_effect.png", False), words)
        blocks = []
        for each in everything:
            blocks.append(evidence(work / "figures", params, each, note))
            for name, caption in (item for block in blocks[-1] for item in block.pictures.items()):
                pictures[name] = Figure(data_uri(work / "figures" / f"{name}.png", False), f"{caption} {note}")
        with new_file(work / "comparison.csv") as path:
            named = [
                t if not others else t.assign(protocol=r.protocol) for t, r in zip(tables, everything, strict=True)
            ]
            pd.concat(named).to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        if not (differences := psnr_differences(params, results)).empty:
            with new_file(work / "differences.csv") as path:
                differences.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
        summaries = {each.protocol: summary(each) for each in everything}
        write_json(work / "summary.json", summaries if others else summary(results))
        installed, again = versions if versions is not None else installed_versions(), reproduction(params, conf)
        items = sheet(params, everything, installed, again.command)
        page = Page(
            title=params.study.title,
            lead=sections.lead_sentence(params, results),
            precision=sections.precision_sentence(results),
            budget=budget_note(params.budget),
            budget_name=params.budget.name,
            results=results,
            protocols=[
                _protocol(params, *each) for each in zip(everything, tables, judge(params, everything), strict=True)
            ],
            claims=params.claims.digest if params.claims else "",
            evidence=list(zip([shown_name(each.protocol) for each in everything], blocks, strict=True)),
            split_effects=effect_rows(effects, labels_of(compared[0])) if compared else [],
            split_names=[shown_name(each.protocol).replace("_", " ") for each in compared or ()],
            split_words=sections.split_words(*compared) if compared else "",
            sweep=swept,
            published=published,
            published_label=published.label(params.image) if published else "",
            f1=sections.f1_by_class(results) if results.experiments else [],
            per_class=sections.class_rows(results),
            sr_rows=sections.sr_rows(params, results),
            counts=class_counts(results.manifest, results.protocol),
            main_protocol=f" (protocol {results.protocol})" if others else "",
            rejected=list(results.rejected.itertuples(index=False)),
            degradation=sections.degradation_rows(params),
            caveat=params.study.caveat,
            idle=sections.idle_sentence(results),
            images=next((each.quality.n for each in results.arms.values()), 0),
            quality_words=sections.quality_words(params),
            wrapped=getattr(params.degrade, "noise", "") == "wrapped",
            params_yaml=_settings(params),
            reproduce=again,
            sheet_items=len(items),
            sheet_gaps=sum(item.answer is None for item in items),
            versions=installed,
            pictures=pictures,
        )
        shown = template("report.html.j2").render(page=page)
        for name, text in (("index.html", shown), ("sheet.md", sheet_markdown(params, items))):
            with new_file(work / name) as path:
                path.write_text(text, encoding="utf-8")
    return folder / "index.html"


SWEEP_FIGURES = {
    "runs": "Every run as a dot, by learning rate.",
    "components": "What each randomness stream adds.",
    "differences": "How often two runs of one configuration differ by so much; a line marks the published 5 points.",
    "search": "Every configuration that the search trained to its end.",
}


def _draw_sweep(folder: Path, params: Params, results: StudyResults, pictures: dict[str, Figure]) -> SweepPart | None:
    """Copy the sweep's figures to the page's; None for a study whose sweep has not run."""
    sweep = results.layout.sweep
    record = next((sweep / name for name in ("variance.json", "search.json") if (sweep / name).is_file()), None)
    if record is None:
        return None
    found = json.loads(record.read_text(encoding="utf-8"))
    shown = {}
    for name, caption in SWEEP_FIGURES.items():
        if (sweep / f"{name}.png").is_file():
            shutil.copyfile(sweep / f"{name}.png", folder / f"sweep_{name}.png")
            pictures[f"sweep_{name}"] = Figure(data_uri(folder / f"sweep_{name}.png", False), caption)
            shown[f"sweep_{name}"] = caption
    differ = (
        "in learning rate, weight decay and augmentation, each the mean over the same seeds on validation images"
        if found["design"] == "search"
        else "in the seeds of the randomness streams alone, and in the learning rate where that is varied"
    )
    name, trained = found["arm"], ""
    if params.sweep.target == "classify":
        words = training_words(params.swept_recipe)
        trained = f", each trained with {', '.join(words)}"
    swept = (results.experiments if params.sweep.target == "classify" else results.trainings).get(name)
    name = swept.look.label if swept else name
    what = (
        f"{found['trials']} trials of {name}, protocol {found['protocol']}, design "
        f"{found['design']}{trained}. They differ {differ}."
    )
    return SweepPart(what, found["sentences"], shown)


def _protocol(params: Params, results: StudyResults, table: pd.DataFrame, found: Verdicts) -> ProtocolPart:
    """What the page says of the study under one protocol."""
    main = results.protocol == params.study.protocols[0]
    return ProtocolPart(
        name=shown_name(results.protocol),
        words=SPLITS[results.protocol].words,
        disjoint=SPLITS[results.protocol].disjoint,
        comparison=sections.comparison_rows(table, results),
        experiments=[] if sections.alike(params, results) else sections.experiment_rows(params, results),
        published="published_psnr" in table,
        percentiles=sections.percentile_rows(table, results),
        leakage=leakage(results.manifest, results.protocol, params.study),
        judged=verdict_part(results.protocol, found, labels_of(results)),
        accuracy="accuracy" if main else f"accuracy_{results.protocol}",
        confusion={}
        if main
        else {f"confusion_{results.protocol}_{name}": each.look.label for name, each in results.experiments.items()},
    )


def _draw_protocol(folder: Path, results: StudyResults, note: str) -> dict[str, Figure]:
    """The figures of a further protocol: accuracy and confusion."""
    note, name = f"{note}; protocol {results.protocol}", results.protocol
    accuracy_figure(folder / f"accuracy_{name}.png", results, note)
    words = f"Test accuracy of every experiment under {name}, a dot per run. {note}"
    seen = {f"accuracy_{name}": Figure(data_uri(folder / f"accuracy_{name}.png", False), words)}
    for each, result in results.experiments.items():
        file = folder / f"confusion_{name}_{each}.png"
        confusion_figure(file, result.look, result.predictions, results.classes, note)
        seen[file.stem] = Figure(data_uri(file, False), f"Confusion matrix of {result.look.label} under {name}. {note}")
    return seen


def _settings(params: Params) -> str:
    """All parameters but those that only change speed, and what other protocols would need."""
    shown = params.model_dump(mode="json", exclude={"runtime", "find_sources", "compared_by", "starts"})
    return str(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True))


def _draw(folder: Path, params: Params, results: StudyResults, note: str) -> dict[str, Figure]:
    """Draw all figures into `folder`; keys are file names without suffix."""
    seen: dict[str, Figure] = {}

    def add(name: str, alt: str, photo: bool = False) -> None:
        seen[name] = Figure(data_uri(folder / f"{name}.png", photo), f"{alt}. {note}")

    if results.experiments:
        accuracy_figure(folder / "accuracy.png", results, note)
        add("accuracy", "Test accuracy of every experiment, a dot per run")
    if results.arms:
        quality_figure(folder / "quality.png", results, note)
        add("quality", "Distribution of PSNR and SSIM over the images of every arm")
    class_distribution(folder / "classes.png", results.manifest, note, results.protocol)
    add("classes", "Number of images of each class in each role")
    originals = [name for name, arm in params.upscale.items() if arm.shows_originals(params.image)]
    guide = originals[0] if originals else None
    looks = arm_looks(params)
    arms = [name for name, arm in params.upscale.items() if not isinstance(arm, ByClass)]  # which has no test images
    versions = {arm: params.version(arm, params.study.networks[0]) for arm in arms}
    cell = partial(read_cell, results.layout, crop=params.report.crop, guide=guide, versions=versions)
    cells = [
        cell(image, arms, label=label, captions=captions)
        for image, label, captions in (sections.grid_choice(results, arms, params.report.grid_cells) if arms else ())
    ]
    if cells:
        arm_grid(folder / "grid.png", cells, looks, note)
        add("grid", "The same cells in every arm with a zoomed crop", photo=True)
    for name, result in results.experiments.items():
        confusion_figure(folder / f"confusion_{name}.png", result.look, result.predictions, results.classes, note)
        add(f"confusion_{name}", f"Confusion matrix of {result.look.label}")
        classifier_curves(folder / f"classifier_{name}.png", result.look, result.history, note)
        add(f"classifier_{name}", f"Training curves of the classifiers of {result.look.label}")
    for name, training in results.trainings.items():
        sr_curves(folder / f"sr_{name}.png", training.look, training.history, note)
        add(f"sr_{name}", f"Training curves of {training.look.label}")
        with new_file(folder / f"samples_{name}.png") as path:
            path.write_bytes(training.samples.read_bytes())
        add(f"samples_{name}", f"Validation samples of {training.look.label}", photo=True)
    return seen


def data_uri(path: Path, photo: bool) -> str:
    """A picture as a data URI: charts as PNG, photographs as JPEG, which is several times smaller."""
    reduced = Image.fromarray(read_as_rgb(path))
    if reduced.width <= PAGE_WIDTH and not photo:
        return _uri("png", path.read_bytes())
    if reduced.width > PAGE_WIDTH:
        height = round(reduced.height * PAGE_WIDTH / reduced.width)
        reduced = reduced.resize((PAGE_WIDTH, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    reduced.save(buffer, format="JPEG", quality=86, optimize=True)
    return _uri("jpeg", buffer.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def template(name: str) -> Template:
    """A page template of this folder; an unknown name in it is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
