"""Read one Pascal VOC annotation."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.dataset import Box
from mlops.data.faults import Fault, fault
from mlops.data.readers.images import upright_size
from mlops.data.readers.yolo_labels import TOLERANCE, box_of_corners

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, slots=True)
class VocObject:
    """One object; box: with class 0, since the classes are known only when all files are read."""

    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class Annotation:
    """declared_size: width and height in pixels; None where the file does not state them."""

    objects: tuple[VocObject, ...] = ()
    faults: tuple[Fault, ...] = ()
    declared_size: tuple[int, int] | None = None


def read_annotation(file: Path, picture: Path) -> Annotation:
    """The objects of one annotation; one with an error or without area is left out, with a fault."""
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        content = file.read_bytes()
        tree = fromstring(content)
    except ParseError as error:
        says = f"no XML: {error.msg}"
        return Annotation(faults=(fault("unreadable-label", file, says, error.position[0]),))
    except DefusedXmlException as error:
        return Annotation(
            faults=(fault("unreadable-label", file, f"XML that is not to be trusted: {error}"),)
        )
    except (ValueError, LookupError) as error:  # an encoding that expat does not know, such as GB2312
        return Annotation(faults=(fault("unreadable-label", file, f"no XML: {error}; save it as UTF-8"),))
    declared = _declared_size(tree)
    try:
        width, height = declared or upright_size(picture)
    except OSError:
        says = "states no picture size, and the picture cannot be read"
        return Annotation(faults=(fault("unreadable-label", file, says),))
    lines = [content.count(b"\n", 0, each.start()) + 1 for each in re.finditer(rb"<object[\s>]", content)]
    objects: list[VocObject] = []
    faults: list[Fault] = []
    for position, element in enumerate(tree.iter("object")):
        line = lines[position] if position < len(lines) else None
        found, wrong = _read_object(element, width, height, file, line)
        faults.extend(wrong)
        if found is not None:
            objects.append(found)
    return Annotation(tuple(objects), tuple(faults), declared)


def box_of(found: VocObject, index: int) -> Box:
    """An object's box with its class's number."""
    return Box(index, found.box.x, found.box.y, found.box.width, found.box.height)


def _read_object(
    element: Element, width: int, height: int, file: Path, line: int | None
) -> tuple[VocObject | None, list[Fault]]:
    name = (element.findtext("name") or "").strip()
    if not name:
        return None, [fault("unknown-class", file, "an object has no name", line)]
    texts = [element.findtext(f"bndbox/{corner}") for corner in _CORNERS]
    if any(text is None for text in texts):
        lost = _CORNERS[texts.index(None)]
        return None, [fault("wrong-columns", file, f"{name}: the box has no {lost}", line)]
    try:
        values = [float(text or "") for text in texts]
    except ValueError as error:
        return None, [fault("not-a-number", file, f"{name}: {error}", line)]
    if not all(map(math.isfinite, values)):
        return None, [fault("not-a-number", file, f"{name}: a corner is NaN or infinite", line)]
    corners = [each / side for each, side in zip(values, (width, height) * 2, strict=True)]
    if min(corners) < -TOLERANCE or max(corners) > 1 + TOLERANCE:
        given = ", ".join(f"{each:g}" for each in values)
        says = f"{name}: the box ({given}) leaves the {width}x{height} picture"
        return None, [fault("outside-image", file, says, line)]
    left, top, right, bottom = corners
    box, faults = box_of_corners(0, left, top, right, bottom, file, line)
    return (None if box is None else VocObject(name, box)), faults


def _declared_size(tree: Element) -> tuple[int, int] | None:
    try:
        width, height = (int(float(tree.findtext(f"size/{each}") or "0")) for each in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None
