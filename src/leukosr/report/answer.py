"""What a study answers, in a few lines: the top of its page, and what `leukosr show` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from leukosr.config import Generated, Params, Trained
from leukosr.data.splits import SPLITS, shown_name
from leukosr.evaluate.arms.significance import Comparison, Verdict
from leukosr.report.comparisons import NAMES, difference_text, runs_text, verdict_text
from leukosr.report.idle import all_idle, idle_experiments, idle_sentence
from leukosr.report.quality_blocks import DIFFERENCES, compared_arms, interval, psnr_differences
from leukosr.report.results import ArmResults, StudyResults
from leukosr.report.verdicts import Verdicts, labels_of, named

SR_QUESTION = "Does super-resolution help here?"
QUALITY_QUESTION = "Does super-resolution raise the PSNR here?"
OTHER_QUALITY_QUESTION = "Is the PSNR of the first of each pair higher?"
OTHER_QUESTION = "Is the first of each pair better?"
NO_VERDICT = "No verdict is possible"
UNDECLARED = " (exploratory: not declared before the first run)"
HELPS: tuple[Verdict, ...] = ("clearly better", "better")
NO_GAIN: tuple[Verdict, ...] = ("equivalent", "no gain", "worse", "clearly worse")  # each excludes a gain that matters
HEADLINES: dict[Verdict, str] = {
    "clearly better": "Yes",
    "better": "Yes, perhaps by less than matters",
    "equivalent": "No difference that matters",
    "no gain": "No gain that matters",
    "worse": "No, it is worse",
    "clearly worse": "No, it is clearly worse",
    "inconclusive": "Not shown",
}


@dataclass(frozen=True)
class Part:
    """The answer under one protocol: `where` names it if there are several, `lines` say what it rests on."""

    where: str
    headline: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Answer:
    """A question and its answers, the protocol that keeps sources apart first."""

    question: str
    parts: Sequence[Part]

    @property
    def sentences(self) -> Iterator[str]:
        """Everything as lines of text."""
        for part in self.parts:
            where = f"{part.where}: " if part.where else ""
            yield f"{self.question} {where}{part.headline}."
            yield from (f"  {line}" for line in part.lines)


def study_answer(params: Params, everything: Sequence[StudyResults], judged: Sequence[Verdicts]) -> Answer:
    """The answer of a study, from the verdicts under each protocol, or from PSNR where nothing is classified."""
    if not everything[0].experiments:
        return _of_quality(params, everything[0])
    generated = sr_experiments(params)
    found = {
        each.protocol: named(verdicts.comparisons, labels_of(each))
        for each, verdicts in zip(everything, judged, strict=True)
    }
    of_sr = {labels_of(each)[name] for each in everything for name in generated & set(each.experiments)}
    idle = {labels_of(each)[name]: arm for each in everything for name, arm in idle_experiments(params, each).items()}
    return verdict_answer(found, of_sr, params.study.caveat, idle)


def sr_experiments(params: Params) -> set[str]:
    """The experiments on images of SR networks; one that restores at LR size is a control, not SR."""
    return {name for name, each in params.classify.items() if any(_is_sr(params, arm) for arm in each.arms)}


def _is_sr(params: Params, arm: str) -> bool:
    made = params.source_arm(arm)
    if isinstance(made, Trained):
        return any(params.train_sr[name].adds_pixels for name in made.used_trainings)
    return isinstance(made, Generated)


def verdict_answer(
    found: Mapping[str, Sequence[Comparison]],
    of_sr: set[str],
    caveat: str | None,
    idle: Mapping[str, Sequence[ArmResults]] = MappingProxyType({}),
) -> Answer:
    """The answer that the comparisons under each protocol give; those of SR alone, where `of_sr` names any as first.

    `caveat` is what a reader must know of the study; where some protocols keep sources apart and others do not, it is
    about the latter. `idle`: experiments on images of which a network did not train; those of which none did have no
    part in the headline.
    """
    asked = {name: [each for each in own if each.primary] for name, own in found.items()}
    sr = {name: [each for each in own if each.a in of_sr and each.b not in of_sr] for name, own in asked.items()}
    about_sr = any(sr.values())
    shown = {name: own for name, own in (sr if about_sr else asked).items() if own}
    if not shown:
        return Answer(SR_QUESTION, [Part("", "No answer", ["The study compares no two arms."])])
    mixed = [name for name in found if not SPLITS[name].disjoint]
    parts = [
        _part(
            f"Protocol {shown_name(name)}" if len(found) > 1 else "",
            own,
            None if mixed and SPLITS[name].disjoint else caveat,
            idle,
        )
        for name, own in sorted(shown.items(), key=lambda each: not SPLITS[each[0]].disjoint)
    ]
    return Answer(SR_QUESTION if about_sr else OTHER_QUESTION, parts)


def _part(
    where: str, found: Sequence[Comparison], caveat: str | None, idle: Mapping[str, Sequence[ArmResults]]
) -> Part:
    reasons = list(dict.fromkeys(each.reason for each in found))
    compared = {name for each in found for name in (each.a, each.b)}
    named = {arm.look.label: arm for name, arms in idle.items() if name in compared for arm in arms}
    notes = [each for each in (idle_sentence(list(named.values())), caveat) if each]
    if None not in reasons:
        return Part(where, f"{NO_VERDICT}: {'; '.join(str(reason) for reason in reasons)}", notes)
    untrained = {name for name, arms in idle.items() if any(map(all_idle, arms))}
    trained = [each for each in found if not untrained & {each.a, each.b}]
    return Part(where, _headline(trained) if trained else HEADLINES["inconclusive"], [*map(_line, found), *notes])


def _headline(found: Sequence[Comparison]) -> str:
    """What those say together that were declared before the first run; without any it is all, and exploratory."""
    declared = [each for each in found if each.declared]
    headline = _together(declared or found)
    return headline + ("" if declared or headline == "Not shown" else UNDECLARED)


def _together(found: Sequence[Comparison]) -> str:
    words = {each.verdict for each in found}
    if len(words) == 1:
        return HEADLINES[found[0].verdict]
    if words <= set(HELPS):
        return HEADLINES["better"]
    if words <= {"worse", "clearly worse"}:
        return HEADLINES["worse"]
    if words <= set(NO_GAIN):
        return HEADLINES["no gain"]
    return "In part" if words & set(HELPS) else "Not shown"


def _line(found: Comparison) -> str:
    """`Real-ESRGAN – raw LR: inconclusive, +7.7 points of macro F1 (-0.8 … +16.2), 8 paired runs`."""
    what = f"{difference_text(found, f' points of {NAMES[found.metric]}')}, {runs_text(found)}"
    why = f"; no verdict is possible: {found.reason}" if found.reason else ""
    return f"{found.a} – {found.b}: {verdict_text(found)}, {what}{why}"


def _of_quality(params: Params, results: StudyResults) -> Answer:
    """Intervals alone say whether PSNR differs; there are no verdicts on image quality.

    The headline is that of SR against other arms, where the study names any such pair with SR first.
    """
    rows = psnr_differences(params, results)
    if rows.empty:
        return Answer(QUALITY_QUESTION, [Part("", "No answer", ["The study compares no two arms."])])
    about_sr = np.array([_is_sr(params, one) and not _is_sr(params, other) for one, other in compared_arms(params)])
    bounds = rows[DIFFERENCES[3:]].astype(float).to_numpy()
    lines = [
        f"{arms}: {interval(value, low, high, ' dB')}"
        for arms, (value, low, high) in zip(rows["arms"], bounds.tolist(), strict=True)
    ]
    answering = bounds[about_sr] if about_sr.any() else bounds
    higher, lower = answering[:, 1] > 0, answering[:, 2] < 0  # False without an interval
    headline = (
        "Yes" if higher.all() else "In part" if higher.any() else "No, it is lower" if lower.all() else "Not shown"
    )
    lines.append(
        "95 % intervals, not corrected for their number. A higher PSNR does not say that cells are told apart."
    )
    compared = {name for pair in compared_arms(params) for name in pair}
    if idle := idle_sentence([arm for name, arm in results.arms.items() if name in compared]):
        lines.append(idle)
    return Answer(QUALITY_QUESTION if about_sr.any() else OTHER_QUALITY_QUESTION, [Part("", headline, lines)])
