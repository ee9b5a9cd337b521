"""What `leukosr data add` says of a folder of BreakHis."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from leukosr.config import Params
from leukosr.data.breakhis import COUNTS, NAME, check_breakhis
from leukosr.data.catalogue import Checked, SetFile

TUMOURS = {"B": "A", "M": "DC"}


def image(path: str, size: tuple[int, int] = (700, 460)) -> Checked:
    return Checked(SetFile(path, "", "all"), *size)


def named(kind: str, zoom: int, number: int, patient: str = "14-22549AB", tumour: str = "") -> str:
    folder = {"B": "benign", "M": "malignant"}[kind]
    tumour = tumour or TUMOURS[kind]
    return f"{folder}/SOB_{kind}_{tumour}_{patient}/{zoom}X/SOB_{kind}_{tumour}-{patient}-{zoom}-{number:03d}.png"


def whole() -> list[Checked]:
    """A folder with the counts of the set, 82 patient folders and 81 patients."""
    patients = {"B": [f"14-{n}" for n in range(24)], "M": [f"14-{n}" for n in range(100, 157)]}
    found = []
    for (kind, zoom), count in COUNTS.items():
        for number in range(count):
            patient = patients[kind][number % len(patients[kind])]
            tumour = "LC" if kind == "M" and patient == "14-100" and number < 100 else ""  # one has two tumours
            found.append(image(named(kind, zoom, number, patient, tumour)))
    return found


def test_the_counts_are_those_of_the_set() -> None:
    by_zoom: Counter[int] = Counter()
    for (_, zoom), count in COUNTS.items():
        by_zoom[zoom] += count
    assert by_zoom == {40: 1995, 100: 2081, 200: 2013, 400: 1820} and sum(COUNTS.values()) == 7909


def test_the_whole_set_is_said_to_be_whole_and_to_have_a_patient_with_two_tumours() -> None:
    rejected, sentences = check_breakhis(whole())
    assert not rejected and len(sentences) == 1
    assert sentences[0].startswith("the whole of BreakHis: 7,909 of 7,909 images (1,995 of 1,995 at 40X, ")
    assert sentences[0].endswith("82 of 82 patient folders, 81 patients, 1 of them with two tumours")


def test_what_a_part_of_the_set_lacks_is_counted() -> None:
    rejected, sentences = check_breakhis([each for each in whole() if "-400-" not in each.file.path][1:])
    assert not rejected
    assert sentences[0].startswith("a part of BreakHis: 6,088 of 7,909 images (1,994 of 1,995 at 40X, ")
    assert sentences[1:] == (
        "benign images at 40X: 624 instead of 625", "benign images at 400X: 0 instead of 588",
        "malignant images at 400X: 0 instead of 1,232",
    )  # fmt: skip


def test_more_images_than_were_published_and_other_sizes_are_said() -> None:
    extra = image(named("B", 40, 999), (350, 230))
    _, sentences = check_breakhis([*whole(), extra])
    assert "benign images at 40X: 626 instead of 625; more than were published" in sentences
    assert any(
        " images do not have the published sizes" in each and each.startswith("1 of ") and "230x350" in each
        for each in sentences
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("benign/x/40X/scan 1.png", "is not named like an image of BreakHis"),
        ("benign/x/100X/SOB_B_A-14-22549AB-40-001.png", "lies in 100X, which its name contradicts"),
        ("malignant/x/40X/SOB_B_A-14-22549AB-40-002.png", "lies in malignant, which its name contradicts"),
    ],
)
def test_a_file_that_contradicts_the_set_is_refused_by_name(path: str, reason: str) -> None:
    rejected, sentences = check_breakhis([image(named("B", 40, 1)), image(path)])
    assert [(each.path, each.reason) for each in rejected] == [(path, reason)]
    assert "1 of 7,909 images" in sentences[0]


def test_other_sets_are_left_alone() -> None:
    assert check_breakhis([image("EOSINOPHIL/_0_1.jpeg"), image("MONOCYTE/_0_2.jpeg")]) == ([], ())


def test_the_study_takes_the_patient_from_the_name_whatever_tumour_and_magnification(
    compose_params: Callable[..., Params],
) -> None:
    pattern = compose_params("study=histopathology").prepare.source_pattern
    assert pattern is not None
    for kind, zoom, tumour in (("B", 40, "A"), ("B", 400, "PT"), ("M", 100, "DC"), ("M", 200, "LC")):
        name = named(kind, zoom, 7, "14-13412", tumour).rsplit("/", 1)[-1]
        found, parsed = re.search(pattern, name), NAME.fullmatch(name.removesuffix(".png"))
        assert found and parsed and found[1] == parsed["patient"] == "14-13412"
