"""The policy of a model: its requirements for each stage, read from one YAML file per model."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, ValidationError, field_validator

from mlops.errors import BadSetting, UserError
from mlops.files.limits import YAML_BYTES
from mlops.files.text_files import read_text, unquoted_if_link
from mlops.files.typed_yaml import Lines, MissingValue, Strict, did_you_mean, no_such_key, read_yaml, where_at
from registry.ledger.entry import Stage
from registry.policies.conditions import AnyGate, Gate, NotWorse

__all__ = ["GATED", "KINDS", "Policy", "Stage", "list_policies", "load_policy", "parse_policy"]

GATED = (
    Stage.STAGING,
    Stage.PRODUCTION,
)  # in this order: a later stage includes the gates of the earlier ones
KINDS = {get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(Gate)}


class Policy(Strict):
    """The policy of one registered model.

    gates: the conditions of each gated stage; `gates_for` adds those of the stages before it.
    transitions: the allowed next stages of each stage. A rollback is Archived -> Production.
    signing_keys: ed25519 public keys, 64 hex digits each, or "NAME 64-hex-digits" for a key that signs only
        for that person. If any key is listed, ledger entries that none of them signed do not count.
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
                raise ValueError(f"gates only for {' and '.join(GATED)}, not for {stage}")
            names = [gate.name for gate in gates]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice:
                raise ValueError(f"each gate once per stage; {twice!r} is in {stage} twice")
        return given

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the requirements; independent of title, comments and order of keys."""
        text = json.dumps(self.model_dump(mode="json", exclude={"title", "seed_report"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def may_go(self, source: Stage, target: Stage) -> bool:
        """Whether a version may go from `source` to `target`."""
        return target in self.transitions.get(source, ())

    def gates_for(self, stage: Stage) -> tuple[Gate, ...]:
        """All gates for entering `stage`: its own and those of the stages before it.

        A gate of a later stage replaces an earlier one of the same name. None and Archived have no gates.
        """
        held: dict[str, Gate] = {}
        if stage in GATED:
            for each in GATED[: GATED.index(stage) + 1]:
                held |= {gate.name: gate for gate in self.gates.get(each, ())}
        return tuple(held.values())

    def comparisons(self) -> tuple[NotWorse, ...]:
        """The comparisons with a champion of all stages."""
        return tuple(gate for gates in self.gates.values() for gate in gates if isinstance(gate, NotWorse))


def list_policies() -> tuple[str, ...]:
    """Models with a built-in policy, sorted."""
    folder = resources.files("registry") / "policies"
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def load_policy(model: str) -> Policy:
    """The built-in policy of `model`, or the policy in a YAML file.

    Raises UserError for a model without a policy or an unreadable file, BadSetting (file:line, key, given,
    allowed) for an invalid value in the file.
    """
    if model.endswith((".yaml", ".yml")):
        try:
            path = Path(model).expanduser()
            text = read_text(path, YAML_BYTES, UserError)
        except OSError as error:
            raise UserError(f"cannot read the policy {model}: {error.strerror}") from error
        with unquoted_if_link(path, "policy"):
            return parse_policy(text, model)
    return _shipped(model)


@functools.cache
def _shipped(model: str) -> Policy:
    """Cached, as a stage change also compares the policy in use with it."""
    known = list_policies()
    if model not in known:
        raise UserError(
            f"no policy for model {model!r}{did_you_mean(model, known)}; "
            f"use {', '.join(known)}, or pass a YAML file with --policy"
        )
    source = resources.files("registry") / "policies" / f"{model}.yaml"
    return parse_policy(source.read_text(encoding="utf-8"), f"{model}.yaml")


def parse_policy(text: str, where: str) -> Policy:
    """Parse and validate a policy's YAML. `where` is the file name for errors."""
    content, lines = read_yaml(text, where)
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        problems: list[Any] = list(error.errors(include_url=False))
        first = next((each for each in problems if each["type"] == "extra_forbidden"), problems[0])
        raise _bad(first, where, lines) from error


def _bad(problem: Any, where: str, lines: Lines) -> BadSetting:
    """pydantic's first error as file:line, key, given value and allowed values."""
    loc, keys = tuple(problem["loc"]), tuple(Policy.model_fields)
    if loc[:1] == ("gates",) and len(loc) > 3 and loc[3] in KINDS:
        keys = tuple(KINDS[loc[3]].model_fields)
        loc = (*loc[:3], *loc[4:])  # pydantic's union tag is not a key of the file
    given: object = problem["input"]
    says = str(problem["msg"])
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        loc = (*loc, "kind")
        given = given.get("kind", MissingValue()) if isinstance(given, dict) else given
        says = ", ".join(KINDS) + did_you_mean(str(given), KINDS)
    elif problem["type"] == "missing":
        given, says = MissingValue(), "a value (required)"
    elif problem["type"] == "extra_forbidden":
        says = no_such_key(str(loc[-1]), keys)
    elif problem["type"] == "value_error":
        says = str(problem["ctx"]["error"])
    key = ".".join(str(part) for part in loc if part != "[key]") or "the file"
    beside = (
        path for path in lines if path[:3] == loc[:3]
    )  # items of a list have no line, but their keys do
    place = loc if loc in lines or len(loc) < 3 else next(beside, loc)
    return BadSetting(where_at(where, place, lines), key, given, says)
