"""What `--set` does, and what it refuses in one line."""

from __future__ import annotations

import pytest

from mlops.errors import BadSetting
from mlops.systems import configure, list_systems, load_system, recipe_digest
from mlops.systems.space import Choice, FloatRange, IntRange, describe, parse_range

EVERY_VARIANT = [(name, variant) for name in list_systems() for variant in load_system(name).variants]


def refused(system: str, *settings: str) -> str:
    with pytest.raises(BadSetting) as caught:
        configure(load_system(system), settings)
    says = str(caught.value)
    assert "\n" not in says
    return says


@pytest.mark.parametrize("demo", [False, True])
@pytest.mark.parametrize(("system", "variant"), EVERY_VARIANT)
def test_every_variant_can_be_trained_on_real_and_demo_data(system: str, variant: str, demo: bool) -> None:
    spec = configure(load_system(system), [f"variant={variant}"], demo=demo)
    values = spec.recipe.model_dump()
    assert set(spec.space) <= set(values)


def test_a_variant_keeps_its_network_on_demo_data_and_takes_the_demo_size() -> None:
    recipe = configure(load_system("oct-detector"), ["variant=yolov9"], demo=True).recipe
    assert (recipe.model, recipe.weights, recipe.image_size) == ("yolov9m", "none", 160)


def test_two_variants_add_up() -> None:
    recipe = configure(load_system("blood-cell-classifier"), ["variant=resnet34", "variant=balanced"]).recipe
    assert (recipe.model, recipe.model_dump()["class_weights"]) == ("resnet34", "balanced")


def test_what_the_user_sets_wins_over_variant_and_demo() -> None:
    settings = ["epochs=7", "variant=yolo26s", "image_size=96"]
    recipe = configure(load_system("oct-detector"), settings, demo=True).recipe
    assert (recipe.epochs, recipe.image_size) == (7, 96)


def test_the_last_of_two_settings_wins() -> None:
    assert configure(load_system("oct-detector"), ["epochs=7", "epochs=9"]).recipe.epochs == 9


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("lr0=1e-3", "lr0", 0.001),
        ("amp=false", "amp", False),
        ("cls=1", "cls", 1.0),
        (" batch = 8 ", "batch", 8),
    ],
)
def test_text_becomes_the_keys_own_type(setting: str, key: str, value: object) -> None:
    read = configure(load_system("oct-detector"), [setting]).recipe.model_dump()[key]
    assert read == value and type(read) is type(value)


def test_a_set_key_is_no_longer_searched() -> None:
    assert "lr0" not in configure(load_system("oct-detector"), ["lr0=0.5"]).space


def test_a_variant_outside_a_range_is_no_longer_searched() -> None:
    assert "batch" not in configure(load_system("oct-detector"), ["variant=yolo26s"]).space


def test_a_range_without_effect_under_a_variant_is_no_longer_searched() -> None:
    joint = load_system("joint-detector")
    left = configure(joint, ["variant=fixed-weights"]).space
    assert set(joint.space) - set(left) == {"gradnorm_alpha", "gradnorm_lr"}


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("lr0=0.001..0.01", FloatRange(type="float", low=0.001, high=0.01)),
        ("lr0=0.001 .. 0.01 log", FloatRange(type="float", low=0.001, high=0.01, log=True)),
        ("degrees=0..10", FloatRange(type="float", low=0, high=10)),
        ("batch=8..32", IntRange(type="int", low=8, high=32)),
        ("image_size=640..896 step 64", IntRange(type="int", low=640, high=896, step=64)),
        ("batch=8, 24", Choice(type="choice", values=(8, 24))),
        ("cos_lr=true,false", Choice(type="choice", values=(True, False))),
        ("model=yolo26m,yolo26l", Choice(type="choice", values=("yolo26m", "yolo26l"))),
    ],
)
def test_a_range_can_be_given_on_the_command_line(text: str, span: object) -> None:
    space = configure(load_system("oct-detector"), [f"space.{text}"]).space
    assert space[text.partition("=")[0]] == span


def test_a_range_is_shown_as_it_can_be_given() -> None:
    for text, whole in (
        ("0.001..0.1 log", False),
        ("0.0..1.0", False),
        ("1..9 step 2", True),
        ("a,b", False),
    ):
        assert describe(parse_range(text, whole=whole)) == text


def test_a_value_and_a_range_may_both_be_given() -> None:
    spec = configure(load_system("oct-detector"), ["lr0=0.03", "space.lr0=0.01..0.1 log"])
    assert spec.recipe.model_dump()["lr0"] == 0.03 and "lr0" in spec.space


def test_one_range_or_all_are_taken_out() -> None:
    oct_detector = load_system("oct-detector")
    assert set(oct_detector.space) - set(configure(oct_detector, ["space.lr0=none"]).space) == {"lr0"}
    assert configure(oct_detector, ["space=none"]).space == {}
    assert set(configure(oct_detector, ["space=none", "space.box=5..9"]).space) == {"box"}


def test_the_length_of_trials_is_set() -> None:
    oct_detector = load_system("oct-detector")
    assert configure(oct_detector, ["search.trial_epochs=12"]).search.trial_epochs == 12
    assert configure(oct_detector, ["search.trial_epochs=none"]).search.trial_epochs is None


def test_the_system_itself_stays_as_it_was() -> None:
    before = load_system("oct-detector")
    configure(before, ["lr0=0.5", "space=none"])
    assert before == load_system("oct-detector")


def test_another_value_gives_another_recipe_digest() -> None:
    spec = load_system("oct-detector")
    assert recipe_digest(spec.recipe) == recipe_digest(load_system("oct-detector").recipe)
    assert recipe_digest(spec.recipe) != recipe_digest(configure(spec, ["lr0=0.003"]).recipe)


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("epochs", ("epochs", "KEY=VALUE")),
        ("=3", ("KEY=VALUE",)),
        ("epochs=0", ("epochs", "'0'", "a whole number, at least 1")),
        ("epochs=2.5", ("'2.5'", "a whole number")),
        ("epochs=yes", ("'yes'", "a whole number")),
        ("lr0=nan", ("'nan'", "a number, above 0")),
        ("lr0=", ("lr0 is ''", "a number")),
        ("amp=perhaps", ("'perhaps'", "true or false")),
        ("scale=1", ("'1'", "at least 0, below 1")),
        ("image_size=700", ("'700'", "a multiple of 32")),
        ("optimizer=sgdd", ("'sgdd'", "SGD, MuSGD", "did you mean SGD?")),
        ("weights=", ("weights is ''", "none")),
        ("mosiac=0.5", ("mosiac is '0.5'", "did you mean mosaic?")),
        ("variant=yolo26", ("'yolo26'", "yolo26s, yolov9", "did you mean yolo26s?")),
        ("plan.lr0=1", ("plan.lr0", "space.KEY", "search.KEY")),
        ("search.trial_epochs=0", ("search.trial_epochs is '0'", "at least 1, at most 1000000 or none")),
        ("search.trail_epochs=3", ("search.trail_epochs", "did you mean trial_epochs?")),
        ("space=all", ("space is 'all'", "space=none")),
        ("space.mosiac=0..1", ("space.mosiac", "did you mean mosaic?")),
        ("space.lr0=low..high", ("'low..high'", "LOW..HIGH log")),
        ("space.lr0=0.1", ("'0.1'", "A,B,C or none")),
        ("space.lr0=0.01..0.001", ("space.lr0", "a low end below the high end")),
        ("space.lrf=0..1 log", ("a low end above 0",)),
        ("space.lr0=0.01..0.1", ("a range that contains the recipe's 0.002",)),
        ("space.batch=8,24,24", ("unique values",)),
        ("space.batch=8,many", ("space.batch is 'many'", "a whole number, at least 1")),
        ("space.batch=8..30 step 8", ("8..30 step 8", "whole number of steps")),
        ("space.image_size=640..768 step 16", ("656", "a multiple of 32")),
        ("space.model=1..2", ("a choice of values",)),
        ("space.amp=0..1", ("a choice of values",)),
        ("space.scale=0.5..1.0", ("space.scale is 1.0", "below 1")),
    ],
)
def test_a_bad_setting_names_key_what_was_given_and_what_is_allowed(
    setting: str, parts: tuple[str, ...]
) -> None:
    says = refused("oct-detector", setting)
    assert says.startswith("--set: ")
    for part in parts:
        assert part in says


def test_a_system_without_variants_says_so() -> None:
    spec = load_system("oct-detector").model_copy(update={"variants": {}})
    with pytest.raises(BadSetting, match="declares none"):
        configure(spec, ["variant=tiny"])


@pytest.mark.parametrize(
    ("settings", "objective"),
    [
        ([], "val/mAP50"),
        (["variant=detection-only"], "val/mAP50"),
        (["variant=classification-only"], "val/macro_f1"),
    ],
)
def test_a_joint_network_of_one_task_is_searched_by_that_task(settings: list[str], objective: str) -> None:
    assert configure(load_system("joint-detector"), settings).objective == objective
