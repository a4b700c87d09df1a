"""docs/systems.md says what is so: its table, its commands and its example are read and tried."""

from __future__ import annotations

import itertools
import re
import shlex

import pytest

from mlops.errors import BadSetting
from mlops.systems import configure, list_systems, load_system
from mlops.systems.loading import parse_system
from tests.command import REPOSITORY

PAGE = (REPOSITORY / "docs" / "systems.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^mlops train .*$", PAGE + README, flags=re.MULTILINE)


@pytest.mark.parametrize("name", list_systems())
def test_the_table_holds_what_the_files_declare(name: str) -> None:
    spec = load_system(name)
    cells = (
        f"`{name}`",
        spec.task,
        f"`{spec.recipe.model}`",
        f"`{spec.objective}`",
        ", ".join(spec.variants),
        ", ".join(spec.space),
    )
    assert f"| {' | '.join(cells)} |" in PAGE


def test_commands_were_found() -> None:
    assert len(COMMANDS) > 6


@pytest.mark.parametrize("command", COMMANDS)
def test_the_settings_of_every_command_are_taken(command: str) -> None:
    words = shlex.split(command, comments=True)
    settings = [after for word, after in itertools.pairwise(words) if word == "--set"]
    configure(load_system(words[2]), settings)


def test_the_example_file_is_read_and_its_variant_trained() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert configure(parse_system(example, "mine.yaml"), ["variant=small"]).recipe.image_size == 416


def test_the_shown_error_is_the_real_one() -> None:
    with pytest.raises(BadSetting) as caught:
        configure(load_system("oct-detector"), ["optimizer=sgdd"])
    assert str(caught.value) in PAGE


def test_both_ends_of_a_range_are_moved_by_setting_both() -> None:
    settings = ["lr0=0.05", "space.lr0=0.02..0.1"]
    assert " ".join(settings) in PAGE
    assert "lr0" in configure(load_system("oct-detector"), settings).space
