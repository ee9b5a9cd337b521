"""What `leukosr app` makes of a study's own image is what the study made of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from leukosr.app.given import given_image
from leukosr.app.models import StudyModels
from leukosr.images.reading import read_rgb
from leukosr.layout import image_file

from .conftest import ARMS, Study


def test_the_arms_and_answers_of_an_image_are_those_of_the_study(inside: Study, small_resnet: None) -> None:
    layout, params = inside.layout, inside.params
    models = StudyModels(params, layout, precision="auto", device_name="cpu", most_errors=0.05)
    assert [each.name for each in models.arms] == list(ARMS) and models.missing == []
    said = pd.read_csv(layout.classify("srgan", "paper") / "predictions.csv")
    image = str(said["image"].iloc[0])
    content = image_file(layout.lr, image).read_bytes()
    given = given_image(params, content, original=False, most_pixels=10_000)
    for arm in ("raw", "bicubic", "srgan", "real_esrgan"):
        assert np.array_equal(models.version(given, arm).image, read_rgb(image_file(layout.arm(arm), image))), arm
    row = models.answer(given, "srgan/paper").row
    probabilities = [name for name in said.columns if name.startswith("p_")]
    expected = said[said["image"] == image][probabilities].mean()
    assert [row[name] for name in probabilities] == pytest.approx(expected.tolist(), abs=0.01)
