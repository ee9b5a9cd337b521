"""A reporting sheet: what a study says to the REFORMS and CLAIM checklists, filled from its settings and results.

REFORMS: Kapoor et al., Science Advances 10 (2024), table 1, 32 items. CLAIM: Mongan, Moy & Kahn, Radiology:
Artificial Intelligence 2 (2020), items 3 to 42. What no file of the study can know is a gap until `report.statements`
says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leukosr.config import Params, Statement, Trained
from leukosr.data.splits import SPLITS
from leukosr.quoting import listed
from leukosr.report.results import StudyResults
from leukosr.report.sections import quality_words
from leukosr.report.style import size_text, training_words
from leukosr.report.verdicts import leakage


@dataclass(frozen=True)
class Item:
    """One item: the numbers that checklists give it, what they ask, and the answer; None is a gap."""

    numbers: str
    asks: str
    answer: str | None


def sheet(params: Params, results: Sequence[StudyResults], versions: Mapping[str, str], command: str) -> list[Item]:
    """All items; `results` under every protocol, `command` composes the study again."""
    return [
        *_goals(params),
        *_reproducibility(params, versions, command),
        *_data(params, results[0]),
        *_modelling(params, results),
        *_leakage(params, results),
        *_uncertainty(params, results),
        *_limits(params),
    ]


def sheet_markdown(params: Params, items: Sequence[Item]) -> str:
    """The sheet as Markdown: the gaps first, then every item."""
    gaps = [item for item in items if item.answer is None]
    lines = [
        f"# Reporting sheet: {params.study.title}",
        "",
        f"{len(items) - len(gaps)} of {len(items)} items answered.",
    ]
    if gaps:
        lines += ["", "Gaps, which only people can fill (`report.statements`):", ""]
        lines += [f"- {item.numbers}: {item.asks}" for item in gaps]
    lines += ["", "| item | asks | this study |", "|---|---|---|"]
    lines += [f"| {item.numbers} | {item.asks} | {_cell(item.answer or '**gap**')} |" for item in items]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _said(params: Params, key: Statement) -> str | None:
    return params.report.statements.get(key)


def _goals(params: Params) -> list[Item]:
    return [
        Item("REFORMS 1a, CLAIM 3", "the population that the claim is about", _said(params, "population")),
        Item("REFORMS 1b", "why this population", _said(params, "motivation")),
        Item(
            "REFORMS 1c, CLAIM 4",
            "why machine learning; the objective",
            "Whether super-resolution of low-resolution images changes what classifiers get right, and by how much; "
            "both are learned models."
            if params.study.classifies
            else "How near super-resolution of low-resolution images comes to the originals; it is a learned model.",
        ),
        Item("CLAIM 5, 6", "prospective or retrospective; the goal", "Retrospective; to compare methods."),
        Item("CLAIM 40, 41", "registration, and where the protocol can be read", _said(params, "registration")),
    ]


def _reproducibility(params: Params, versions: Mapping[str, str], command: str) -> list[Item]:
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [
        Item("REFORMS 2a, CLAIM 7", "the data, with a link or DOI", _said(params, "data_origin")),
        Item("REFORMS 2b, CLAIM 23", "the code and its version; software", packages),
        Item("REFORMS 2c", "the computing infrastructure", "Device, precision, threads: metrics.json of stages."),
        Item("REFORMS 2d, 2e", "instructions and a script that makes the results again", f"`{command}`"),
    ]


def _data(params: Params, results: StudyResults) -> list[Item]:
    image, rows = params.image, results.manifest
    counted: dict[str, int] = {}
    for row in rows:
        counted[row.label or "all"] = counted.get(row.label or "all", 0) + 1
    sources = {row.source for row in rows if row.source}
    known = all(row.source for row in rows)
    outcome = "Class of the image" if params.study.classifies else "The original image"
    rejected = f"{len(results.rejected)} files were left out; rejected.csv names each with its reason."
    return [
        Item("REFORMS 3a, CLAIM 14 to 17", "who annotated what, when and how", _said(params, "annotation")),
        Item("CLAIM 18", "agreement between annotators", _said(params, "agreement")),
        Item("REFORMS 3b, CLAIM 8", "the sampling frame; who or what was eligible", _said(params, "sampling")),
        Item("REFORMS 3c", "why the set is useful for the task", _said(params, "usefulness")),
        Item(
            "REFORMS 3d, 3e, CLAIM 11",
            "the outcome and the sample size, by class",
            f"{outcome}. {len(rows)} images: {', '.join(f'{n} {name}' for name, n in counted.items())}"
            + (f"; {len(sources)} sources." if known else "; sources are not known for every image."),
        ),
        Item("CLAIM 19", "how the sample size was chosen", _said(params, "sample_size")),
        Item("REFORMS 3f, CLAIM 13, 33", "missing data; who was left out", rejected),
        Item("REFORMS 3g", "how far the set represents the population", _said(params, "representativeness")),
        Item("CLAIM 34", "demographic and clinical characteristics", _said(params, "demographics")),
        Item("CLAIM 12", "de-identification", _said(params, "deidentification")),
        Item("REFORMS 4a, 4b", "what was excluded, and impossible or damaged samples", rejected),
        Item(
            "REFORMS 4c, CLAIM 9",
            "all transformations",
            f"Originals fitted to {size_text(image.height, image.width)} ({image.fit}, {image.kernel}); low resolution "
            f"by `{params.degrade.method}` at 1/{image.scale} of the side; every setting is on the page.",
        ),
    ]


def _of(ensembles: Sequence[int]) -> str:
    """How many classifiers the ensembles have: `1 and 4 classifiers`."""
    return f"{listed([str(each) for each in ensembles])} classifier{'' if list(ensembles) == [1] else 's'}"


def _modelling(params: Params, results: Sequence[StudyResults]) -> list[Item]:
    recipes = {name: ", ".join(training_words(each.classifier)) for name, each in params.classify.items()}
    classifiers = "; ".join(
        f"{name}: {each.classifier.backbone}, {recipes[name]}" for name, each in params.classify.items()
    )
    recipes_used = [each.classifier for each in params.classify.values()]
    ensembles = sorted({each.ensemble for each in recipes_used})
    networks = "; ".join(f"{name}: {each.architecture}" for name, each in params.train_sr.items())
    splits = "; ".join(f"{each.protocol}: {SPLITS[each.protocol].words}" for each in results)
    weights = [f"{name}: {arm.weights}" for name, arm in params.upscale.items() if isinstance(arm, Trained)]
    plain = [name for name, arm in params.upscale.items() if arm.by in ("nothing", "kernel", "filter", "colour_map")]
    started = [f"classifiers: {listed(sorted({each.weights for each in recipes_used}))}"] if recipes_used else []
    started += [f"{name}: {each.start or 'random'}" for name, each in params.train_sr.items()]
    published = [f"{name}: {arm.weights or arm.reads}" for name, arm in params.upscale.items() if arm.by == "file"]
    models = ". ".join(filter(None, [networks, "; ".join(published), classifiers]))
    return [
        Item("REFORMS 5a, CLAIM 22, 25", "the models and their training", models or None),
        Item("REFORMS 5b", "why these models", _said(params, "model_choice")),
        Item("CLAIM 24", "initial weights", "; ".join(started) or None),
        Item("REFORMS 5c, CLAIM 20", "how test data were kept apart", splits),
        Item(
            "REFORMS 5d, CLAIM 26",
            "how the final model was chosen",
            (f"Classifiers: epoch {listed(sorted({each.keep for each in recipes_used}))}. " if recipes_used else "")
            + f"SR weights: {listed(weights) if weights else 'none'}.",
        ),
        Item(
            "REFORMS 5e",
            "hyper-parameters and how they were chosen",
            "All stand among the parameters on the page. "
            + ("One recipe serves every experiment that names no other; " if recipes_used else "")
            + "test images choose nothing.",
        ),
        Item("CLAIM 27", "ensembles", f"{_of(ensembles)} per run." if ensembles else "None."),
        Item("REFORMS 5f", "baselines", f"{listed(plain)}." if plain else None),
    ]


def _leakage(params: Params, results: Sequence[StudyResults]) -> list[Item]:
    found = {each.protocol: leakage(each.manifest, each.protocol, params) for each in results}
    shared = " ".join(f"{name}: {' '.join(said)}" for name, said in found.items() if said)
    leaking = [each.protocol for each in results if SPLITS[each.protocol].leaks]
    blind = "SR, classifiers and their choices" if params.study.classifies else "SR training and its choices"
    apart = f"{blind} see no test image; `prepare` gives every image one role, and every stage reads it from roles.csv."
    if leaking:
        apart = f"They are not under {listed(leaking)}: classifiers train on test images, by design."
    elif len(results) > 1:
        apart = apart.replace("one role", "one role under each protocol")
    return [
        Item("REFORMS 6a", "train and test are kept apart in every step", apart),
        Item("REFORMS 6b, CLAIM 21", "copies and dependencies between train and test", shared or None),
        Item("REFORMS 6c", "whether the input may be used for the task", "The input is the image alone."),
    ]


@dataclass(frozen=True)
class _Measured:
    """What is measured, and how: of classifiers, or of images alone."""

    metrics: str
    tests: str
    robustness: str
    performance: str | None
    failures: str | None


def _uncertainty(params: Params, results: Sequence[StudyResults]) -> list[Item]:
    said = (_of_classifiers if params.study.classifies else _of_images)(params, results[0])
    return [
        Item("REFORMS 7a, CLAIM 28", "the metrics", said.metrics),
        Item("REFORMS 7b, 7c, CLAIM 29", "uncertainty, and why these tests", said.tests),
        Item("CLAIM 30", "robustness and sensitivity", said.robustness),
        Item("CLAIM 31", "explanation of single predictions", _said(params, "explainability")),
        Item("CLAIM 35, 36", "performance, with intervals", said.performance),
        Item("CLAIM 37", "failure analysis", said.failures),
    ]


def _of_classifiers(params: Params, first: StudyResults) -> _Measured:
    scores = "; ".join(
        f"{each.look.label} {100 * each.scores.accuracy:.1f} % accuracy over {each.scores.n_runs} runs"
        for each in first.experiments.values()
        if each.scores.accuracy is not None
    )
    return _Measured(
        metrics=f"Primary: {params.study.primary}; accuracy, macro F1, PSNR, SSIM, ECE and Brier score beside it.",
        tests=f"Student's t over runs ({len(params.study.seeds)} seeds) and sources, whose coverage "
        "`leukosr calibrate` simulates; Holm over the family.",
        robustness="On the page: assay sensitivity, label conflicts.",
        performance=f"{scores}; intervals on the page." if scores else None,
        failures="On the page: cells helped and harmed by class pair, confusion, risk-coverage." if scores else None,
    )


def _of_images(params: Params, first: StudyResults) -> _Measured:
    means = "; ".join(
        f"{each.look.label} {each.quality.psnr:.2f} dB" for each in first.arms.values() if each.quality.psnr is not None
    )
    return _Measured(
        metrics=f"PSNR and SSIM: {quality_words(params)}.",
        tests="Student's t over sources and SR networks; the intervals are not corrected for their number.",
        robustness="On the page: how PSNR and SSIM are distributed over images.",
        performance=f"Mean PSNR: {means}; differences with intervals on the page." if means else None,
        failures="On the page: the same parts of images as each arm shows them.",
    )


def _limits(params: Params) -> list[Item]:
    limits = " ".join(filter(None, [params.budget.note + ".", params.study.caveat, _said(params, "limits")]))
    part = "for classifiers" if params.study.classifies else "for tests"
    most = params.prepare.per_class.classifier
    return [
        Item("REFORMS 8a, CLAIM 32", "evidence of external validity", _said(params, "external_validity")),
        Item("REFORMS 8b, CLAIM 38", "where the results will not hold", limits),
        Item(
            "CLAIM 10",
            "subsets of the data",
            f"Images of each class {part}: {'all' if most is None else f'{most} at most'}.",
        ),
        Item("CLAIM 39", "what follows for practice", _said(params, "implications")),
        Item("CLAIM 42", "funding and the funders' role", _said(params, "funding")),
    ]
