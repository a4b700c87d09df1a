"""The gallery of errors, and the page on which a reviewer records verdicts."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.evaluation.annotated_images import (
    ANNOTATED,
    PREDICTED,
    ImageBook,
    as_jpeg,
    beside,
    marks_on,
    with_marks,
)
from mlops.evaluation.heatmaps import heat_maps
from mlops.files.digests import sha256_of
from mlops.metrics.samples.sample_tables import ClassTable

if TYPE_CHECKING:
    from PIL.Image import Image

    from mlops.drawing.example_choice import Example
    from mlops.evaluation.context_values import EvaluationContext, Measurement

FORMAT = "mlops-verdicts/1"
PAGE, GALLERY = "review.html", "gallery"
QUESTIONS = {
    "false positive": "False positives: predicted, but no annotation matches",
    "miss": "Misses: annotated, but no prediction matches",
    "confusion": "Confusions: predicted as another class",
    "wrong": "Wrong: classified as another class",
    "right": "Correct: same as the annotation",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One image of the page. id: `false-positive-01`; says: a sentence about the model's result."""

    id: str
    kind: str
    image: str
    truth: str
    predicted: str
    score: float | None
    says: str


@dataclass(frozen=True, slots=True)
class About:
    """The subject of the verdicts; included in the file that the page saves."""

    format: str
    model: str
    version: str
    run_id: str
    dataset: str
    dataset_digest: str
    split: str
    onnx_digest: str
    threshold: float | None


def write_review(scene: EvaluationContext, measured: Sequence[Measurement]) -> list[str]:
    """Write the images and the page below `scene.folder`. Returns notes."""
    book = ImageBook(scene.held.dataset, scene.request.split)
    shown: list[tuple[Item, bytes]] = []
    notes: list[str] = []
    seen: Counter[str] = Counter()
    for each in measured:
        pictures = [book.open(example.image) for example in each.examples]
        if isinstance(each.table, ClassTable):
            drawn, missing = _with_heat(scene, each.table, each.examples, pictures)
            notes += [missing] if missing else []
        else:
            drawn = [
                with_marks(
                    picture,
                    marks_on(each.table, each.classes, example.image, each.threshold or 0.0, example.row),
                )
                for example, picture in zip(each.examples, pictures, strict=True)
            ]
        shown += zip(_items(each, seen), map(as_jpeg, drawn), strict=True)
    if not shown:
        return [*notes, "no images to show; no review page was written"]
    folder = scene.folder / GALLERY
    folder.mkdir(exist_ok=True)
    for item, picture in shown:
        (folder / f"{item.id}.jpg").write_bytes(picture)
    (scene.folder / PAGE).write_text(_page(_about(scene, measured), shown), encoding="utf-8")
    return notes


def _with_heat(
    scene: EvaluationContext, answers: ClassTable, examples: Sequence[Example], pictures: Sequence[Image]
) -> tuple[list[Image], str]:
    """The images with their heat maps; without maps, the reason."""
    if scene.source.predictor.has_boxes:
        return [with_marks(picture, ()) for picture in pictures], ""
    found = heat_maps(scene, pictures, [int(answers.predicted[example.row]) for example in examples])
    if not found.maps:
        return [with_marks(picture, ()) for picture in pictures], found.missing
    return [beside(picture, heat) for picture, heat in zip(pictures, found.maps, strict=True)], ""


def _about(scene: EvaluationContext, measured: Sequence[Measurement]) -> About:
    identity = scene.held.dataset.identity
    return About(
        format=FORMAT,
        model=scene.subject.model,
        version=scene.subject.version,
        run_id=scene.subject.run_id,
        dataset=identity.name,
        dataset_digest=identity.digest,
        split=scene.request.split,
        onnx_digest=sha256_of(scene.source.onnx),
        threshold=measured[0].threshold,
    )


def _items(measured: Measurement, seen: Counter[str]) -> list[Item]:
    """seen: number of items of each kind so far; a joint network's boxes and classes share the page."""
    items = []
    for each in measured.examples:
        seen[each.kind] += 1
        items.append(
            Item(
                id=f"{each.kind.replace(' ', '-')}-{seen[each.kind]:02d}",
                kind=each.kind,
                image=each.image,
                truth=each.truth,
                predicted=each.predicted,
                score=None if each.kind == "miss" else round(each.score, 4),
                says=_said(each, measured.threshold),
            )
        )
    return items


def _said(example: Example, threshold: float | None) -> str:
    model = f"Predicted: {example.predicted} ({example.score:.2f})"
    return {
        "false positive": f"{model}; no annotated box matches it (IoU 0.5).",
        "miss": f"Annotated: {example.truth}; no box of score >= {threshold or 0:.2f} matches (IoU 0.5).",
        "confusion": f"{model}; annotated: {example.truth}.",
        "wrong": f"{model}; label: {example.truth}.",
        "right": f"{model}; the annotation is the same.",
    }[example.kind]


def _page(about: About, shown: Sequence[tuple[Item, bytes]]) -> str:
    from jinja2 import Environment, StrictUndefined

    items = [asdict(item) for item, _ in shown]
    content = json.dumps([asdict(about), items], sort_keys=True)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(Path(__file__).with_name("review.html.j2").read_text(encoding="utf-8"))
    return template.render(
        about=asdict(about),
        page=hashlib.sha256(content.encode()).hexdigest(),
        items=items,
        pictures={item.id: base64.b64encode(picture).decode() for item, picture in shown},
        kinds={kind: QUESTIONS[kind] for kind in dict.fromkeys(item.kind for item, _ in shown)},
        annotated=ANNOTATED,
        predicted=PREDICTED,
    )
