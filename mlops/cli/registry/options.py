"""What the commands of `mlops registry` share: how a version, a stage and a policy are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlops.errors import BadSetting, UnknownVersion

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.policies.policy import Policy
    from registry.stages.model_state import ModelState

F = TypeVar("F", bound=Callable[..., Any])

STAGES = ("staging", "production")
_MOST_DIGITS = 18  # a database holds no larger number


def policy_option(command: F) -> F:
    """Add `--policy`, handed over as `policy_file`."""
    return click.option(
        "--policy",
        "policy_file",
        metavar="FILE",
        default=None,
        help="A policy of your own (YAML) instead of the one that comes with the product.",
    )(command)


def override_option(command: F) -> F:
    """Add `--override-reason`."""
    return click.option(
        "--override-reason",
        default="",
        metavar="TEXT",
        help="In an emergency: go through whatever the gates say. The ledger keeps the reason for ever.",
    )(command)


def policy_of(model: str, policy_file: str | None) -> Policy:
    """The policy in use for `model`. Raises UserError, BadSetting, for another model's policy too."""
    from registry.policies.policy import load_policy

    policy = load_policy(policy_file or model)
    if policy.model != model:
        raise BadSetting(str(policy_file), "model", policy.model, f"{model}, whose policy is asked for")
    return policy


def keys_of(model: str, policy_file: str | None) -> tuple[str, ...]:
    """The signing keys that count for `model`; none for a model without a policy."""
    from registry.policies.policy import list_policies

    return policy_of(model, policy_file).signing_keys if policy_file or model in list_policies() else ()


def opened(model: str, policy_file: str | None, override_reason: str = "") -> ModelState:
    """`model` as it stands, an interrupted move finished first."""
    from mlops.store.client import connect
    from registry.stages.model_state import begin

    if override_reason and not override_reason.strip():
        raise BadSetting("registry", "--override-reason", override_reason, "the reason, in words")
    policy = policy_of(model, policy_file)
    return begin(connect(), model, policy, over_faults=bool(override_reason))


def named(scene: ModelState, version: str) -> str:
    """A version given as its number or as `@alias`. Raises UnknownVersion for an alias that is not there."""
    return _number(scene.model, version, scene.shelf.aliases)


def number_of(client: MlflowClient, model: str, version: str) -> str:
    """The same where no more of the model is known. Raises UnknownVersion for what can be no version."""
    if version.startswith("@"):
        from registry.stages.mlflow_state import look

        return _number(model, version, look(client, model).aliases)
    if not version.isdecimal() or len(version) > _MOST_DIGITS:
        raise UnknownVersion(
            f"{version!r} is no version of {model}: give its number, or an alias as @staging"
        )
    return version


def _number(model: str, version: str, aliases: Mapping[str, str]) -> str:
    if not version.startswith("@"):
        return version
    if version[1:] not in aliases:
        have = ", ".join(f"@{alias}" for alias in aliases) or "none"
        raise UnknownVersion(f"{model} has no alias {version}; it has {have}")
    return aliases[version[1:]]
