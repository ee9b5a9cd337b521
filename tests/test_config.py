from __future__ import annotations

import copy
import pickle
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError
from pydantic import ValidationError
from tests.conftest import compose_from

from leukosr.config import Filtered, Jpeg, Params, Trained, load_params, parse_params
from leukosr.data.splits import SEVERAL, SPLITS
from leukosr.degradation import DEGRADATIONS, CapstoneSettings, SecondOrderSettings
from leukosr.errors import LeukoError
from leukosr.images.filters import FILTERS
from leukosr.stages.degrade import degradation_settings
from leukosr.stages.sweep import _own_epochs
from leukosr.superres.methods import METHODS
from leukosr.superres.networks import GENERATORS

CONF = Path(__file__).resolve().parent.parent / "conf"
STUDIES = sorted(path.stem for path in (CONF / "study").glob("*.yaml"))
BUDGETS = sorted(path.stem for path in (CONF / "budget").glob("*.yaml"))
QUICK = ("smoke",)  # all others with the slow tests
# a budget that begins with another differs from it in a few values that no study chooses by
BASES = [name for name in BUDGETS if "defaults" not in yaml.safe_load((CONF / "budget" / f"{name}.yaml").read_text())]
WITH_ALL = ("case1", "demo_sr", "pbc_answer", "pbc_answer_probe")
DEGRADATION_FILES = sorted(path.stem for path in (CONF / "degrade").glob("*.yaml"))
ALL_ARMS = ("raw", "bicubic", "srgan", "real_esrgan", "ground_truth")
VARIANTS = {  # files of arms by another training, and the arms they give
    "denoise_narrow": "denoise",
    "real_esrgan_finetuned": "real_esrgan",
    "real_esrnet_narrow": "real_esrnet",
    "srgan_whole": "srgan",
    "task_driven_narrow": "task_driven",
}
# of an arm by one network per class no image is compared, which its study must say; the other gives the arm unsharp
APART = {*VARIANTS, "srgan_keras_classes", "unsharp_enlarged"}
MISSING = object()
COMPOSED = "params.yaml was composed from conf/ (conf/study/demo.yaml) and -S settings, so put it right there"


@pytest.fixture(scope="session")
def demo(compose_raw: Callable[..., Any]) -> Any:
    return compose_raw("study=demo", "budget=smoke")


@pytest.fixture(scope="session")
def with_a_filter(compose_raw: Callable[..., Any]) -> Any:
    """An arm of every kind but a foreign weight file, and one that is written as JPEG."""
    return compose_raw(
        "study=demo",
        f"arms=[{','.join((*ALL_ARMS, 'unsharp'))}]",
        "upscale.raw.file={jpeg: 90}",
        "upscale.raw.size=[16, 16]",
    )


def of_budget(*names: str) -> Any:
    return pytest.param(*names, marks=() if names[-1] in QUICK else pytest.mark.slow)


def changed(raw: Any, key: str, value: Any) -> Any:
    """A copy of the parsed params.yaml in which one dotted key has another value, or none if MISSING."""
    raw = copy.deepcopy(raw)
    *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    section = raw
    for part in parents:
        section = section[part]
    if value is MISSING:
        del section[last]
    else:
        section[last] = value
    return raw


def refusal(raw: Any) -> str:
    with pytest.raises(LeukoError) as error:
        parse_params(raw, "params.yaml")
    return str(error.value)


@pytest.mark.parametrize(
    ("study", "budget"),
    [of_budget(study, budget) for study in STUDIES for budget in (BUDGETS if study in WITH_ALL else BASES)],
)
def test_every_study_composes_with_every_budget(compose_params: Callable[..., Params], study: str, budget: str) -> None:
    params = compose_params(f"study={study}", f"budget={budget}")
    assert (params.study.name, params.budget.name) == (study, budget)
    assert bool(params.classify) == params.study.classifies
    on_images = [each.classifier for each in params.classify.values() if not each.classifier.on_features]
    assert {each.epochs for each in on_images} <= {params.budget.classify.epochs}
    assert not params.study.classifies or params.prepare.per_class == params.budget.per_class
    for training in params.train_sr.values():
        assert training.batch == training.sizes["batch"]


@pytest.mark.parametrize("budget", [of_budget(budget) for budget in BASES])
@pytest.mark.parametrize("study", ["case1", "case1_published", "case2", "demo", "demo_sr", "pbc"])
def test_the_published_studies_have_five_arms(compose_params: Callable[..., Params], study: str, budget: str) -> None:
    params = compose_params(f"study={study}", f"budget={budget}")
    assert params.arms == ALL_ARMS
    assert tuple(params.classify) == (ALL_ARMS if params.study.classifies else ())
    srgan = params.train_sr["srgan"]
    assert srgan.stages[0].iterations == srgan.sizes["iterations"]
    real_esrgan = params.train_sr["real_esrgan"]
    found = {stage.name: stage.iterations for stage in real_esrgan.stages}
    if study in {"case1_published", "case2"}:
        assert found.keys() == {"gan"}, "fine-tuned"
    else:
        assert found == {stage: real_esrgan.sizes[f"{stage}_iterations"] for stage in ("net", "gan")}


def test_the_answer_fine_tunes_the_published_network_on_a_cpu_too(compose_params: Callable[..., Params]) -> None:
    """docs/answer_in_detail.md: 23 blocks, 250 steps of 8 patches."""
    train = compose_params("study=pbc_answer", "budget=answer").train_sr["real_esrgan"]
    assert train.start == "pretrained/realesrgan_x4plus" and train.generator.model_dump()["blocks"] == 23
    assert (train.stages[0].iterations, train.batch, train.patch) == (250, 8, 128)


@pytest.mark.parametrize("study", STUDIES)
def test_no_study_overrides_a_column_of_sizes_which_nothing_would_read(
    compose_raw: Callable[..., Any], study: str
) -> None:
    for train in compose_raw(f"study={study}", "budget=cpu")["train_sr"].values():
        assert not [name for name, value in train.get("sizes", {}).items() if isinstance(value, dict)]


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_a_budget_changes_neither_method_nor_sizes(compose_params: Callable[..., Params], study: str) -> None:
    chosen = [compose_params(f"study={study}", f"budget={budget}") for budget in BASES]
    for params in chosen[1:]:
        assert params.image == chosen[0].image
        assert params.degrade == chosen[0].degrade
        for name, training in params.train_sr.items():
            assert training.model_dump().get("losses") == chosen[0].train_sr[name].model_dump().get("losses")


@pytest.mark.parametrize(
    ("study", "method"),
    [
        *(("demo", method) for method in DEGRADATION_FILES),
        *(pytest.param(study, "second_order", marks=pytest.mark.slow) for study in STUDIES),
    ],
)
def test_a_study_takes_any_degradation(compose_params: Callable[..., Params], study: str, method: str) -> None:
    params = compose_params(f"study={study}", f"degrade={method}")
    settings = degradation_settings(params)
    assert type(settings) is DEGRADATIONS[params.degrade.method].Settings
    assert settings.scale == params.image.scale


def test_the_second_order_file_states_the_published_defaults(compose_params: Callable[..., Params]) -> None:
    assert degradation_settings(compose_params("degrade=second_order")) == SecondOrderSettings()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "degrade.first.sigma=[3,1]",
            "degrade.first: the degradation setting sigma is (3.0, 1.0), expected an ascending",
        ),
        ("degrade.second.resize.up=0.9", "degrade.second.resize: the degradation setting resize is (0.9, 0.4, 0.3)"),
        ("degrade.final_kernel_sizes=[8]", "degrade: the degradation setting final_kernel_sizes is (8,)"),
        ("~degrade.first.kernel_sizes", "key 'degrade.first.kernel_sizes' is missing: add it"),
        ("+degrade.scale=4", "unknown key 'degrade.scale': remove it"),  # image.scale is the one
    ],
)
def test_what_a_degradation_refuses_is_refused_when_params_are_read(
    compose_raw: Callable[..., Any], override: str, message: str
) -> None:
    assert message in refusal(compose_raw("degrade=second_order", override))


def test_the_capstone_file_states_the_published_defaults(compose_params: Callable[..., Params]) -> None:
    assert degradation_settings(compose_params("degrade=capstone")) == CapstoneSettings()


@pytest.mark.parametrize("method", ["bicubic", "capstone"])
def test_scale_reaches_every_degradation_and_the_kernel_only_capstone(
    compose_params: Callable[..., Params], method: str
) -> None:
    kernel = {"bicubic": "opencv_bicubic", "capstone": "pillow_bicubic"}[method]  # not the default of the method
    settings = degradation_settings(compose_params(f"degrade={method}", "image.scale=2", f"image.kernel={kernel}"))
    assert (settings.scale, settings.kernel) == (2, "pillow_bicubic")  # bicubic LR is anti-aliased whatever the kernel


@pytest.mark.parametrize(("study", "noise"), [("demo", "wrapped"), ("demo", "gaussian"), ("case1", "gaussian")])
def test_the_noise_is_one_override(compose_params: Callable[..., Params], study: str, noise: str) -> None:
    assert degradation_settings(compose_params(f"study={study}", f"degrade.noise={noise}")).noise == noise


RECIPES = sorted(path.stem for path in (CONF / "classifier").glob("*.yaml"))


@pytest.mark.parametrize("recipe", [RECIPES[0], *(pytest.param(name, marks=pytest.mark.slow) for name in RECIPES[1:])])
def test_a_study_takes_any_classifier_and_arm(compose_params: Callable[..., Params], recipe: str) -> None:
    arms = sorted({path.stem for path in (CONF / "arms").glob("*.yaml")} - APART)
    params = compose_params(f"classifier={recipe}", f"arms=[{','.join(arms)}]", "budget=paper")
    assert sorted(params.arms) == arms
    assert all(params.classify[arm].classifier == params.classifier for arm in arms)


def test_arms_on_luminance_enlarge_in_fp32(compose_params: Callable[..., Params]) -> None:
    arms = {path.stem for path in (CONF / "arms").glob("*.yaml")} - APART
    params = compose_params(f"arms=[{','.join(sorted(arms))}]", "budget=paper")
    trained = {name: arm for name, arm in params.upscale.items() if isinstance(arm, Trained)}
    settings = {name: params.train_sr[arm.training] for name, arm in trained.items()}
    on_luminance = {
        name
        for name, own in settings.items()
        if GENERATORS[own.architecture].contract.channels == "luminance" or getattr(own.generator, "channels", 3) == 1
    }
    assert {name for name, arm in trained.items() if arm.precision == "fp32"} == on_luminance


@pytest.mark.parametrize(("file", "arm"), VARIANTS.items())
def test_a_variant_gives_the_arm_and_another_training(
    compose_params: Callable[..., Params], file: str, arm: str
) -> None:
    plain, variant = (compose_params(f"arms=[{name}]", "budget=gpu") for name in (arm, file))
    assert (variant.upscale, variant.classify) == (plain.upscale, plain.classify)
    assert variant.train_sr[arm].method == plain.train_sr[arm].method
    assert variant.train_sr[arm] != plain.train_sr[arm]


def test_a_narrow_network_is_narrow_at_every_budget(compose_params: Callable[..., Params]) -> None:
    for budget in ("smoke", "cpu", "gpu", "paper"):
        params = compose_params("arms=[denoise_narrow,real_esrnet_narrow,task_driven_narrow]", f"budget={budget}")
        sizes = [each.generator.model_dump() for each in params.train_sr.values()]
        assert [(each["features"], each["blocks"]) for each in sizes] == [(32, 3)] * 3


def test_unsharp_masking_may_be_enlarged(compose_params: Callable[..., Params]) -> None:
    plain, enlarged = (compose_params("study=demo", f"arms=[{name}]") for name in ("unsharp", "unsharp_enlarged"))
    size = (plain.image.height, plain.image.width)
    assert enlarged.upscale["unsharp"] == plain.upscale["unsharp"].model_copy(update={"size": size})


def test_the_published_recipe_is_a_set_of_switches(compose_params: Callable[..., Params]) -> None:
    better, published = compose_params("study=case1", "budget=paper"), compose_params("study=case2", "budget=paper")
    assert (better.degrade.file, better.upscale["srgan"].file) == ("png", "png")
    assert (published.degrade.file, published.upscale["srgan"].file) == (Jpeg(jpeg=95), Jpeg(jpeg=75))
    assert published.upscale["ground_truth"].shows_originals(published.image)
    assert (better.train_sr["srgan"].patch, published.train_sr["srgan"].patch) == (128, None)
    assert (better.classifier.normalisation, published.classifier.normalisation) == ("imagenet", "unit")
    assert (better.image.degraded_at, published.image.degraded_at) == (None, (575, 575))
    assert published.image.lr_size == (144, 144)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["image.degraded_at=[572,575]"], "degraded_at = [572, 575]: 572 pixels give LR of 143, as an HR side of 576"),
        (["degrade.on_the_fly=true"], "degrade.on_the_fly = true: draws LR at the HR size"),
        (["degrade.file={jpeg:0}"], "degrade.file.jpeg = 0"),
        (["image.arm_file=gif"], "image.arm_file = 'gif': input should be png, npy, or {jpeg: QUALITY}"),
        (["train_sr.srgan.patch=null", "train_sr.srgan.flips=true", "image.height=288", "image.degraded_at=null"],
         "train_sr.srgan.flips = true: whole images of 288x576 cannot be turned"),
        (["train_sr.srgan.flips=vertical"], "train_sr.srgan.flips"),
    ],
)  # fmt: skip
def test_switches_that_cannot_be_are_refused(
    compose_raw: Callable[..., Any], overrides: list[str], message: str
) -> None:
    assert message in refusal(compose_raw("study=case2", *overrides))


def test_arms_can_be_chosen_and_bring_no_needless_training(compose_params: Callable[..., Params]) -> None:
    params = compose_params("arms=[raw,bicubic]")
    assert params.arms == ("raw", "bicubic")
    assert params.train_sr == {}
    assert set(compose_params("arms=[srgan]").train_sr) == {"srgan"}


def test_an_unknown_arm_is_refused_when_composing(compose_raw: Callable[..., Any]) -> None:
    with pytest.raises(MissingConfigException, match="arms/edsr"):
        compose_raw("arms=[raw,edsr]")


def test_an_arm_may_have_any_name_that_a_folder_and_a_stage_can_have(demo: Any) -> None:
    arms = [*ALL_ARMS, "raw_2"]
    raw = changed(demo, "upscale.raw_2", demo["upscale"]["raw"])
    raw = changed(raw, "compared", arms)
    assert parse_params(raw, "params.yaml").arms == tuple(arms)
    assert refusal(changed(demo, "upscale.raw 2", demo["upscale"]["raw"])) == (
        "params.yaml: upscale.raw 2 = 'raw 2': only lower-case letters, digits and _"
    )


# key, value, what the message must say beside `key`
WRONG = [
    ("classifier.weights", "", ["''", "imagenet_v2 or pretrained/NAME"]),
    ("classifier.learning_rate", -0.001, ["-0.001", "greater than 0"]),
    ("train_sr.srgan.stages.0.learning_rate", -1, ["-1", "greater than 0"]),
    ("train_sr.srgan.stages.0.betas.1", 1.0, ["1.0", "less than 1"]),
    ("degrade.noise", "pink", ["'pink'", "'wrapped' or 'gaussian'"]),
    ("degrade.jpeg_quality", 101, ["101", "less than or equal to 100"]),
    ("degrade.method", "blur", ["'blur'", "'capstone', 'bicubic', 'second_order'"]),
    ("image.kernel", "lanczos", ["'lanczos'", "'opencv_bicubic', 'pillow_bicubic' or 'bilinear'"]),
    ("image.enlarging", "bilinear", ["'bilinear'", "'opencv_bicubic' or 'pillow_bicubic'"]),
    ("image.scale", 3, ["3", "2, 4 or 8"]),
    ("upscale.srgan.tile", -1, ["-1", "greater than or equal to 0"]),
    ("upscale.raw", 3, ["3", "input should be a section, with keys of its own"]),
    ("upscale.raw.from", "high", ["'high'", "'low' or 'original'"]),
    (
        "upscale.raw.by",
        "magic",
        ["'magic'", "'nothing', 'kernel', 'colour_map', 'filter', 'training', 'class_trainings', 'file'"],
    ),
    ("upscale.raw.size.0", 4, ["4", "greater than or equal to 8"]),
    ("upscale.raw.file", "jpg", ["'jpg'", "png, npy, or {jpeg: QUALITY} with a quality from 1 to 100"]),
    ("upscale.raw.file.jpeg", 101, ["101", "less than or equal to 100"]),
    ("report.looks.raw.colour", "red", ["'red'", "a colour like #56B4E9"]),
    ("upscale.bicubic.kernel", "lanczos", ["'lanczos'", "'opencv_bicubic', 'pillow_bicubic', 'bilinear' or 'area'"]),
    ("upscale.unsharp.filter", "blur", ["'blur'", "'unsharp', 'clahe', 'median'"]),
    ("upscale.unsharp.amount", 11, ["11", "less than or equal to 10"]),
    ("upscale.srgan.training", "edsr", ["'edsr'", "no such training", "srgan, real_esrgan"]),
    ("runtime.workers", 0, ["0", "'auto'", "greater than or equal to 1"]),
    ("runtime.device", "gpu", ["'gpu'", "'auto', 'cpu' or 'cuda'"]),
    ("study.name", "My Study", ["'My Study'", "lower-case letters, digits and _"]),
    ("study.seeds", [], ["[]", "at least 1"]),
    ("budget.precision", "fp16", ["'fp16'", "'auto', 'fp32' or 'bf16'"]),
    ("prepare.sr_fraction", 1.0, ["1.0", "less than 1"]),
    ("prepare.per_class.classifier", 1, ["1", "greater than or equal to 2"]),
    ("train_sr.srgan.losses.image", float("inf"), ["inf", "finite"]),
    ("budget.name", True, ["True", "YAML reads yes, no", "quotes"]),
    ("budget.name", 1.5, ["1.5", "put it in quotes"]),
    ("study.seed", 2**53, ["9007199254740992", "less than 9007199254740992"]),
    ("degrade.noise_sigma", float("nan"), ["nan", "finite"]),
    ("study.seed", True, ["True", "input should be a number", "YAML reads yes, no"]),
    ("prepare.classes", ["neutrophil", "Neutrophil"], ["each class may stand in it once"]),
    ("prepare.classes", [], ["at least 1 item"]),
]


@pytest.mark.parametrize(("key", "value", "said"), WRONG, ids=[key for key, _, _ in WRONG])
def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed(
    with_a_filter: Any, key: str, value: Any, said: list[str]
) -> None:
    message = refusal(changed(with_a_filter, key, value))
    assert f"{key} = " in message
    for part in said:
        assert part in message
    assert "unknown key" not in message  # one mistake, one complaint


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (None, "holds nothing, not the sections of a study"),
        ([1], "holds a list, not the sections of a study"),
        ("a", "holds 'a', not the sections of a study"),
    ],
)
def test_what_has_no_sections_is_no_params(raw: Any, said: str) -> None:
    with pytest.raises(LeukoError, match=f"conf {said}: compose it with `dvc exp run"):
        parse_params(raw, "conf")


@pytest.mark.parametrize("name", ["study", "degrade", "prepare", "train_sr", "claims"])
def test_what_stands_for_a_section_is_named(demo: Any, name: str) -> None:
    assert f"{name} = 3: input should be a section, with keys of its own" in refusal(changed(demo, name, 3))


def test_an_older_version_is_told_even_where_its_sections_are_damaged() -> None:
    with pytest.raises(LeukoError, match=r"conf is of an older version, .* study=NAME -S budget=NAME"):
        parse_params({"study": "x", "classify": {"backbone": "a"}}, "conf")


def test_a_truth_value_that_experiments_copy_is_told_once(compose_raw: Callable[..., Any]) -> None:
    with pytest.raises(LeukoError) as refused:
        parse_params(compose_raw("classifier.epochs=true"), "conf")
    assert str(refused.value).startswith("conf: classifier.epochs = True: input should be a number; YAML reads")
    assert str(refused.value).count(" = ") == 1


def test_a_value_that_experiments_copy_is_told_once(compose_raw: Callable[..., Any]) -> None:
    with pytest.raises(LeukoError) as refused:
        parse_params(compose_raw("classifier.learning_rate=-1"), "conf")
    assert str(refused.value) == "conf: classifier.learning_rate = -1: input should be greater than 0"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["upscale.srgan.tile=16", "upscale.srgan.overlap=15"], "overlap 15 must be smaller than tile 16 by 2 pixels"),
        (["upscale.srgan.tile=2", "upscale.srgan.overlap=0"], "tile is 2: give 0, for whole images, or 4 or more"),
        (
            [f"train_sr.real_esrgan.losses.{name}=0" for name in ("image", "adversarial", "perceptual")],
            "image, adversarial, perceptual are all 0, so nothing would be learned: give one a weight above 0",
        ),
    ],
)
def test_settings_that_cannot_be_together_are_refused_before_anything_runs(
    compose_raw: Callable[..., Any], overrides: list[str], message: str
) -> None:
    with pytest.raises(LeukoError, match=rf"(upscale\.srgan|train_sr\.real_esrgan\.losses).*{message}"):
        parse_params(compose_raw(*overrides), "conf")


def test_an_experiment_under_an_unknown_protocol_is_refused_by_its_key(demo: Any) -> None:
    assert refusal(changed(demo, "classify.raw.protocols", ["random"])) == (
        "params.yaml: classify.raw.protocols: 'random' is none of the study's, paper"
    )


@pytest.mark.parametrize(
    "key",
    [
        "stduy",
        "image.hight",
        "degrade.nois",
        "upscale.srgan.tiel",
        "upscale.raw.tiel",
        "upscale.unsharp.tiel",
        "train_sr.srgan.losses.pixel",
    ],
)
def test_an_unknown_key_is_named_as_it_stands_in_the_file(with_a_filter: Any, key: str) -> None:
    message = refusal(changed(with_a_filter, key, 1))
    assert message == f"params.yaml: unknown key '{key}': remove it or correct its spelling; {COMPOSED}"


@pytest.mark.parametrize(
    "key",
    [
        "runtime",
        "degrade.jpeg_quality",
        "degrade.method",
        "upscale.srgan.weights",
        "upscale.raw.by",
        "upscale.raw.from",
        "upscale.unsharp.filter",
        "study.seed",
    ],
)
def test_a_missing_key_is_named_as_it_should_stand_in_the_file(with_a_filter: Any, key: str) -> None:
    message = refusal(changed(with_a_filter, key, MISSING))
    assert message == f"params.yaml: key '{key}' is missing: add it; {COMPOSED}"


def test_several_mistakes_are_told_at_once(demo: Any) -> None:
    message = refusal(changed(changed(demo, "study.seed", -1), "image.fit", "stretch"))
    assert "study.seed = -1" in message
    assert "image.fit = 'stretch'" in message


@pytest.mark.parametrize("side", ["height", "width"])
def test_a_size_that_the_scale_does_not_divide_is_refused_with_the_nearest(demo: Any, side: str) -> None:
    message = refusal(changed(demo, f"image.{side}", 130))
    assert f"{side} 130" in message
    assert "scale 4" in message
    assert "use 128 or 132" in message


def test_a_patch_that_the_scale_does_not_divide_is_refused_with_the_nearest(demo: Any) -> None:
    message = refusal(changed(demo, "train_sr.srgan.patch", 66))
    assert "train_sr.srgan.patch 66" in message
    assert "image.scale 4" in message
    assert "use 64 or 68" in message


def test_repeated_seeds_are_refused(demo: Any) -> None:
    message = refusal(changed(demo, "study.seeds", [1, 2, 1]))
    assert "study: seeds must differ" in message
    assert "[1, 2, 1]" in message


def test_fractions_that_do_not_sum_to_one_are_refused(demo: Any) -> None:
    message = refusal(changed(demo, "prepare.source_disjoint.sr_train", 0.5))
    assert "prepare.source_disjoint" in message
    assert "sum to 1, they sum to 1.1" in message


def test_an_even_ssim_window_is_refused(demo: Any) -> None:
    assert "ssim_window must be odd, got 4" in refusal(changed(demo, "quality.ssim_window", 4))


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_train_folder_without_a_test_folder_is_refused(demo: Any, part: str) -> None:
    assert "prepare: train and test go together" in refusal(changed(demo, f"prepare.{part}", None))


def test_an_arm_by_a_training_needs_it(demo: Any) -> None:
    message = refusal(changed(demo, "train_sr.srgan", MISSING))
    assert message == "params.yaml: upscale.srgan.training = 'srgan': no such training; train_sr has real_esrgan"


@pytest.mark.parametrize("reads", ["outputs/demo/lr", "outputs/demo/sr/real_esrgan", "outputs/other/sr/srgan"])
def test_an_arm_by_a_training_reads_its_weights(demo: Any, reads: str) -> None:
    assert refusal(changed(demo, "upscale.srgan.reads", reads)) == (
        f"params.yaml: upscale.srgan.reads = {reads}: must be outputs/demo/sr/srgan, where its training writes the "
        "weights"
    )


def test_an_arm_with_the_settings_of_another_kind_is_refused(demo: Any) -> None:
    assert refusal(changed(demo, "upscale.srgan.by", "nothing")).count("unknown key 'upscale.srgan.") == 7
    message = refusal(changed(demo, "upscale.raw.by", "training"))
    assert "key 'upscale.raw.training' is missing" in message


@pytest.mark.parametrize("filter_name", FILTERS)
def test_every_filter_is_an_arm_whose_file_states_its_defaults(
    compose_params: Callable[..., Params], filter_name: str
) -> None:
    arm = compose_params(f"arms=[{filter_name}]").upscale[filter_name]
    assert isinstance(arm, Filtered)
    assert pickle.loads(pickle.dumps(arm)) == arm  # worker processes get it so
    image = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    assert np.array_equal(FILTERS[filter_name](image, **arm.arguments), FILTERS[filter_name](image))


def test_the_arms_come_back_as_they_were_written(with_a_filter: Any) -> None:
    params = parse_params(with_a_filter, "params.yaml")
    assert params.model_dump(mode="json")["upscale"] == with_a_filter["upscale"]


def test_an_unknown_sr_method_is_refused_with_the_known_ones(demo: Any) -> None:
    message = refusal(changed(demo, "train_sr.srgan.method", "edsr"))
    assert "train_sr.srgan.method = 'edsr'" in message
    assert all(f"'{method}'" in message for method in METHODS)


def test_stages_of_one_name_are_refused(demo: Any) -> None:
    stages = demo["train_sr"]["srgan"]["stages"]
    assert "stages must differ" in refusal(changed(demo, "train_sr.srgan.stages", stages * 2))


def test_params_cannot_be_changed_once_read(demo: Any) -> None:
    params = parse_params(demo, "params.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        params.study.seed = 3  # type: ignore[misc]


def test_params_come_back_from_a_written_file(demo: Any, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(demo, sort_keys=False))
    assert load_params(path) == parse_params(demo, "params.yaml")


def test_a_missing_file_says_where_to_run_the_command(tmp_path: Path) -> None:
    with pytest.raises(LeukoError, match=r"params\.yaml does not exist: run the command in the root"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "content",
    [b"study: [1, 2", b"a: b: c", b"\tstudy: 1", b"\xff\xfe\x00study"],
    ids=["open", "colons", "tab", "bytes"],
)
def test_a_file_that_is_no_yaml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(LeukoError, match="is not valid YAML") as error:
        load_params(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "just a word", "- a\n- b"], ids=["empty", "text", "list"])
def test_a_file_that_holds_no_sections_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(LeukoError, match="not the sections of a study: compose it with") as error:
        load_params(path)
    assert str(path) in str(error.value)


def test_the_committed_params_are_the_demo_study_as_conf_composes_it(compose_raw: Callable[..., Any]) -> None:
    committed = subprocess.run(
        ["git", "show", "HEAD:params.yaml"], cwd=CONF.parent, capture_output=True, text=True, check=True
    )
    assert yaml.safe_load(committed.stdout) == compose_raw()


@pytest.mark.parametrize(("column", "same"), [("paper", True), ("smoke", False)])
def test_params_hold_the_sizes_of_the_budgets_column_alone(column: str, same: bool, tmp_path: Path) -> None:
    """So a change of another column changes nothing that DVC compares, nor the digest of a cut training."""
    shutil.copytree(CONF, tmp_path / "conf")
    before = compose_from(tmp_path / "conf")
    for method in ("srgan", "real_esrgan"):
        path = tmp_path / "conf" / "method" / f"{method}.yaml"
        text, changes = re.subn(rf"(\b{column}: {{features: )\d+", r"\g<1>99", path.read_text())
        assert changes == 1
        path.write_text(text)
    after = compose_from(tmp_path / "conf")
    assert (after == before) is same
    assert all((after["train_sr"][name] == before["train_sr"][name]) is same for name in ("srgan", "real_esrgan"))
    assert all(training["sizes"]["features"] == (32 if same else 99) for training in after["train_sr"].values())


def test_a_budget_without_its_column_is_told_which_there_are(compose_raw: Callable[..., Any]) -> None:
    with pytest.raises(InterpolationResolutionError, match=r"budget\.column = 'tiny': there are sizes for smoke, cpu"):
        compose_raw("budget.column=tiny")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sweep.arm=vdsr"], "sweep.arm: unknown 'vdsr'; known to classify are raw, bicubic"),
        (["sweep.target=train_sr", "sweep.arm=raw"], "known to train_sr are srgan, real_esrgan"),
        (["sweep.target=train_sr", "arms=[raw]"], "this study trains no SR method"),
        (["sweep.metric=psnr"], "metric: 'psnr' is none of accuracy, macro_f1"),
        (["sweep.streams=[sr_init]"], "streams: 'sr_init' is none of split, init, order, augment"),
        (["sweep.design=streams"], "takes one of learning_rates"),
        (["sweep.learning_rates=[0.1,0.1]"], "learning_rates must differ"),
        (["sweep.protocol=source_disjoint"], "is none of those of raw, paper"),
        (["sweep.space.learning_rate=[0.1,0.01]"], "the lower one first"),
        (
            ["sweep.design=search", "study.protocol=source_disjoint", "prepare.source_disjoint.folds=3"],
            "a search needs validation images",
        ),
        (
            ["study.protocol=source_disjoint", "sweep.streams=[split,init]"],
            "sweep.streams: 'split' cannot be drawn anew here",
        ),
        (["sweep.learning_rates=[0.001]", "sweep.runs=1"], "runs: one trial has no variance"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(compose_raw: Callable[..., Any], overrides: list[str], message: str) -> None:
    with pytest.raises(LeukoError, match=re.escape(message)):
        parse_params(compose_raw(*overrides), "conf")


def test_the_sweep_takes_the_first_arm_and_protocol_and_the_streams_that_count(
    compose_params: Callable[..., Params],
) -> None:
    plain = compose_params("study=demo", "arms=[bicubic,raw]")
    assert (plain.swept_arm, plain.swept_protocol, plain.swept_streams) == (
        "bicubic",
        "paper",
        ("split", "init", "order"),
    )
    augmented = compose_params(
        "study=demo",
        "classifier.augmentations=[{kind: flips_and_light, strength: 0.5}]",
        "study.protocol=source_disjoint",
    )
    assert augmented.swept_protocol == "source_disjoint"
    assert augmented.swept_streams == ("init", "order", "augment")  # the budget limits the images
    unlimited = compose_params("study=demo", "study.protocol=source_disjoint", "budget.per_class.classifier=null")
    assert unlimited.swept_streams == ("split", "init", "order")
    beside = ("study.protocol=both", "budget.per_class.classifier=null")
    assert compose_params("study=demo", *beside).swept_streams == ("split", "init", "order")
    assert compose_params("study=demo", *beside, "sweep.protocol=source_disjoint").swept_streams == ("init", "order")
    assert compose_params("study=demo", "sweep.target=train_sr").swept_streams == ("sr_init", "order", "augment")


@pytest.mark.parametrize(("height", "width", "largest"), [(128, 64, 63), (64, 72, 63), (72, 128, 71)])
def test_the_ssim_window_fits_into_the_image(demo: Any, height: int, width: int, largest: int) -> None:
    raw = changed(changed(demo, "image.height", height), "image.width", width)
    assert parse_params(changed(raw, "quality.ssim_window", largest), "params.yaml").quality.ssim_window == largest
    assert refusal(changed(raw, "quality.ssim_window", largest + 2)) == (
        f"params.yaml: quality.ssim_window = {largest + 2}: must be at most {largest}, as image.height is {height} and "
        f"image.width {width}"
    )


@pytest.mark.parametrize(("network", "least"), [("alex", 31), ("squeeze", 17), ("vgg", 16)])
def test_images_are_large_enough_for_the_network_of_lpips(demo: Any, network: str, least: int) -> None:
    """What a network cannot take would stop `quality` once all images are made."""
    sides = {"image.height": 64, "image.scale": 2, "quality.perceptual": network}
    raw = reduce(lambda raw, key: changed(raw, key, sides[key]), sides, demo)
    assert parse_params(changed(raw, "image.width", least + least % 2), "params.yaml").quality.perceptual == network
    assert refusal(changed(raw, "image.width", (least - 1) // 2 * 2)) == (
        f"params.yaml: quality.perceptual = {network}: takes images of at least {least} pixels a side, and "
        f"image.height is 64 and image.width {(least - 1) // 2 * 2}: enlarge them, or set it to null"
    )


def test_classes_called_yes_and_no_are_read_when_they_are_quoted(demo: Any, tmp_path: Path) -> None:
    text = yaml.safe_dump(changed(demo, "prepare.classes", ["x"])).replace("- x\n", "- NO\n", 1)
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(LeukoError, match=r"prepare\.classes\.0 = False: .* YAML reads yes, no, on, off, true"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(text.replace("- NO\n", "- 'NO'\n"))
    assert load_params(tmp_path / "params.yaml").prepare.classes == ["NO"]
    # and DVC keeps the quotes of conf/ when it composes params.yaml
    (tmp_path / "params.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(changed(demo, "prepare.classes", ["NO"]))))
    assert load_params(tmp_path / "params.yaml").prepare.classes == ["NO"]


def test_a_file_of_an_older_version_is_answered_with_how_to_compose_a_new_one(demo: Any) -> None:
    message = refusal({**demo, "classify": demo["classifier"]})
    assert message.startswith("params.yaml is of an older version, without experiments: `dvc exp run -S study=demo")
    assert "-S budget=smoke` composes and runs a new one" in message
    for renamed in ("decay is now schedule", "augmentation is now augmentations", "init in train_sr.NAME is now start"):
        assert renamed in message


def test_a_file_with_the_looks_of_arms_in_upscale_is_answered_with_where_they_stand_now(demo: Any) -> None:
    message = refusal(changed(demo, "upscale.raw.title", "raw"))
    assert "older version" in message and "report.looks.NAME" in message


@pytest.mark.parametrize("protocol", [*SPLITS, *SEVERAL, "[official,paper]"])
def test_every_protocol_composes_and_finds_sources_where_it_may(
    protocol: str, compose_params: Callable[..., Params]
) -> None:
    params = compose_params("study=demo", f"study.protocol={protocol}")
    assert set(params.study.protocols) <= set(SPLITS) and params.study.sr_protocol in params.study.protocols
    sought = protocol in ("source_disjoint", *SEVERAL)
    assert list(params.provenance) == (["images"] if sought else [])
    assert params.prepare.sources == ("outputs/demo/provenance" if sought else "datasets/demo")


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (
            "papers",
            "study.protocol = 'papers': unknown protocol 'papers'; allowed are paper, source_disjoint, official, ",
        ),
        ("", "unknown protocol ''; allowed are paper,"),
        ([], "unknown protocol ''; allowed are paper,"),
        (["paper", "both"], "unknown protocol 'both'; allowed are paper,"),
        (["paper", "source_disjoint"], "write both for paper, source_disjoint: by that name their sources are found"),
        (["paper", "paper"], "protocols must differ from each other, got paper, paper"),
    ],
)
def test_an_unknown_or_empty_protocol_names_the_allowed_ones(demo: Any, protocol: Any, message: str) -> None:
    assert message in refusal(changed(demo, "study.protocol", protocol))


@pytest.mark.parametrize("measures", [["image_quality"], ["classification"], ["classification", "image_quality"]])
def test_stages_run_for_the_measures_of_the_study(measures: list[str], compose_params: Callable[..., Params]) -> None:
    study = "demo" if "classification" in measures else "demo_sr"
    params = compose_params(f"study={study}", f"study.measures=[{','.join(measures)}]")
    assert params.compared == (list(params.arms) if "image_quality" in measures else [])
    assert list(params.classify) == (list(params.arms) if "classification" in measures else [])


@pytest.mark.parametrize("start", ["weights/my net.v2.pth", "RealESRGAN_x4plus.pth", "pretrained/x4.safetensors"])
def test_the_weights_that_a_training_starts_from_are_an_input_of_its_stage(
    start: str, compose_params: Callable[..., Params]
) -> None:
    params = compose_params(f"train_sr.srgan.start='{start}'")
    assert params.train_sr["srgan"].start_file == Path(params.train_sr["srgan"].reads) == Path(start)
    assert params.train_sr["real_esrgan"].start_file is None
    assert params.train_sr["real_esrgan"].reads == "outputs/demo/lr"
    named = compose_params(f"train_sr.srgan.start='{start}'", "train_sr.srgan.start=best", "+starts.best=w.safetensors")
    assert named.train_sr["srgan"].start_file == Path("w.safetensors")


@pytest.mark.parametrize(
    ("overrides", "watched"),
    [
        ([], "outputs/demo/roles.csv"),
        (["budget.pretrained=imagenet"], "outputs/demo/roles.csv"),
        (["classifier=lite0"], "pretrained/efficientnet_lite0.safetensors"),
        (["classifier.weights=pretrained/mine"], "pretrained/mine.safetensors"),
        (["sweep.target=train_sr"], "outputs/demo/lr"),
        (["sweep.target=train_sr", "sweep.arm=real_esrgan", "train_sr.real_esrgan.start=a.pth"], "a.pth"),
        (["study=case1_weights", "sweep.arm=raw_probe"], "pretrained/efficientnet_lite0.safetensors"),
        (["study=case1_weights", "sweep.arm=raw_probe", "classify.raw_probe.classifier.weights=none"],
         "outputs/case1_weights/roles.csv"),
    ],
)  # fmt: skip
def test_the_weights_that_classifiers_start_from_are_an_input_of_their_stage_and_of_the_sweep(
    overrides: list[str], watched: str, compose_params: Callable[..., Params]
) -> None:
    params = compose_params(*overrides)
    assert params.sweep.reads == watched
    if params.sweep.target == "classify":
        recipe = params.classify[params.swept_arm].classifier
        assert recipe.reads == watched
        assert recipe.weight_file == (Path(watched) if recipe.weights.startswith("pretrained/") else None)


@pytest.mark.parametrize(("asked", "epochs"), [([], 25), (["sweep.epochs=2"], 2)])
def test_a_sweep_trains_as_long_as_the_recipe_says_unless_asked_otherwise(
    asked: list[str], epochs: int, compose_params: Callable[..., Params]
) -> None:
    params = compose_params("study=case1_weights", "sweep.arm=raw_probe", *asked)
    assert (params.swept_recipe.epochs, params.classify["raw_probe"].classifier.epochs) == (epochs, 25)
    said = list(_own_epochs(params))
    assert said == (
        [] if epochs == 25 else ["sweep raw_probe: 2 epochs by sweep.epochs, where the study's recipe has 25"]
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["study.measures=[]"], "study.measures = []: "),
        (
            ["classifier.reads=b"],
            "classify.raw.classifier.reads = b: must be outputs/demo/roles.csv, by cla",
        ),
        (
            ["sweep.reads=b"],
            "sweep.reads = b: must be outputs/demo/roles.csv, the weights of raw, by sweep.arm",
        ),
        (["study.measures=[beauty]"], "study.measures.0 = 'beauty': "),
        (["study.measures=[image_quality,image_quality]"], "measures must differ from each other"),
        (["study.measures=[image_quality]"], "classify: study.measures names no classification, so there can be no"),
        (["study=demo_sr", "study.measures=[classification]"], "classify: add an experiment, or take classification"),
        (["train_sr.srgan.start=a.pth", "train_sr.srgan.reads=b.pth"], "train_sr.srgan.reads = b.pth: must be a.pth"),
        (["+report.looks.other={title: x}"], "report.looks: 'other' is neither an arm nor an experiment"),
        (["report.looks.raw.title=bicubic"], "report.looks: raw and bicubic have one title, 'bicubic'"),
        (["study=demo_sr", "sweep.target=classify"], "sweep.target: this study has no experiment; set it to train_sr"),
        (["study=demo_sr", "prepare.classes=[a]"], "prepare.classes: a study without classification has no classes"),
        (["study=demo_sr", "train_sr.srgan.class=a"], "train_sr.srgan.class: a study without classification has no"),
        (["study=demo_sr", "study.protocol=both"], "protocol: a study without classification runs under one protocol"),
        (
            ["study=demo_sr", "study.comparisons=[[srgan,ground_truth]]"],
            "ground_truth shows the originals, whose PSNR is undefined: leave the pair out",
        ),
        (
            ["study.comparisons=[[srgan,raw],[raw,srgan]]"],
            "study.comparisons: ['raw', 'srgan'] is named twice, in either order: name each pair once",
        ),
        (["study.measures=[classification]", "compared=[raw]"], "compared: must list nothing, by study.measures"),
        (["compared=[raw]"], "compared: must list raw, bicubic, srgan, real_esrgan, ground_truth, by"),
        (["prepare.source_pattern='('"], "'(' is not a regular expression"),
        (["prepare.source_pattern=x"], "prepare.source_pattern = 'x': needs one group in parentheses"),
    ],
)
def test_measures_and_sources_that_cannot_be_are_refused(
    compose_raw: Callable[..., Any], overrides: list[str], message: str
) -> None:
    with pytest.raises(LeukoError, match=re.escape(message)):
        parse_params(compose_raw(*overrides), "conf")


def test_the_study_that_the_documentation_prints_composes(tmp_path: Path) -> None:
    page = (CONF.parent / "docs/studies.md").read_text(encoding="utf-8")
    (block,) = [part for part in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "name: mine" in part]
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf/study/mine.yaml").write_text(block, encoding="utf-8")
    with initialize_config_dir(str(tmp_path / "conf"), version_base=None):
        raw = OmegaConf.to_container(compose("config", overrides=["study=mine", "budget=smoke"]), resolve=True)
    params = parse_params(raw, "docs/studies.md")
    assert (params.study.name, params.prepare.root, len(params.classify)) == ("mine", "datasets/mine", 5)


def claimed(raw: Any, **changes: Any) -> Any:
    """The demo with a claim of what it runs, and changes of that."""
    claims = {"metric": "macro_f1", "margin": 0.02, "seeds": raw["study"]["seeds"]}
    family = [{"first": "srgan", "second": "bicubic", "protocol": "paper"}]
    return {**raw, "claims": {**claims, "family": family, **changes}}


def test_claims_are_what_the_study_runs(compose_raw: Callable[..., Any]) -> None:
    claims = parse_params(claimed(compose_raw()), "params.yaml").claims
    assert claims is not None and len(claims.digest) == 64


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"margin": 0.05}, "claims.margin: 0.05 was declared, but study.margin is 0.02"),
        ({"metric": "accuracy"}, "claims.metric: accuracy was declared, but study.primary is macro_f1"),
        ({"seeds": [9]}, "claims.seeds"),
        ({"sr_seeds": [1, 2, 3]}, "claims.sr_seeds: [1, 2, 3] was declared, but study.sr_seeds is None"),
        ({"family": [{"first": "srgan", "second": "gan", "protocol": "paper"}]}, "'gan' does not run under paper"),
        ({"family": [{"first": "srgan", "second": "raw", "protocol": "both"}]}, "does not run under source_disjoint"),
        ({"family": [{"first": "srgan", "second": "raw", "protocol": "apart"}]}, "unknown protocol 'apart'"),
        ({"family": [{"first": "srgan", "second": "raw", "protocol": None}]}, "claims.family.0.protocol = None"),
        ({"family": [{"first": "srgan", "second": "raw", "protocol": [["paper"]]}]}, "claims.family.0.protocol = "),
    ],
)
def test_claims_that_the_study_does_not_run_are_refused(
    compose_raw: Callable[..., Any], changes: dict[str, Any], said: str
) -> None:
    assert said in refusal(claimed(compose_raw(), **changes))


@pytest.mark.parametrize(("study", "protocol"), [("case1", "both"), ("pbc", "source_disjoint"), ("pbc_claims", None)])
def test_declared_claims_follow_the_protocols_and_seeds_of_the_study(
    compose_params: Callable[..., Any], study: str, protocol: str | None
) -> None:
    asked = [] if protocol is None else [f"study.protocol={protocol}"]
    params = compose_params(f"study={study}", "study.sr_seeds=[4, 5, 6]", *asked)
    assert params.claims.sr_seeds == [4, 5, 6] and params.claims.seeds == params.study.seeds
    assert {claim.protocol for claim in params.claims.family} == set(params.study.protocols)
    assert len(params.claims.family) == 3 * len(params.study.protocols)


def test_claims_hold_for_experiments_with_the_declared_seeds_alone(compose_raw: Callable[..., Any]) -> None:
    raw = claimed(compose_raw("classify.srgan.seeds=[7, 8]"))
    assert "claims.seeds: [1, 2] was declared, but classify.srgan.seeds is [7, 8]: set it to null" in refusal(raw)


def test_weights_of_classifiers_are_words(compose_raw: Callable[..., Any]) -> None:
    raw = compose_raw("classifier.weights=imagenet1k")
    said = "none, imagenet, imagenet_v1, imagenet_v2 or pretrained/NAME (`leukosr weights list`)"
    assert f"classifier.weights = 'imagenet1k': only {said}" in refusal(raw)
    (name,) = {each.classifier.weights for each in compose_weights(compose_raw, "pretrained/Mine-2")}
    assert name == "pretrained/Mine-2"  # as `leukosr weights add` takes it


def compose_weights(compose_raw: Callable[..., Any], word: str) -> list[Any]:
    return list(parse_params(compose_raw(f"classifier.weights={word}"), "params.yaml").classify.values())
