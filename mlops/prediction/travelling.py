"""Copy the serving code into a model: one module of this package and every module of it that it imports.

The copy is a package whose name is a hash of its content, so two versions can be loaded in one process, and
neither shadows an installed `mlops`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path

_HOME = "mlops"
_IMPORT = re.compile(rf"^(\s*)(from|import)( +){_HOME}((?:\.\w+)+)( |$)", re.MULTILINE)
_WHY = (
    "This file keeps Python from writing compiled code here, as any new file in a version's folder counts "
    "as a change of the version.\n"
)


def write_code(module: str, folder: Path) -> str:
    """Write `module` (a name below `mlops`) and what it imports below `mlops` into `folder`.

    Returns the import name of `module` once `folder` is on the path. Other imports must be installed in the
    environment.
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
        raise ImportError(f"cannot copy {module} into a model: it is not a module file")
    return Path(spec.origin).read_text(encoding="utf-8")


def _packages(file: Path, folder: Path) -> list[Path]:
    return [parent for parent in file.parents if folder in parent.parents]
