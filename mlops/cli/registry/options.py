"""Options and arguments that the commands of `mlops registry` share: version, stage and policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlops.errors import BadSetting, UnknownVersion
from mlops.redaction import redact_recorded

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from registry.policies.policy import Policy
    from registry.stages.model_state import ModelState

F = TypeVar("F", bound=Callable[..., Any])

STAGES = ("staging", "production")
_MOST_DIGITS = 18  # a database holds no larger number


def _given(context: click.Context, parameter: click.Parameter, name: str) -> str:
    if not name.strip():
        allowed = "the name of a registered model; list them with `mlops registry status`"
        raise BadSetting(context.command_path, "MODEL", name, allowed)
    return name


model_argument = click.argument("model", callback=_given)


def _readable(context: click.Context, parameter: click.Parameter, file: str | None) -> str | None:
    """Read the policy before anything is asked of the server, so that a mistake in it costs nothing."""
    if file:
        from registry.policies.policy import load_policy

        load_policy(file)
    return file


def policy_option(command: F) -> F:
    """Add `--policy`, passed as `policy_file`."""
    return click.option(
        "--policy",
        "policy_file",
        metavar="FILE",
        default=None,
        callback=_readable,
        help="Policy file (YAML) to use instead of the built-in policy.",
    )(command)


def public_text(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Remove secrets from a text that the ledger keeps for good."""
    return redact_recorded(value)


def override_option(command: F) -> F:
    """Add `--override-reason`."""
    return click.option(
        "--override-reason",
        default="",
        metavar="TEXT",
        callback=public_text,
        help="Emergency only: proceed even if gates refuse. The ledger records the reason.",
    )(command)


def policy_of(model: str, policy_file: str | None) -> Policy:
    """The policy in use for `model`. Raises UserError; BadSetting for a policy of another model."""
    from registry.policies.policy import load_policy

    policy = load_policy(policy_file or model)
    if policy.model != model:
        raise BadSetting(str(policy_file), "model", policy.model, f"{model} (the MODEL of this command)")
    return policy


def keys_of(model: str, policy_file: str | None) -> tuple[str, ...]:
    """The signing keys of the policy of `model`; () without a policy."""
    from registry.policies.policy import list_policies

    return policy_of(model, policy_file).signing_keys if policy_file or model in list_policies() else ()


def opened(
    model: str, policy_file: str | None, override_reason: str = "", *, only_read: bool = False
) -> ModelState:
    """The state of `model`, after an interrupted stage change is finished and every version is in the ledger.

    only_read: do not write versions into the ledger.
    """
    from mlops.store.client import connect
    from registry.stages.late_registration import register_late
    from registry.stages.model_state import begin

    if override_reason and not override_reason.strip():
        raise BadSetting("registry", "--override-reason", override_reason, "a reason that is not blank")
    policy = policy_of(model, policy_file)
    client = connect()
    scene = begin(client, model, policy, over_faults=bool(override_reason))
    if only_read or scene.chain.unanswered or not scene.unregistered:
        return scene
    late = register_late(client, model)
    if not late:
        return scene
    says = f"registered late, with their files as found: version {', '.join(entry.version for entry in late)}"
    fresh = begin(client, model, policy, over_faults=bool(override_reason))
    return replace(fresh, found=(*scene.found, says))


def named(scene: ModelState, version: str) -> str:
    """The number of a version given as number or `@alias`. Raises UnknownVersion for an unknown alias."""
    return _number(scene.model, version, scene.shelf.aliases)


def number_of(client: MlflowClient, model: str, version: str) -> str:
    """The same without the state of the model. Raises UnknownVersion for an invalid version, too."""
    if version.startswith("@"):
        from registry.stages.mlflow_state import look

        return _number(model, version, look(client, model).aliases)
    if not version.isdecimal() or len(version) > _MOST_DIGITS:
        raise UnknownVersion(
            f"{version!r} is not a version of {model}; use a version number or an alias such as @staging"
        )
    return version


def _number(model: str, version: str, aliases: Mapping[str, str]) -> str:
    if not version.startswith("@"):
        return version
    if version[1:] not in aliases:
        have = ", ".join(f"@{alias}" for alias in aliases) or "none"
        raise UnknownVersion(f"{model} has no alias {version}; its aliases: {have}")
    return aliases[version[1:]]
