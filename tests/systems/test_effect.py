"""A setting or a search that would change nothing is an error, not a wasted night."""

from __future__ import annotations

import pytest

from mlops.errors import BadSetting
from mlops.systems import configure, load_system
from mlops.systems.effect import RULES
from mlops.systems.spec import RECIPE_OF_TASK


@pytest.mark.parametrize(
    ("system", "settings", "key", "reason"),
    [
        ("oct-detector", ["optimizer=auto"], "space.lr0", "optimizer=auto chooses this value"),
        ("oct-detector", ["optimizer=auto", "lr0=0.1"], "lr0", "optimizer=auto chooses this value"),
        ("oct-detector", ["optimizer=auto", "lr0=0.1", "momentum=0.8"], "lr0", "set an optimizer"),
        ("oct-detector", ["space.optimizer=SGD,auto"], "space.lr0", "optimizer=auto"),
        ("oct-detector", ["freeze_epochs=3"], "freeze_epochs", "set freeze_layers"),
        ("oct-detector", ["space.freeze_epochs=0..5"], "space.freeze_epochs", "set freeze_layers"),
        ("xray-detector", ["close_mosaic=5"], "close_mosaic", "there is nothing to switch off"),
        ("oct-detector", ["space.cls_pw=0..1"], "space.cls_pw", "has one class"),
        ("oct-detector", ["space.save_period=-1,10"], "space.save_period", "changes no metric"),
        ("oct-detector", ["space.epochs=100..300"], "space.epochs", "search.trial_epochs=none"),
        (
            "blood-cell-classifier",
            ["schedule=onecycle", "warmup_epochs=2"],
            "warmup_epochs",
            "schedule=cosine",
        ),
        ("blood-cell-classifier", ["space.compile=auto,true"], "space.compile", "changes only the speed"),
        ("joint-detector", ["balance=fixed"], "space.gradnorm_alpha", "balance=gradnorm"),
        ("joint-detector", ["classify=false"], "space.gradnorm_alpha", "nothing to balance"),
        ("joint-detector", ["space.classify=true,false"], "space.classify", "ranked by one metric"),
        ("joint-detector", ["space=none", "classify=false", "head_width=64"], "head_width", "not trained"),
        (
            "joint-detector",
            ["space=none", "balance=pcgrad", "detection_weight=2"],
            "detection_weight",
            "surgery",
        ),
        (
            "joint-detector",
            ["space=none", "balance=fixed", "gradnorm_lr=0.1"],
            "gradnorm_lr",
            "does not learn weights",
        ),
        (
            "joint-detector",
            ["space=none", "balance=fixed", "gradnorm_floor=0.1"],
            "gradnorm_floor",
            "does not learn weights",
        ),
        (
            "joint-detector",
            ["space=none", "balance=uncertainty", "gradnorm_log=true"],
            "gradnorm_log",
            "only balance=gradnorm",
        ),
    ],
)
def test_what_would_change_nothing_is_refused_with_the_reason(
    system: str, settings: list[str], key: str, reason: str
) -> None:
    with pytest.raises(BadSetting) as caught:
        configure(load_system(system), settings)
    assert str(caught.value).startswith(f"--set: {key} is ")
    assert "no effect" in str(caught.value) and reason in str(caught.value)


@pytest.mark.parametrize(
    ("system", "settings"),
    [
        ("oct-detector", ["optimizer=auto", "space.lr0=none"]),
        ("oct-detector", ["freeze_layers=10", "freeze_epochs=3"]),
        ("oct-detector", ["space.freeze_layers=0,10", "space.freeze_epochs=0..5"]),
        ("oct-detector", ["freeze_epochs=0"]),
        ("xray-detector", ["close_mosaic=5", "mixup=0.1"]),
        ("railway-detector", ["space.cls_pw=0..0.5"]),
        ("oct-detector", ["save_period=5"]),
        ("oct-detector", ["space.epochs=100..300 step 100", "search.trial_epochs=none"]),
        ("blood-cell-classifier", ["space.schedule=cosine,onecycle", "space.warmup_epochs=0..3"]),
        ("blood-cell-classifier", ["compile=true"]),
        ("joint-detector", ["balance=uncertainty", "space.gradnorm_alpha=none"]),
    ],
)
def test_what_has_an_effect_is_taken(system: str, settings: list[str]) -> None:
    configure(load_system(system), settings)


def test_every_rule_is_about_keys_that_its_recipes_have() -> None:
    for rule in RULES:
        for task in rule.tasks:
            assert set(rule.keys) <= set(RECIPE_OF_TASK[task].model_fields)
