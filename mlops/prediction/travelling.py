"""The code that goes with a model: one module of ours and every module of ours that it imports.

It lies in the model's folder as a package of its own name, made from its content: the same code is the same
package, so two versions can be loaded in one process, and neither hides the `mlops` that is installed there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path

_HOME = "mlops"
_IMPORT = re.compile(rf"^(\s*)(from|import)( +){_HOME}((?:\.\w+)+)( |$)", re.MULTILINE)
_WHY = (
    "A file of this name keeps Python from writing its compiled code here: whatever is written into a "
    "version's folder counts as a change of the version.\n"
)


def write_code(module: str, folder: Path) -> str:
    """Write `module` (a name below `mlops`) and what it imports below `mlops` into `folder`.

    Returns the name by which `module` is imported once `folder` is on the path. What it imports from
    elsewhere is for the environment to have.
    """
    sources = _with_imports(module)
    content = "".join(f"{name}\0{text}\0" for name, text in sorted(sources.items()))
    package = f"mlops_served_{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    for name, text in sources.items():
        file = folder.joinpath(package, *name.split(".")[1:]).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_IMPORT.sub(rf"\1\2\3{package}\4\5", text), encoding="utf-8")
        for parent in _packages(file, folder):
            (parent / "__init__.py").touch()
            (parent / "__pycache__").write_text(_WHY, encoding="utf-8")
    return package + module.removeprefix(_HOME)


def _with_imports(module: str) -> dict[str, str]:
    """name -> source of `module` and of all that it imports below `mlops`, directly or not."""
    found: dict[str, str] = {}
    left = [module]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = _source(name)
            left += [_HOME + match[4] for match in _IMPORT.finditer(found[name])]
    return found


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or Path(spec.origin).name == "__init__.py":
        raise ImportError(f"{module} is no module that can travel with a model")
    return Path(spec.origin).read_text(encoding="utf-8")


def _packages(file: Path, folder: Path) -> list[Path]:
    return [parent for parent in file.parents if folder in parent.parents]
