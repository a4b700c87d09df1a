"""Sign ledger entries with ed25519, for policies that list public keys."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.errors import BadSetting
from registry.ledger.entry import Action, LedgerEntry
from registry.ledger.state import Counts, every

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_VARIABLE = "MLOPS_SIGNING_KEY"


def counting(public_keys: Sequence[str]) -> Counts:
    """Which entries count under a policy's `signing_keys`; all if it lists none.

    A key is 64 hex digits, optionally after a name; a key with a name signs only for that person.
    A registration needs no signature: who trains need not release, and only a version's first one is used.
    """
    if not public_keys:
        return every
    known: dict[str, bool] = {}

    def signed(entry: LedgerEntry) -> bool:
        if entry.action is Action.REGISTER:
            return True
        if entry.digest not in known:
            known[entry.digest] = is_signed(entry, public_keys)
        return known[entry.digest]

    return signed


def is_signed(entry: LedgerEntry, public_keys: Sequence[str]) -> bool:
    """Whether the entry has a valid signature by a key of its author."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not entry.signature:
        return False
    try:
        signature = base64.b64decode(entry.signature, validate=True)
    except ValueError:
        return False
    for key in _keys_of(entry.who, public_keys):
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
                signature, bytes.fromhex(entry.content_digest)
            )
        except InvalidSignature:
            continue
        return True
    return False


def signature_for(entry: LedgerEntry, public_keys: Sequence[str]) -> str:
    """This user's signature, base64; "" without a key if the policy requires none.

    The private key is the PEM file in MLOPS_SIGNING_KEY (`openssl genpkey -algorithm ed25519`).
    Raises BadSetting if the file is not such a key, or the policy does not list the key.
    """
    path = os.environ.get(KEY_VARIABLE)
    if not path:
        if public_keys:
            raise BadSetting(
                f"policy of {entry.model}",
                KEY_VARIABLE,
                None,
                "PEM file of a key in the policy's signing_keys",
            )
        return ""
    key = _private_key(Path(path))
    if public_keys and public_key_of(key) not in _keys_of(entry.who, public_keys):
        raise BadSetting(
            f"policy of {entry.model}",
            KEY_VARIABLE,
            path,
            f"a key in its signing_keys for {entry.who}; this key is {public_key_of(key)}",
        )
    return base64.b64encode(key.sign(bytes.fromhex(entry.content_digest))).decode()


def _keys_of(who: str, public_keys: Sequence[str]) -> tuple[str, ...]:
    named = (listed.rpartition(" ") for listed in public_keys)
    return tuple(key for name, _, key in named if name in ("", who))


def public_key_of(key: Ed25519PrivateKey) -> str:
    """The public key as in policies: 64 hex digits."""
    return key.public_key().public_bytes_raw().hex()


def _private_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.expanduser().read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSetting(
            "the environment", KEY_VARIABLE, str(path), f"a readable PEM file ({error})"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BadSetting("the environment", KEY_VARIABLE, str(path), "an ed25519 key")
    return key
