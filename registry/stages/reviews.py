"""A reviewer's verdicts on a version's images, saved from the page of `mlops evaluate`, as evidence."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops.errors import UserError
from mlops.store.client import asking
from registry.stages.judgement import evidence_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TAGS = {"dataset_digest": "mlops.dataset_digest", "onnx_digest": "mlops.onnx_digest"}
_LARGEST_BYTES = 10_000_000


class _Verdict(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    verdict: Literal["agree", "disagree", "unsure", ""]


class _Saved(BaseModel):
    """The file of the page; other keys are stored but ignored."""

    model_config = ConfigDict(extra="ignore")

    format: Literal["mlops-verdicts/1"]
    model: str
    version: str
    dataset_digest: str
    onnx_digest: str
    reviewer: str
    verdicts: list[_Verdict]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """text: the file's content; digest: its SHA-256. open: images without a verdict."""

    text: str
    digest: str
    reviewer: str
    agree: int
    disagree: int
    unsure: int
    open: int

    def in_words(self) -> str:
        looked_at = self.agree + self.disagree + self.unsure
        counts = f"{self.agree} agree, {self.disagree} disagree, {self.unsure} unsure"
        return f"{self.reviewer} reviewed {looked_at} of {looked_at + self.open} images: {counts}"


def read_verdicts(client: MlflowClient, model: str, version: str, file: Path) -> Reviewed:
    """Read the verdicts in `file` and check that they are for this version and its test data.

    Raises UserError for an invalid file, another version, model file or data, and without any verdict.
    """
    saved, text = _read(file)
    with asking(f"reading {model}/{version}"):
        tags = client.get_model_version(model, version).tags or {}
    if (saved.model, saved.version) != (model, version):
        of = f"{saved.model}/{saved.version}" if saved.model else "a run without a version"
        raise UserError(
            f"{file} has verdicts on {of}, not on {model}/{version}; pass the file saved from its page"
        )
    for name, tag in _TAGS.items():
        said, known = getattr(saved, name), tags.get(tag, "")
        if said != known:
            what = name.replace("_", " ")
            raise UserError(
                f"{file} is for the {what} {said[:16]}, but {model}/{version} has {known[:16] or 'none'}; "
                f"create a new page with `mlops evaluate {model}/{version}`"
            )
    counts = Counter(each.verdict for each in saved.verdicts)
    if counts[""] == len(saved.verdicts):
        raise UserError(f"{file} has no verdict on any of its {len(saved.verdicts)} images")
    return Reviewed(
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        reviewer=saved.reviewer.strip() or "an unnamed reviewer",
        agree=counts["agree"],
        disagree=counts["disagree"],
        unsure=counts["unsure"],
        open=counts[""],
    )


def keep_verdicts(client: MlflowClient, model: str, version: str, reviewed: Reviewed) -> str:
    """Log the verdicts to the training run, where `registry verify` checks them; returns their path.

    Raises UserError for a version without a run.
    """
    path = evidence_path(model, version, reviewed.digest)
    with asking(f"storing the verdicts on {model}/{version}"):
        run_id = client.get_model_version(model, version).run_id
        if not run_id:
            raise UserError(f"{model}/{version} has no run to log the verdicts to")
        client.log_text(run_id, reviewed.text, path)
    return path


def _read(file: Path) -> tuple[_Saved, str]:
    try:
        if file.stat().st_size > _LARGEST_BYTES:
            raise UserError(
                f"{file} is larger than {_LARGEST_BYTES // 10**6} MB, so it is not a verdicts file"
            )
        text = file.read_text(encoding="utf-8")
        return _Saved.model_validate_json(text), text
    except (ValidationError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} is not a verdicts file saved from the page of `mlops evaluate`: {_first(error)}"
        ) from error


def _first(error: ValidationError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not valid UTF-8"
    found = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in found["loc"])
    return f"{where}: {found['msg']}" if where else str(found["msg"])
