"""A stranger finds a class or a module by its name: no two share one, but for parts of one thing."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("mlops", "registry", "entrypoints")

# modules of one name that belong to one thing: a command, its script and what it calls; a task, its trainer
# and its package
ONE_THING = {
    "classification": {"mlops.evaluation.classification", "mlops.training.classification"},
    "compare": {"entrypoints.compare", "mlops.cli.compare", "mlops.comparison.compare"},
    "data": {"mlops.cli.data", "mlops.data"},
    "detection": {"mlops.evaluation.detection", "mlops.training.detection"},
    "doctor": {"mlops.cli.doctor", "mlops.tracking.doctor"},
    "evaluate": {"entrypoints.evaluate", "mlops.cli.evaluate", "mlops.evaluation.evaluate"},
    "export": {"entrypoints.export", "mlops.cli.export", "registry.export", "registry.export.export"},
    "registry": {"mlops.cli.registry", "registry"},
    "report": {"entrypoints.report", "mlops.cli.report", "mlops.reports.report"},
    "server": {"mlops.cli.server", "mlops.store.server"},
    "sync": {"entrypoints.sync", "mlops.cli.sync"},
    "systems": {"mlops.cli.systems", "mlops.systems"},
    "train": {"entrypoints.train", "mlops.cli.train"},
}


def modules() -> dict[str, Path]:
    found = {}
    for file in (file for package in PACKAGES for file in (REPOSITORY / package).rglob("*.py")):
        parts = file.relative_to(REPOSITORY).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def test_no_two_classes_share_a_name() -> None:
    holders = defaultdict(list)
    for name, file in modules().items():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                holders[node.name].append(name)
    assert {name: where for name, where in holders.items() if len(where) > 1} == {}


def test_modules_share_a_name_only_where_they_belong_to_one_thing() -> None:
    holders = defaultdict(set)
    for name in modules():
        holders[name.rpartition(".")[2]].add(name)
    assert {name: where for name, where in holders.items() if len(where) > 1} == ONE_THING


def test_every_module_has_a_place_in_the_import_order() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    order = settings["tool"]["importlinter"]["contracts"][0]
    layers = [layer for line in order["layers"] for layer in line.split(" | ")]
    outside = [
        name
        for name in modules()
        if not name.startswith("entrypoints.")
        and name not in ("mlops", "registry")
        and not any(name == layer or name.startswith(f"{layer}.") for layer in layers)
    ]
    assert outside == []


def test_a_script_of_mlproject_imports_the_command_line_only() -> None:
    for name, file in modules().items():
        if name.startswith("entrypoints."):
            nodes = ast.walk(ast.parse(file.read_text()))
            imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
            assert [ast.unparse(node) for node in imports] == ["from mlops.cli.main import main"], name


def test_help_and_import_load_no_heavy_library() -> None:
    code = """
import sys, mlops
from mlops.cli.main import run
assert run(["--help"]) == 0 and run(["train", "--help"]) == 0 and run(["registry", "promote", "--help"]) == 0
heavy = {"torch", "mlflow", "optuna", "pandas", "ultralytics", "timm", "lightning", "matplotlib"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
