"""Published snapshots judged again from the predictions beside them, when the rules of judging have changed."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from leukosr.data.splits import SPLITS, shown_name
from leukosr.errors import LeukoError
from leukosr.evaluate.arms.declared import compare_declared, place_in_family
from leukosr.evaluate.arms.pairs import pair
from leukosr.evaluate.arms.predictions import Predictions
from leukosr.evaluate.arms.sample_size import sample_size
from leukosr.evaluate.arms.significance import Comparison, compare, enough_runs
from leukosr.evaluate.arms.split_effect import split_effect
from leukosr.evaluate.arms.two_way import METRICS
from leukosr.files import new_file
from leukosr.quoting import MINUS, require_folder
from leukosr.report.answer import Answer, verdict_answer
from leukosr.report.comparisons import NAMES
from leukosr.report.drawing import SWEEP_FIGURES
from leukosr.report.evidence import assay_sentences
from leukosr.report.pictures import data_uri
from leukosr.report.snapshot import TABLE, Snapshot
from leukosr.report.split_effect import effect_figure, effect_heads, effect_rows, effect_words
from leukosr.report.style import Look, free_colours
from leukosr.report.template import FOLDER, page_script, template
from leukosr.report.verdicts import Verdicts, named, verdict_part
from leukosr.versions import git_commit
from leukosr.yaml_file import read_yaml

END = r'(?=<h3>|<p class="soft">(?:Accuracy and macro F1: mean|The study declares))'
VERDICT = re.compile(r'<th scope="row">([^<]*) – ([^<]*)</th><td>([^<]*)</td><td>([^<]*)</td>')
EXPLORATORY = " (exploratory)"  # says what is asked, not what is found
PRIMARY = " (primary)"
DECLARED = re.compile(r'<p class="soft">The comparisons without the mark .*?</p>\n')
NOTE = re.compile(r"<p><strong>Judged again .*?</strong></p>\n", re.DOTALL)
RULE = re.compile(
    r"Differences are paired by seed, .*?<em>inconclusive</em>\.( Fewer than six [^<]*? lie apart\.)?", re.DOTALL
)
BADGE = r'<p class="badge">([^<]*)</p>'
MINUS_SIGN = re.compile(r"(?<![^\s(])-(?=\d)")
MINUS_ZERO = re.compile(r"(?<![^\s(])[-+−](?=0(?:\.0+)?(?![.\d]))")
TRIALS = re.compile(r'<section id="chance">\n<h2>[^<]*</h2>\n<p>(\d+) trials')
ASSAY = ("ground_truth", "bicubic")  # the arms of published studies whose difference an arm by SR could win


def judge_again(folder: Path, today: date) -> list[str]:
    """Bring the verdicts and the effect of the split on a snapshot's page up to the rules of today.

    The page gets its answer at the top, today's style and script, the words of today for its budget, and true minus
    signs; it loses the figures of a sweep of too few trials. All else stays. Where a verdict or one of its figures
    differs, the page says when it was judged again and what it said before. Returns the verdicts that changed, a
    sentence each. Raises LeukoError for a folder that is no snapshot of a study with verdicts.
    """
    require_folder(folder, "name a snapshot, e.g. results/case1-leakage")
    snapshot = Snapshot(folder)
    if not (folder / "index.html").is_file() or not snapshot.protocols:
        raise LeukoError(f"{folder} has no page with verdicts: name a snapshot that `leukosr publish` wrote")
    page, badge, changed, judged = snapshot.page, html.escape(snapshot.badge), [], {}
    blocks = {each: _block(page, each) for each in snapshot.protocols}
    said = {each: snapshot.predictions(each) for each in snapshot.protocols}
    for protocol, found in _compared(snapshot, blocks, said).items():
        old = blocks[protocol]
        new, differing = _judged(snapshot, protocol, old, said[protocol], found, today)
        judged[protocol] = named(found, snapshot.labels(protocol))
        page = page.replace(old, new)
        changed += [f"{folder.name}, {protocol}: {each}" for each in differing]
    words = template("verdicts.html.j2").module.rule().strip()  # type: ignore[attr-defined]
    page = RULE.sub(lambda _: words, page)
    if "Scores under both protocols" in page:
        page = _with_split_effects(snapshot, page)
    page = _without_intervals_of_few_trials(snapshot, page)
    if snapshot.params.get("claims"):
        page = VERDICT.sub(_marked, page)
    page = page.replace(re.findall(BADGE, page)[0], badge)
    page = _with_answer(page, verdict_answer(judged, snapshot.of_sr, snapshot.params["study"].get("caveat")))
    with new_file(folder / "index.html") as path:
        path.write_text(_with_minus_signs(page), encoding="utf-8")
    return changed


def _block(page: str, protocol: str) -> str:
    """The part of the page that holds the verdicts of one protocol."""
    block = re.compile(rf'<div[^>]*aria-label="Differences between \w+, {protocol}".*?{END}', re.DOTALL)
    return next(block.finditer(page))[0]


def _compared(
    snapshot: Snapshot, blocks: Mapping[str, str], said: Mapping[str, Mapping[str, Predictions]]
) -> dict[str, list[Comparison]]:
    """What the page compares under each protocol, by today's rules; declared claims are one family across protocols."""
    primary = next(metric for *_, metric, first, _ in _rows(next(iter(blocks.values()))) if first)
    metric = next(each for each in METRICS if NAMES[each] == primary)
    asked = [(protocol, a, b) for protocol, old in blocks.items() for a, b in _asked(snapshot, protocol, old)]
    origins = [(snapshot.origin(a, protocol), snapshot.origin(b, protocol)) for protocol, a, b in asked]
    pairs = [pair(said[protocol][a], said[protocol][b]) for protocol, a, b in asked]
    first = origins[0][0]
    owners = [protocol for protocol, _, _ in asked]
    if first is None:
        return {
            own: compare(
                [each for each, owner in zip(pairs, owners, strict=True) if owner == own], metric, snapshot.margin
            )
            for own in blocks
        }
    found = compare_declared(pairs, [place_in_family(*both) for both in origins], first.claims, metric, snapshot.margin)
    each_owner = owners * len(METRICS)
    return {own: [each for each, owner in zip(found, each_owner, strict=True) if owner == own] for own in blocks}


def _asked(snapshot: Snapshot, protocol: str, old: str) -> list[tuple[str, str]]:
    """The pairs of experiments in the tables of one protocol."""
    names = {label: name for name, label in snapshot.labels(protocol).items()}
    return list(dict.fromkeys((names[a], names[b]) for a, b, *_ in _rows(old)))


def _judged(
    snapshot: Snapshot,
    protocol: str,
    old: str,
    arms: Mapping[str, Predictions],
    found: Sequence[Comparison],
    today: date,
) -> tuple[str, list[str]]:
    """The verdicts of one protocol as a part of the page, and which differ from those in the part `old`.

    A part whose tables say the same to the last digit is left as it is.
    """
    labels = snapshot.labels(protocol)
    said = {(a, b, metric): word for a, b, metric, _, word in _rows(old)}
    metric = next(each.metric for each in found if each.primary)
    part = verdict_part(protocol, Verdicts(tuple(found), tuple(map(sample_size, arms.values()))), labels)
    shown = str(template("verdicts.html.j2").module.verdicts(part))  # type: ignore[attr-defined]
    if _verdict_rows(shown) == _verdict_rows(old):
        return old, []
    if set(ASSAY) <= set(arms) and ("<h3>Could this design show" not in snapshot.page or "effect of SR?" in old):
        pairs = [pair(*(arms[name] for name in ASSAY))]
        room = next(each for each in compare(pairs, metric, snapshot.margin) if each.primary)
        sentences = assay_sentences(replace(room, a=labels[room.a], b=labels[room.b]))
        shown += f"<p>Could this design show an effect of SR? {html.escape(' '.join(sentences))}</p>\n"
    declared = DECLARED.search(old)
    if declared is not None:
        shown += declared[0]
    elif not snapshot.params.get("claims") and "The study declares no claims" not in snapshot.page:
        shown += "<p>The study declared no claims before its first run, so every verdict is exploratory.</p>\n"
    now = {(a, b, metric): word for a, b, metric, _, word in _rows(shown)}
    changed = [
        f"{a} – {b}, {metric}: {said[a, b, metric]} -> {word}"
        for (a, b, metric), word in now.items()
        if said[a, b, metric].removesuffix(EXPLORATORY) != word.removesuffix(EXPLORATORY)
    ]
    note = NOTE.search(old)
    if note is not None and not changed:
        return shown + note[0], []
    before = "; ".join(f"{a} – {b}, {metric}: {said[a, b, metric]}" for a, b, metric in now)
    return (
        f"{shown}<p><strong>Judged again on {today.isoformat()} from the stored predictions, by the rules of commit "
        f"{git_commit()[:7]}; {len(changed)} of {len(now)} verdicts changed. Before: {html.escape(before)}."
        "</strong></p>\n"
    ), changed


def _verdict_rows(part: str) -> list[list[str]]:
    """The words and figures of every row about two experiments."""
    rows = re.findall(r'<tr><th scope="row">[^<]* – .*?</tr>', part, re.DOTALL)
    return [re.sub(r"(?:<[^>]*>)+", "|", _with_minus_signs(row)).split("|") for row in rows]


def _marked(row: re.Match[str]) -> str:
    """A verdict by the metric that was not declared, with its mark, wherever on the page it stands."""
    *_, word, metric = row.groups()
    if metric not in NAMES.values() or word.endswith(EXPLORATORY):
        return row[0]
    return row[0].replace(f"<td>{word}</td>", f"<td>{word}{EXPLORATORY}</td>")


def _with_answer(page: str, answer: Answer) -> str:
    """The page with its answer at the top, and with the style and the script of today's pages."""
    box = str(template("answer.html.j2").module.box(answer))  # type: ignore[attr-defined]
    style, script = (FOLDER / "page.css").read_text(encoding="utf-8"), page_script()
    page = re.sub(r'<section id="answer".*?</section>\n', "", page, flags=re.DOTALL)
    page = re.sub(r"<script>.*?</script>\n", "", page, flags=re.DOTALL)
    sheet = f"<style>\n{style.rstrip()}"
    page = re.sub(r"<style>.*?(\s*</style>)", lambda old: sheet + old[1], page, count=1, flags=re.DOTALL)
    page = re.sub(r"style-src 'unsafe-inline'[^\"]*", f"style-src 'unsafe-inline'; script-src {script.source}", page)
    page = page.replace("</h1>\n", f"</h1>\n{box}", 1)
    return page.replace("</main>\n", f"</main>\n<script>{script.text}</script>\n")


def _without_intervals_of_few_trials(snapshot: Snapshot, page: str) -> str:
    """The page without the figures of a sweep that has too few trials for their intervals; their files go, too.

    The trials are not in the snapshot, so the figures cannot be drawn anew. Pages of today draw no intervals of few
    trials, and no differences.
    """
    trials = TRIALS.search(page)
    if trials is None or enough_runs(int(trials[1])) or SWEEP_FIGURES["differences"] not in page:
        return page
    for name in ("components", "differences"):
        caption = re.escape(SWEEP_FIGURES[name])
        figure = rf'<figure>\n<img src="[^"]*" alt="{caption}[^"]*">\n<figcaption>[^<]*</figcaption>\n</figure>\n*'
        page = re.sub(figure, "", page)
        (snapshot.folder / "figures" / f"sweep_{name}.png").unlink(missing_ok=True)
    return page


def _with_minus_signs(page: str) -> str:
    """The page with true minus signs before numbers in text, none before zero; what is code, or within a tag, stays."""
    parts = re.split(r"(<(?:style|script|pre|code)\b.*?</(?:style|script|pre|code)>|<[^>]*>)", page, flags=re.DOTALL)
    return "".join(
        MINUS_SIGN.sub(MINUS, MINUS_ZERO.sub("", part)) if i % 2 == 0 else part for i, part in enumerate(parts)
    )


def _rows(part: str) -> Iterator[tuple[str, ...]]:
    """First and second experiment, metric, whether it is primary, and verdict of each row of a table of verdicts."""
    for row in VERDICT.findall(part):
        first, second, *cells = (html.unescape(cell) for cell in row)
        # older pages have the metric before the verdict
        metric, word = sorted(cells, key=lambda cell: cell.removesuffix(PRIMARY) not in NAMES.values())
        yield first, second, metric.removesuffix(PRIMARY), PRIMARY if metric.endswith(PRIMARY) else "", word


def _first_edition_looks() -> dict[str, Any]:
    """The looks of the project's own arms, which parameters of the first edition do not hold."""
    looks = [read_yaml(path).get("report", {}).get("looks", {}) for path in sorted(Path("conf/arms").glob("*.yaml"))]
    return {name: look for each in looks for name, look in each.items()}


def _colours(arms: Sequence[str], experiments: Sequence[str], known: Mapping[str, Any]) -> dict[str, str]:
    """Colours by name as the report gives them: first to arms, then, of what is left, to experiments of other names."""
    own = {name: known.get(name, {}).get("colour") for name in (*arms, *experiments)}
    free = free_colours({own[name] for name in arms})
    own |= {name: own[name] or next(free) for name in arms}
    free = free_colours(set(own.values()))
    return {name: colour or next(free) for name, colour in own.items()}


def _with_split_effects(snapshot: Snapshot, page: str) -> str:
    """The page with today's intervals of what the split alone does; draws their figure anew."""
    first, second = (
        next(each for each in snapshot.protocols if SPLITS[each].disjoint is kept) for kept in (False, True)
    )
    labels, mixed, disjoint = snapshot.labels(first), snapshot.predictions(first), snapshot.predictions(second)
    effects = [effect for name in mixed if name in disjoint for effect in split_effect(mixed[name], disjoint[name])]
    alt = re.search(r'src="([^"]*)" alt="(Test accuracy of [^"]* under both protocols[^.]*\. )', page)
    if alt is None:
        raise LeukoError(f"{snapshot.folder}: its page has no figure of what the split alone does")
    note = html.unescape(page[alt.end() : page.index('"', alt.end())])
    known = {**_first_edition_looks(), **snapshot.params["report"].get("looks", {})}
    arms = [*snapshot.params.get("upscale", {}), *snapshot.params.get("extract", {})]
    given = _colours(arms, [*snapshot.params.get("classify", {}), *labels], known)
    looks = {name: Look(label, given[name]) for name, label in labels.items()}
    figure = snapshot.folder / "figures" / "split_effect.png"
    names = shown_name(first), shown_name(second)
    effect_figure(figure, effects, names, looks, note)
    table = template("verdicts.html.j2").module.table(  # type: ignore[attr-defined]
        effect_heads(effects, names), effect_rows(effects, labels), "Scores under both protocols", 2
    )
    page = page.replace(alt[1], data_uri(figure, False)).replace(alt[2], f"{effect_words(effects)} ")
    return re.sub(TABLE.format("Scores under both protocols"), lambda _: str(table), page, flags=re.DOTALL)
