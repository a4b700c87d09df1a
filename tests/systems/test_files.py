"""A system file of one's own: what is taken, and that an error names file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops.errors import BadSetting, UserError
from mlops.systems import configure, load_system

GOOD = """\
name: weld-classifier
title: Good and bad welds
task: classification
objective: val/macro_f1
licence: proprietary
classes: [good, bad]
recipe:
  model: resnet18
  weights: none
  image_size: 128
  batch: 16
  epochs: 20
  patience: 5
  workers: 0
  amp: false
  optimizer: adamw
  lr: 1e-3
  weight_decay: 0.01
  schedule: cosine
  accumulate: 1
  clip_norm: 0
  freeze_epochs: 0
variants:
  big: {model: resnet50}
demo: {epochs: 2}
space:
  lr: {type: float, low: 0.0001, high: 0.01, log: true}
  batch: {type: choice, values: [8, 16]}
search: {trial_epochs: 10}
"""


def write(folder: Path, text: str) -> str:
    file = folder / "weld.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def refused(folder: Path, text: str) -> str:
    """What the error says after the file's name."""
    path = write(folder, text)
    with pytest.raises(UserError) as caught:
        load_system(path)
    says = str(caught.value)
    assert says.startswith(path) and "\n" not in says
    return says.removeprefix(path)


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_ones_own_system_is_read_and_configured(tmp_path: Path) -> None:
    spec = configure(load_system(write(tmp_path, GOOD)), ["variant=big", "lr=0.002"])
    assert (spec.name, spec.recipe.model, spec.classes) == ("weld-classifier", "resnet50", ("good", "bad"))
    assert set(spec.space) == {"batch"}


@pytest.mark.parametrize(
    ("old", "new", "key", "allowed"),
    [
        ("epochs: 20", "epochs: 0", "recipe.epochs is 0", "a whole number, at least 1"),
        ("epochs: 20", "epochs: yes", "recipe.epochs is True", "a whole number, at least 1"),
        ("epochs: 20", "epochs: many", "recipe.epochs is 'many'", "a whole number"),
        ("epochs: 20", "epochs:", "recipe.epochs is None", "a whole number"),
        ("lr: 1e-3", "lr: .inf", "recipe.lr is inf", "a number, above 0"),
        ("lr: 1e-3", "lr0: 1e-3", "recipe.lr0 is '1e-3'", "did you mean lr?"),
        ("weights: none", "weights: 3", "recipe.weights is 3", "a text"),
        ("optimizer: adamw", "optimizer: adamww", "recipe.optimizer is 'adamww'", "did you mean adamw?"),
        (
            "  clip_norm: 0",
            "  clip_norm: 0\n  dropuot: 0.1",
            "recipe.dropuot is 0.1",
            "did you mean dropout?",
        ),
        ("task: classification", "task: classify", "task is 'classify'", "did you mean classification?"),
        ("name: weld", "name: Weld ", "name is 'Weld -classifier'", "lower-case letters"),
        (
            "objective: val/macro_f1",
            "objective: val/mAP50",
            "objective is 'val/mAP50'",
            "val/macro_f1, val/accuracy",
        ),
        ("[good, bad]", "[]", "classes is ", "a list of unique class names"),
        ("[good, bad]", "[good, good]", "classes is ", "unique class names"),
        ("[good, bad]", "good", "classes is 'good'", "a list of unique class names"),
        ("search: {trial", "serch: {trial", "serch is ", "did you mean search?"),
        (
            "trial_epochs: 10",
            "trial_epochs: 0",
            "search.trial_epochs is 0",
            "at least 1, at most 1000000 or none",
        ),
        ("trial_epochs: 10", "trials: 10", "search.trials is 10", "trial_epochs"),
        ("model: resnet50", "epochs: 0", "variants.big.epochs is 0", "at least 1"),
        ("model: resnet50", "modle: resnet50", "variants.big.modle is 'resnet50'", "did you mean model?"),
        ("{epochs: 2}", "{epochs: -2}", "demo.epochs is -2", "at least 1"),
        ("  lr: {type: float", "  lrr: {type: float", "space.lrr is ", "did you mean lr?"),
        ("{type: float", "{type: real", "space.lr is ", "float, int, choice"),
        ("{type: float, ", "{", "space.lr is ", "float, int, choice"),
        ("low: 0.0001", "low: little", "space.lr.low is 'little'", "a number"),
        ("low: 0.0001", "lo: 0.0001", "space.lr.lo is 0.0001", "did you mean low?"),
        ("low: 0.0001", "low: 0.1", "space.lr is '0.1..0.01 log'", "a low end below the high end"),
        ("low: 0.0001", "low: 0.0", "space.lr is '0.0..0.01 log'", "above 0"),
        ("low: 0.0001", "low: 0.005", "space.lr is '0.005..0.01 log'", "contains the recipe's 0.001"),
        ("{type: choice, values: [8, 16]}", "{type: float, low: 8, high: 32}", "space.batch is ", "type int"),
        ("values: [8, 16]", "values: [8, 0.5, 16]", "space.batch is 0.5", "a whole number, at least 1"),
        ("values: [8, 16]", "values: [16]", "space.batch.values is ", "at least 2"),
        ("values: [8, 16]", 'values: ["8", 16]', "space.batch is '8'", "a whole number"),
        ("batch: {type", "compile: {type", "space.compile is ", ""),
    ],
)
def test_an_error_names_file_line_key_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, key: str, allowed: str
) -> None:
    assert old in GOOD
    says = refused(tmp_path, GOOD.replace(old, new, 1))
    assert key in says and "; allowed: " in says and allowed in says
    number = line_of(GOOD, old) + new.count("\n")
    assert says.startswith(f":{number}: ")


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    assert "licence is missing; allowed: a text" in refused(
        tmp_path, GOOD.replace("licence: proprietary\n", "")
    )
    says = refused(tmp_path, GOOD.replace("low: 0.0001, ", ""))
    assert says == f":{line_of(GOOD, 'low: 0.0001')}: space.lr.low is missing; allowed: a number"


def test_a_key_given_twice_names_both_lines(tmp_path: Path) -> None:
    says = refused(tmp_path, GOOD.replace("  batch: 16\n", "  batch: 16\n  batch: 32\n"))
    assert says.startswith(":12: recipe.batch is a duplicate (first in line 11)")


def test_a_search_without_effect_in_a_file_names_the_line(tmp_path: Path) -> None:
    text = GOOD.replace("schedule: cosine", "schedule: onecycle").replace(
        "  batch: {type: choice, values: [8, 16]}", "  warmup_epochs: {type: float, low: 0, high: 3}"
    )
    says = refused(tmp_path, text)
    assert says.startswith(f":{line_of(text, 'warmup_epochs')}: space.warmup_epochs")
    assert "no effect" in says


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("name: [a\ntask: b", ":2: not valid YAML"),
        ("a: &x [*x]", "inside its own anchor"),
        ("- name\n", "expected a mapping"),
        ("", "expected a mapping"),
        ("? [a, b]\n: c\n", "not valid YAML"),
        ("a: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_system_is_refused_in_one_line(tmp_path: Path, text: str, part: str) -> None:
    says = refused(tmp_path, text)
    assert part in says


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match=r"gone\.yaml: the system file does not exist"):
        load_system("gone.yaml")


def test_a_folder_or_bytes_are_no_system_file(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("folder.yaml", "bytes.yaml"):
        with pytest.raises(UserError, match=name):
            load_system(str(tmp_path / name))


def test_an_unknown_name_suggests_the_right_one() -> None:
    with pytest.raises(UserError, match="did you mean railway-detector"):
        load_system("railway-detecter")


def test_errors_of_settings_are_of_their_own_kind(tmp_path: Path) -> None:
    with pytest.raises(BadSetting) as caught:
        load_system(write(tmp_path, GOOD.replace("epochs: 20", "epochs: 0")))
    assert (caught.value.key, caught.value.given) == ("recipe.epochs", 0)
