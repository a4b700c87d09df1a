"""The wheel in an environment of its own: it does what a clone does, and hides nobody's package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.command import REPOSITORY, tiny

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel; its dependencies are those of the tests' environment."""

    bin: Path
    wheel: Path

    def start(self, *command: str, cwd: Path, **streams: object) -> subprocess.Popen[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "MLOPS_", "PYTHON"))}
        return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd,
            env={**kept, "OMP_NUM_THREADS": "1", "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"},
            text=True,
            **streams,
        )

    def run(self, *command: str, cwd: Path, status: int = 0) -> str:
        process = self.start(*command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, f"{' '.join(command)}\n{out}\n{err}"
        return str(out) + str(err)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    top = tmp_path_factory.mktemp("wheel")
    source = top / "source"
    for name in ("mlops", "registry"):
        shutil.copytree(REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(top), str(source)]
    subprocess.run([*pip, *build], check=True)
    [wheel] = top.glob("*.whl")
    venv.create(top / "env", with_pip=False)
    [packages] = (top / "env").glob("lib/*/site-packages")
    theirs = Path(pytest.__file__).parents[1]
    # a plain path, so that the editable installation in it is not found
    (packages / "dependencies.pth").write_text(f"{theirs}\n")
    target = ["--python", str(top / "env/bin/python"), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([*pip, *target], check=True)
    return Installed(top / "env" / "bin", wheel)


@pytest.fixture(scope="module")
def trained(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two versions of the blood-cell system were trained on demo data."""
    folder = tmp_path_factory.mktemp("empty")
    for dropout in ("dropout=0.0", "dropout=0.1"):
        installed.run("mlops", "train", "--epochs", "1", *tiny(dropout), cwd=folder)
    return folder


def test_it_installs_our_two_packages_only(installed: Installed) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"mlops", "registry"}


def test_papermill_and_the_package_entrypoints_are_importable_beside_it(
    installed: Installed, tmp_path: Path
) -> None:
    code = "import papermill, entrypoints, mlops, registry; print(entrypoints.get_group_all, mlops.__file__)"
    said = installed.run("python", "-c", code, cwd=tmp_path)
    assert str(installed.bin.parent) in said


def test_versions_are_judged_by_the_policy_that_comes_with_it(installed: Installed, trained: Path) -> None:
    assert "blood-cell-classifier" in installed.run("mlops", "registry", "status", cwd=trained)
    promote = ("mlops", "registry", "promote", "blood-cell-classifier", "1", "--to", "staging")
    assert "refused" in installed.run(*promote, cwd=trained, status=3)


def test_reports_and_the_reviewers_page_are_written(installed: Installed, trained: Path) -> None:
    installed.run("mlops", "report", "blood-cell-classifier/1", "--out", "report", cwd=trained)
    assert (trained / "report" / "report.html").stat().st_size > 10_000
    installed.run("mlops", "evaluate", "blood-cell-classifier/1", "--out", "evaluated", cwd=trained)
    assert list((trained / "evaluated").rglob("*.html"))


def test_a_version_is_exported_compared_and_verified(installed: Installed, trained: Path) -> None:
    export = ("mlops", "export", "blood-cell-classifier/2", "--calls", "5", "--pictures", "20")
    installed.run(*export, "--out", "bundle", cwd=trained)
    installed.run("mlops", "export", "--verify", "bundle", cwd=trained)
    installed.run("mlops", "compare", "blood-cell-classifier/1", "blood-cell-classifier/2", cwd=trained)


def test_no_folder_or_file_of_the_working_directory_hides_a_module(
    installed: Installed, tmp_path: Path
) -> None:
    for name in ("mlops", "registry", "entrypoints", "mlflow", "torch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('hidden')")
    for name in ("random", "json", "evaluate", "registry", "uvicorn"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hidden')")
    train = ("mlops", "train", "--epochs", "1", "--trials", "2", "--parallel", "2", "--json", *tiny())
    said = installed.run(*train, cwd=tmp_path)
    assert json.loads(said[said.index("{") : said.rindex("}") + 1])["version"]
    process = installed.start("mlops", "server", "--port", "0", cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert requests.get(f"{url}/health", timeout=30).status_code == 200
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("command", ["train", "report", "sync"])
def test_a_script_of_mlproject_is_the_command(installed: Installed, tmp_path: Path, command: str) -> None:
    script = str(REPOSITORY / "entrypoints" / f"{command}.py")
    assert f"mlops {command}" in installed.run("python", "-P", script, "--help", cwd=tmp_path)
