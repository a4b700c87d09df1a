"""What a version of a model must show to enter each stage, read from one YAML file a model."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, ValidationError, field_validator

from mlops.errors import BadSetting, UserError
from mlops.files.typed_yaml import Lines, MissingValue, Strict, did_you_mean, no_such_key, read_yaml, where_at
from registry.ledger.entry import Stage
from registry.policies.conditions import AnyGate, Gate, NotWorse

__all__ = ["GATED", "KINDS", "Policy", "Stage", "list_policies", "load_policy", "parse_policy"]

GATED = (Stage.STAGING, Stage.PRODUCTION)  # in this order: a later one holds the earlier ones' gates too
KINDS = {get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(Gate)}


class Policy(Strict):
    """The policy of one registered model.

    gates: for each gated stage, the conditions of its own; `gates_for` adds those of the stages before it.
    transitions: from each stage, the stages that a version may go to next. A rollback is Archived ->
        Production.
    signing_keys: ed25519 public keys, 64 hex digits each, or "NAME 64-hex-digits" for one that signs for
        that person alone; where any is given, entries of the ledger that none of them signed do not count.
    """

    model: str
    title: str = ""
    seed_report: str = ""
    transitions: dict[Stage, tuple[Stage, ...]] = Field(
        default={
            Stage.NONE: (Stage.STAGING, Stage.ARCHIVED),
            Stage.STAGING: (Stage.PRODUCTION, Stage.NONE, Stage.ARCHIVED),
            Stage.PRODUCTION: (Stage.ARCHIVED,),
            Stage.ARCHIVED: (Stage.STAGING, Stage.PRODUCTION),
        }
    )
    gates: dict[Stage, tuple[AnyGate, ...]]
    signing_keys: tuple[Annotated[str, Field(pattern="^(.+ )?[0-9a-f]{64}$")], ...] = ()

    @field_validator("gates")
    @classmethod
    def _only_gated(cls, given: dict[Stage, tuple[Gate, ...]]) -> dict[Stage, tuple[Gate, ...]]:
        for stage, gates in given.items():
            if stage not in GATED:
                raise ValueError(f"gates for {' and '.join(GATED)} only; {stage} needs none")
            names = [gate.name for gate in gates]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice:
                raise ValueError(f"each gate once in a stage; {twice!r} stands twice in {stage}")
        return given

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over all that it asks for, whatever its title, comments and the order of its keys."""
        text = json.dumps(self.model_dump(mode="json", exclude={"title", "seed_report"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def may_go(self, source: Stage, target: Stage) -> bool:
        """Whether a version may go from `source` to `target`."""
        return target in self.transitions.get(source, ())

    def gates_for(self, stage: Stage) -> tuple[Gate, ...]:
        """All that a version must pass to enter `stage`: its own gates and those of the stages before it.

        A gate of a later stage takes the place of the earlier one of the same name; none for None, Archived.
        """
        held: dict[str, Gate] = {}
        if stage in GATED:
            for each in GATED[: GATED.index(stage) + 1]:
                held |= {gate.name: gate for gate in self.gates.get(each, ())}
        return tuple(held.values())

    def comparisons(self) -> tuple[NotWorse, ...]:
        """The comparisons with a champion that any stage asks for."""
        return tuple(gate for gates in self.gates.values() for gate in gates if isinstance(gate, NotWorse))


def list_policies() -> tuple[str, ...]:
    """Models that the product brings a policy for, in order."""
    folder = resources.files("registry") / "policies"
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_policy(model: str) -> Policy:
    """The policy that comes with the product for `model`, or the one in a YAML file of the user's.

    Raises UserError for a model without one or a file that cannot be read, BadSetting (file:line, key,
    given, allowed) for what the file says.
    """
    if model.endswith((".yaml", ".yml")):
        try:
            return parse_policy(Path(model).expanduser().read_text(encoding="utf-8"), model)
        except OSError as error:
            raise UserError(f"{model}: cannot be read as a policy: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UserError(f"{model}: is no text in UTF-8; save it as that") from error
    return _shipped(model)


@functools.cache
def _shipped(model: str) -> Policy:
    """Read once: a move asks for it again, to tell whether it was judged by another."""
    known = list_policies()
    if model not in known:
        raise UserError(
            f"no policy for model {model!r}{did_you_mean(model, known)}: "
            f"there are {', '.join(known)}, or a YAML file of your own"
        )
    source = resources.files("registry") / "policies" / f"{model}.yaml"
    return parse_policy(source.read_text(encoding="utf-8"), f"{model}.yaml")


def parse_policy(text: str, where: str) -> Policy:
    """Read and check a policy's YAML. `where` names the file in errors."""
    content, lines = read_yaml(text, where)
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        problems: list[Any] = list(error.errors(include_url=False))
        first = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
        raise _bad(first, where, lines) from error


def _bad(problem: Any, where: str, lines: Lines) -> BadSetting:
    """pydantic's first problem as file:line, key, what was given and what is allowed."""
    loc, keys = tuple(problem["loc"]), tuple(Policy.model_fields)
    if loc[:1] == ("gates",) and len(loc) > 3 and loc[3] in KINDS:
        keys = tuple(KINDS[loc[3]].model_fields)
        loc = (*loc[:3], *loc[4:])  # the tag of the union is no key of the file
    given: object = problem["input"]
    says = str(problem["msg"])
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        loc = (*loc, "kind")
        given = given.get("kind", MissingValue()) if isinstance(given, dict) else given
        says = ", ".join(KINDS) + did_you_mean(str(given), KINDS)
    elif problem["type"] == "missing":
        given, says = MissingValue(), "a value; it is required"
    elif problem["type"] == "extra_forbidden":
        says = no_such_key(str(loc[-1]), keys)
    elif problem["type"] == "value_error":
        says = str(problem["ctx"]["error"])
    key = ".".join(str(part) for part in loc if part != "[key]") or "the file"
    beside = (path for path in lines if path[:3] == loc[:3])  # a list's items have no line, their keys have
    place = loc if loc in lines or len(loc) < 3 else next(beside, loc)
    return BadSetting(where_at(where, place, lines), key, given, says)
