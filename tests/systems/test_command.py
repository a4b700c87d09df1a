"""`mlops systems` as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.command import REPOSITORY, Shell


def test_it_lists_the_five_systems(shell: Shell) -> None:
    out = shell.succeed("systems")
    for name in ("oct", "railway", "xray", "joint"):
        assert f"{name}-detector" in out
    assert "blood-cell-classifier" in out


def test_it_shows_one_with_recipe_range_and_variants(shell: Shell) -> None:
    out = shell.succeed("systems", "oct-detector")
    assert "0.0002..0.02 log" in out
    assert "--set variant=yolo26s" in out and "--set variant=yolov9" in out


def test_programs_get_json(shell: Shell) -> None:
    spec = json.loads(shell.succeed("systems", "oct-detector", "--json"))
    assert spec["recipe"]["lr0"] == 0.002
    assert spec["space"]["optimizer"]["values"] == ["SGD", "MuSGD", "AdamW"]


def test_a_bad_file_is_one_line_and_exit_code_2(shell: Shell) -> None:
    (shell.folder / "mine.yaml").write_text("name: mine\ntsk: detection\n")
    answer = shell.run("systems", "mine.yaml")
    assert answer.returncode == 2 and answer.stdout == ""
    assert "mine.yaml" in answer.stderr and len(answer.stderr.strip().splitlines()) == 1


def test_an_unknown_system_is_one_line_and_exit_code_2(shell: Shell) -> None:
    answer = shell.run("systems", "oct-detecter")
    assert answer.returncode == 2
    assert "did you mean oct-detector?" in answer.stderr and len(answer.stderr.strip().splitlines()) == 1


def test_it_loads_no_heavy_library() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from mlops.cli.systems import systems;"
        "assert CliRunner().invoke(systems, ['oct-detector']).exit_code == 0;"
        "print([m for m in ('torch', 'ultralytics', 'mlflow', 'optuna', 'numpy') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"
