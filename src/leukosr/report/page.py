"""The report page of a study: one HTML file that needs nothing beside it, and its figures as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml

from leukosr.config import Params
from leukosr.data.splits import SPLITS, shown_name
from leukosr.files import new_file, new_folder, write_json
from leukosr.report import sections
from leukosr.report.answer import study_answer
from leukosr.report.charts import class_counts
from leukosr.report.comparer import comparer, galleries
from leukosr.report.content import Figure, Page, ProtocolPart
from leukosr.report.drawing import draw_protocol, draw_study, draw_sweep
from leukosr.report.evidence import evidence
from leukosr.report.idle import idle_sentence
from leukosr.report.pictures import data_uri
from leukosr.report.published import published_figures
from leukosr.report.quality_blocks import psnr_differences
from leukosr.report.results import StudyResults
from leukosr.report.sheet import sheet, sheet_markdown
from leukosr.report.split_effect import (
    compared_protocols,
    effect_figure,
    effect_heads,
    effect_rows,
    effect_words,
    split_effects,
)
from leukosr.report.style import budget_note
from leukosr.report.tables import comparison_table, summary
from leukosr.report.template import template
from leukosr.report.twins import twins_sentence
from leukosr.report.verdicts import Verdicts, judge, labels_of, leakage, verdict_part
from leukosr.versions import installed_versions

LARGEST = 5 * 1024 * 1024  # bytes of a page, which is sent by mail and opened on phones
COMPARER = 2 * 1024 * 1024  # bytes of the images to compare
TEXT = 512 * 1024  # bytes set aside for all that is not a picture
LISTED = 1000  # images left out that the page names; rejected.csv has all


def write_report(
    folder: Path,
    params: Params,
    results: StudyResults,
    versions: Mapping[str, str] | None = None,
    others: Sequence[StudyResults] = (),
    conf: Path = Path("conf"),
) -> Path:
    """Write the report of a study into `folder`, whose former content is replaced; returns its index.html.

    Beside index.html (self-contained: nothing is requested) stand figures/*.png, comparison.csv,
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
        pictures = draw_study(work / "figures", params, results, note)
        for each in others:
            pictures |= draw_protocol(work / "figures", each, note)
        swept = draw_sweep(work / "figures", params, results, pictures)
        compared = compared_protocols(everything)
        effects = split_effects(*compared) if compared else []
        if compared and effects:
            names = shown_name(compared[0].protocol), shown_name(compared[1].protocol)
            looks = {name: each.look for name, each in compared[0].experiments.items()}
            effect_figure(work / "figures" / "split_effect.png", effects, names, looks, note)
            uri = data_uri(work / "figures" / "split_effect.png", False)
            pictures["split_effect"] = Figure(uri, f"{effect_words(effects)} {note}")
        blocks = []
        for each in everything:
            blocks.append(evidence(work / "figures", params, each, note))
            for name, caption in (item for block in blocks[-1] for item in block.pictures.items()):
                photo = name.startswith("samples_")
                pictures[name] = Figure(data_uri(work / "figures" / f"{name}.png", photo), f"{caption} {note}")
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
        judged, shown_mistakes = judge(params, everything), galleries(params, results)
        room = LARGEST - TEXT - sum(len(each.uri) for each in pictures.values())
        room -= sum(gallery.size for gallery in shown_mistakes)
        page = Page(
            answer=study_answer(params, everything, judged),
            title=params.study.title,
            lead=sections.lead_sentence(params, results),
            precision=sections.precision_sentence(results),
            budget=budget_note(params.budget),
            budget_name=params.budget.name,
            results=results,
            protocols=[_protocol(params, *each) for each in zip(everything, tables, judged, strict=True)],
            claims=params.claims.digest if params.claims else "",
            evidence=list(zip([shown_name(each.protocol) for each in everything], blocks, strict=True)),
            split_effects=effect_rows(effects, labels_of(compared[0])) if compared else [],
            split_head=effect_heads(effects, [shown_name(each.protocol) for each in compared or ()]),
            split_words=sections.split_words(*compared) if compared else "",
            sweep=swept,
            published=published,
            published_label=published.label(params.image) if published else "",
            f1=sections.f1_by_class(results) if results.experiments else [],
            per_class=sections.class_rows(results),
            sr_rows=sections.sr_rows(params, results),
            counts=class_counts(results.manifest, results.protocol),
            main_protocol=f" (protocol {results.protocol})" if others else "",
            rejected=list(results.rejected.head(LISTED).itertuples(index=False)),
            degradation=sections.degradation_rows(params),
            caveat=params.study.caveat,
            idle=" ".join(filter(None, (idle_sentence(list(results.arms.values())), twins_sentence(everything)))),
            images=next((each.quality.n for each in results.arms.values()), 0),
            quality_words=sections.quality_words(params),
            wrapped=getattr(params.degrade, "noise", "") == "wrapped",
            params_yaml=_settings(params),
            reproduce=again,
            sheet_items=len(items),
            sheet_gaps=sum(item.answer is None for item in items),
            versions=installed,
            pictures=pictures,
            comparer=comparer(params, results, min(room, COMPARER)),
            mistakes=shown_mistakes,
        )
        shown = template("report.html.j2").render(page=page)
        for name, text in (("index.html", shown), ("sheet.md", sheet_markdown(params, items))):
            with new_file(work / name) as path:
                path.write_text(text, encoding="utf-8")
    return folder / "index.html"


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
        leakage=leakage(results.manifest, results.protocol, params),
        judged=verdict_part(results.protocol, found, labels_of(results)),
        accuracy="accuracy" if main else f"accuracy_{results.protocol}",
        confusion={}
        if main
        else {f"confusion_{results.protocol}_{name}": each.look.label for name, each in results.experiments.items()},
    )


def _settings(params: Params) -> str:
    """All parameters but those that only change speed, and what other protocols would need."""
    shown = params.model_dump(mode="json", exclude={"runtime", "find_sources", "compared_by", "starts"})
    return str(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True))
