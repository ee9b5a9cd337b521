"""The page of a study that was run in pieces: every arm, and its claims judged as one family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from leukosr.config import Params
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.cells import by_run, help_and_harm
from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.recovered import recovered_share
from leukosr.evaluate.arms.significance import Comparison
from leukosr.evaluate.claims import Claims
from leukosr.evaluate.classification import Classification, mean_and_sd, score
from leukosr.files import new_file, new_folder, write_json
from leukosr.quoting import decimal, listed
from leukosr.report.answer import Answer, sr_experiments, verdict_answer
from leukosr.report.block import percent_with_interval, ratio_with_interval
from leukosr.report.charts import beside, label_rows
from leukosr.report.combine import CombinedArm, combined_arms, refuse_unlike_classifiers
from leukosr.report.combined_claims import (
    claimed_pairs,
    combined_caveats,
    combined_notes,
    combined_study,
    in_order,
    judged_claims,
)
from leukosr.report.comparisons import HEADS, NAMES, sentences
from leukosr.report.content import Figure
from leukosr.report.forest import COLUMNS, Finding, draw_forest
from leukosr.report.pictures import data_uri
from leukosr.report.pieces import Piece, read_pieces
from leukosr.report.style import SEQUENCE, merged_notes, new_figure
from leukosr.report.tables import UNDEFINED, mean_sd, number, percent
from leukosr.report.template import template
from leukosr.report.verdicts import named, verdict_rows

SCORES = ("accuracy", "macro_f1")


def write_combined(
    folder: Path, study: str, results: Sequence[Path], overrides: Sequence[str] = (), conf: Path = Path("conf")
) -> tuple[Path, Answer, list[str]]:
    """Write the page of `study`, whose arms are in several published results, to `folder`.

    Beside index.html stand comparison.csv (a row an experiment), verdicts.csv (a row a claim and metric), summary.json,
    about.json (which results, at which commits, and the claims' digest), figures/, and plots/confusion/NAME.csv with
    what the classifiers of every experiment said, its probabilities left empty. The same results give the same bytes.
    `overrides` are settings of the study as for `dvc exp run -S`. Returns the page, its answer and its notes.
    Raises LeukoError for results that are not pieces of one study, or not of this one, a study without claims, and
    claims on experiments that no result has.
    """
    pieces, unknown = read_pieces(results)
    params = combined_study(study, pieces, overrides, conf)
    claims = params.claims
    assert claims is not None
    there = {name for each in pieces for name in each.labels}
    if missing := sorted({name for each in claims.family for name in (each.first, each.second)} - there):
        raise LeukoError(
            f"the study {study} has claims on {listed(missing)}, and none of the results has them: add results that do"
        )
    arms = combined_arms(pieces, list(params.classify), params.study.seeds)
    asked = [(each.first, each.second) for each in claims.family]
    refuse_unlike_classifiers(arms, asked)
    runs = {name: _runs(arm) for name, arm in arms.items()}
    said = {name: arm.predictions for name, arm in arms.items()}
    pairs = claimed_pairs(claims, said)
    found = judged_claims(claims, pieces, pairs)
    labels = {name: arm.label for name, arm in arms.items()}
    compared = named(found, labels)
    of_sr = {labels[name] for name in sr_experiments(params) & set(labels)}
    answer = verdict_answer({pieces[0].protocol: compared}, of_sr, None)
    notes = [*combined_notes(params, claims, arms, pairs), *unknown]
    classifier = arms[asked[0][0]].pieces[0].snapshot.classifier(asked[0][0])
    with new_folder(folder) as work:
        pictures = _figures(work / "figures", pieces, compared, list(arms.values()), runs, classifier)
        rows = [_record(arm, runs[arm.name]) for arm in arms.values()]
        _write_table(work / "comparison.csv", rows)
        _write_table(work / "verdicts.csv", [_verdict(each) for each in found])
        write_json(work / "summary.json", {name: _summary(arm, runs[name]) for name, arm in arms.items()})
        about = {"study": study, "settings": list(overrides), "claims_digest": claims.digest}
        write_json(work / "about.json", about | {"results": [_about(each) for each in pieces]})
        for arm in arms.values():
            _write_predictions(work / "plots/confusion", arm)
        page = template("combined.html.j2").render(
            title=params.study.title,
            badge=f"{classifier}; put together from {len(pieces)} results",
            answer=answer,
            pictures=pictures,
            notes=notes,
            caveats=combined_caveats(pieces),
            arms=[_arm_row(row, arms[row["experiment"]]) for row in rows],
            head=("experiments", *HEADS),
            verdicts=verdict_rows(compared),
            sentences=_sentences(compared),
            cells=_cells(params, claims, said, labels),
            pieces=[_piece_row(each, arms) for each in pieces],
        )
        with new_file(work / "index.html") as path:
            path.write_text(page, encoding="utf-8")
    return folder / "index.html", answer, notes


def _sentences(compared: Sequence[Comparison]) -> list[str]:
    """The sentences beside verdicts, whose Holm correction is here over all of a metric."""
    return list(sentences([replace(each, declared=None) for each in compared]))


def _runs(arm: CombinedArm) -> list[Classification]:
    said = arm.predictions
    return [score(list(own["true"]), list(own["predicted"]), said.classes) for own in by_run(said.table)]


def _cells(
    params: Params, claims: Claims, said: Mapping[str, Predictions], labels: Mapping[str, str]
) -> list[list[str]]:
    """A row a claim: the cells that the first experiment corrects and breaks, and the share of the loss it recovers."""
    rows = []
    for claim in claims.family:
        one, other = in_order(said[claim.first], said[claim.second])
        shares, recovered = [UNDEFINED, UNDEFINED], UNDEFINED
        if common := _seeds_in_common(one, other):
            whole = help_and_harm(one.table, other.table, one.classes)[0]
            shares = [percent_with_interval(whole.helped), percent_with_interval(whole.harmed)]
        originals = _originals(params, claims, claim.second)
        if originals and originals != claim.first and common & _seeds_in_common(said[originals], other):
            recovered = ratio_with_interval(recovered_share(one, said[originals], other, claims.metric))
        rows.append([f"{labels[claim.first]} – {labels[claim.second]}", *shares, recovered])
    return rows


def _seeds_in_common(one: Predictions, other: Predictions) -> set[int]:
    """The classifier seeds that two experiments share, of SR networks of one seed where both name them."""
    keys = ["seed", *(["sr_seed"] if all("sr_seed" in each.table for each in (one, other)) else [])]
    runs, others = (each.table[keys].drop_duplicates() for each in (one, other))
    return {int(seed) for seed in runs.merge(others)["seed"]}


def _originals(params: Params, claims: Claims, baseline: str) -> str | None:
    """The experiment on originals that the study claims something of against a baseline: what SR could win."""
    return next(
        (
            each.first
            for each in claims.family
            if each.second == baseline and params.source_arm(params.classify[each.first].test).made_from == "original"
        ),
        None,
    )


def _figures(
    folder: Path,
    pieces: Sequence[Piece],
    compared: Sequence[Comparison],
    arms: Sequence[CombinedArm],
    runs: Mapping[str, Sequence[Classification]],
    classifier: str,
) -> dict[str, Figure]:
    heading = f"{pieces[0].snapshot.degradation}, {classifier}"
    note = merged_notes([each.snapshot.badge for each in pieces])
    primary = [each for each in compared if each.primary]
    findings = [Finding("", f"{each.a} – {each.b}", pieces[0].protocol, each) for each in primary]
    draw_forest(folder / "forest.png", [(heading, findings)], note)
    _scores_figure(folder / "scores.png", arms, runs, note)
    captions = {
        "forest": "Every claim of the study: the difference with its 95 % interval; the band is the margin.",
        "scores": "Macro F1 of every experiment: a dot for each SR network, a line over the range of runs.",
    }
    return {name: Figure(data_uri(folder / f"{name}.png", False), words) for name, words in captions.items()}


def _scores_figure(
    path: Path, arms: Sequence[CombinedArm], runs: Mapping[str, Sequence[Classification]], note: str
) -> None:
    """A row an experiment: a dot for each SR network, a line from the worst to the best run."""
    with new_figure(path, 8.6, 0.3 * len(arms) + 0.9, note) as figure:
        panel = figure.subplots()
        for place, arm in enumerate(arms):
            scores = [100 * each.macro_f1 for each in runs[arm.name]]
            panel.hlines(place, min(scores), max(scores), color="#999999", linewidth=1)
            means = _by_network(arm, scores)
            panel.plot(means, [place] * len(means), linestyle="", marker="o", markersize=5, color=SEQUENCE[0])
            beside(panel, place, decimal(mean_and_sd(scores)[0], 1))
        label_rows(panel, [arm.label for arm in arms])
        panel.set_xlabel(f"{NAMES['macro_f1']}, %")


def _by_network(arm: CombinedArm, scores: Sequence[float]) -> list[float]:
    """The mean score of each SR network; `scores` are of the runs in the order of `by_run`."""
    networks = [own["sr_seed"].iloc[0] if "sr_seed" in own else 0 for own in by_run(arm.predictions.table)]
    return [float(mean) for mean in pd.Series(scores).groupby(pd.Series(networks)).mean()]


def _summary(arm: CombinedArm, runs: Sequence[Classification]) -> dict[str, Any]:
    """What summary.json says of an experiment: fractions, PSNR in dB; sd over runs."""
    found: dict[str, Any] = {measure: arm.quality(measure) for measure in ("psnr", "ssim")}
    for name in SCORES:
        found[name], found[f"{name}_sd"] = mean_and_sd([getattr(each, name) for each in runs])
    images = arm.predictions.table["image"].nunique()
    return found | {"n_runs": len(runs), "n_test": images, "sr_networks": arm.networks}


def _record(arm: CombinedArm, runs: Sequence[Classification]) -> dict[str, Any]:
    """A row of comparison.csv; scores in percent."""
    found = _summary(arm, runs)
    scores = {f"{name}_percent": percent(found[name]) for each in SCORES for name in (each, f"{each}_sd")}
    return {
        "experiment": arm.name,
        "psnr": found["psnr"],
        "ssim": found["ssim"],
        "sr_networks": " ".join(map(str, arm.networks)),
        "n_runs": found["n_runs"],
        **scores,
        "results": " ".join(each.name for each in arm.pieces),
    }


def _arm_row(row: Mapping[str, Any], arm: CombinedArm) -> list[str]:
    scores = [mean_sd(row[f"{name}_percent"], row[f"{name}_sd_percent"]) for name in SCORES]
    networks = ", ".join(map(str, arm.networks)) or UNDEFINED
    made = [number(row["psnr"], 2), number(row["ssim"], 4)]
    names = ", ".join(each.name for each in arm.pieces)
    return [arm.label, names, arm.precision, networks, str(row["n_runs"]), *made, *scores]


def _verdict(found: Comparison) -> dict[str, Any]:
    values = asdict(found)
    return {"first": found.a, "second": found.b} | {name: values[name] for name in (*COLUMNS, "declared")}


def _about(piece: Piece) -> dict[str, Any]:
    about = piece.snapshot.record("about.json")
    return {"result": piece.name} | {key: about.get(key) for key in ("study", "budget", "budget_note", "commit")}


def _piece_row(piece: Piece, arms: Mapping[str, CombinedArm]) -> list[str]:
    brings = [each.label for each in arms.values() if piece in each.pieces]
    again = [each.label for each in arms.values() if piece in each.again]
    commit = str(_about(piece)["commit"])[:8]
    return [piece.name, ", ".join(brings) or UNDEFINED, ", ".join(again) or UNDEFINED, piece.snapshot.badge, commit]


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with new_file(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")


def _write_predictions(folder: Path, arm: CombinedArm) -> None:
    """NAME.csv without probabilities, whose head says which classes there are."""
    folder.mkdir(parents=True, exist_ok=True)
    classes = {f"p_{name}": "" for name in arm.predictions.classes}
    arm.predictions.table.assign(**classes).to_csv(folder / f"{arm.name}.csv", index=False, lineterminator="\n")
