"""Which files are images, by their names, and which of them nothing here can decode."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections import Counter
from collections.abc import Iterable

# suffixes that both Ultralytics and Pillow read, and Pillow's name of the format
FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
HEIF_DECODER = "pi_heif"  # the plug-in that Ultralytics uses; it would install it by itself
_HEIF = frozenset((".heic", ".heif"))
_OTHERS = frozenset(
    (".avif", ".gif", ".jxl", ".jp2", ".dcm", ".dng", ".jfif", ".pgm", ".ppm", ".psd", ".exr", ".hdr")
)


def is_picture(name: str) -> bool:
    """By name: a known suffix, and not hidden (macOS keeps file attributes in `._a.jpg`)."""
    return not name.startswith(".") and _suffix(name) in _suffixes()


def needs_decoder(name: str) -> bool:
    """Whether it is a HEIF image, by name, and there is no decoder for it."""
    return _suffix(name) in _HEIF and not _has_heif()


def missing_decoder(names: Iterable[str]) -> str | None:
    """A message with the pip command; None if none of `names` needs a decoder that is missing."""
    count = sum(map(needs_decoder, names))
    if not count:
        return None
    return f"{count} HEIF images need {HEIF_DECODER}, which is not installed: pip install {HEIF_DECODER}"


def left_out(names: Iterable[str]) -> str | None:
    """A message that counts the images of formats that are not read, by suffix; None without any."""
    counts = Counter(suffix for suffix in map(_suffix, names) if suffix in _OTHERS)
    if not counts:
        return None
    counted = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    return f"images of formats that are not read are left out: {counted}; convert them to PNG"


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (20,000 times)


@functools.cache
def _has_heif() -> bool:
    return importlib.util.find_spec(HEIF_DECODER) is not None


@functools.cache
def _suffixes() -> frozenset[str]:
    return frozenset(FORMAT_OF_SUFFIX) | (_HEIF if _has_heif() else frozenset())
