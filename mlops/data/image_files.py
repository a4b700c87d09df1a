"""Find and open image files: regular files with the content of an image and a bounded number of pixels.

A path in an annotation, or a link, may lead out of the data set, as lists with absolute paths and links to an
archive of images do. What it leads to counts only if it is a regular file that begins like an image: no other
file of this machine is opened, copied or quoted because an annotation names it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.image_suffixes import HEIF_DECODER, missing_decoder
from mlops.errors import DataFault
from mlops.files.digests import FileCache, FileKey
from mlops.files.limits import IMAGE_BYTES, IMAGE_PIXELS
from mlops.files.regular_files import is_link, is_regular, odd_kind, open_regular
from mlops.machine.processors import most_threads

if TYPE_CHECKING:
    from PIL.Image import Image

# OpenCV, by which Ultralytics reads, allows 2^30 pixels; it reads this when it is loaded
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(IMAGE_PIXELS))

_CONTENT = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|BM|RIFF....WEBP|II[*+]\0|MM\0[*+]|GIF8[79]a|P[1-7]\s|"
    rb"....ftyp(?:heic|heix|hevc|mif1|msf1|avif|avis)|\0\0\0\x0cjP  |\xff\x4f\xff\x51|\xff\x0a|"
    rb".{128}DICM|8BPS|v/1\x01|#\?RADIANCE|#\?RGBE",
    re.DOTALL,
)
LARGE = IMAGE_PIXELS // 8
# memory that decoding takes, measured; of other formats 4 and less
_BYTES_A_PIXEL = {"WEBP": 16, "AVIF": 16, "HEIF": 16, "JPEG2000": 40}
_ONE_AT_A_TIME = threading.RLock()  # images that threads decode at the same time would multiply the memory

# Pillow's decoders that only decode: not EPS and WMF, which start Ghostscript or ask Windows
_FORMATS = (
    *("JPEG", "PNG", "BMP", "WEBP", "TIFF", "MPO", "GIF", "PPM", "JPEG2000", "AVIF", "HEIF", "DIB"),
    *("TGA", "PCX", "SGI", "PSD", "QOI"),
)


def image_at(folder: Path, name: str) -> Path | None:
    """The image that an annotation beside or above `folder` names; None if there is none.

    A name that leaves `folder` (absolute, or with `..`) must lead to a file with the content of an image.
    """
    try:
        file = folder / name
    except (TypeError, ValueError):
        return None
    if not name or not is_regular(file):
        return None
    inside = Path(os.path.normpath(file)).is_relative_to(os.path.normpath(folder))
    return file if inside or begins_like_an_image(file) else None


def begins_like_an_image(file: Path) -> bool:
    """By its first bytes; False for what is not a regular file or cannot be opened."""
    try:
        with open_regular(file) as opened:
            return _CONTENT.match(opened.read(132)) is not None
    except (OSError, DataFault):
        return False


@contextmanager
def opened_image(file: Path) -> Iterator[Image]:
    """The image by Pillow, before its pixels are decoded.

    Raises DataFault for what is not a regular file, leads to one that is not an image, or has too many pixels
    or bytes; OSError and whatever Pillow's decoders raise for broken content.
    """
    from PIL import Image, UnidentifiedImageError

    with open_regular(file) as stream:
        refuse_link_to_other(file)
        if os.fstat(stream.fileno()).st_size > IMAGE_BYTES:
            raise DataFault(f"{file}: larger than {IMAGE_BYTES:,} bytes; use a smaller image")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd EXIF, large size; the limit is checked below
            try:
                opened = Image.open(stream, formats=_formats())
            except ImportError as error:  # Ultralytics replaces `open` by one that asks for pi_heif
                raise UnidentifiedImageError("cannot identify image file") from error
            except Image.DecompressionBombError as error:
                raise DataFault(_too_many(file, "more")) from error
            with opened:
                most = IMAGE_PIXELS * 4 // _BYTES_A_PIXEL.get(opened.format or "", 4)
                if opened.width * opened.height > most:
                    raise DataFault(
                        _too_many(file, f"{opened.width}x{opened.height} pixels, which is more", most)
                    )
                with _ONE_AT_A_TIME if opened.width * opened.height > LARGE else nullcontext():
                    yield opened


def _too_many(file: Path, counted: str, most: int = IMAGE_PIXELS) -> str:
    return f"{file}: {counted} than the {most:,} pixels that such an image may have; cut it into tiles"


def refuse_link_to_other(file: Path) -> None:
    """Raise DataFault for a link whose target does not begin like an image."""
    if is_link(file) and not begins_like_an_image(file):
        raise DataFault(f"{file} links to {os.path.realpath(file)}, which is not an image; it is not read")


def refuse_odd_images(files: Sequence[Path], cache: Path | None = None) -> None:
    """Raise DataFault for the first file that may not be read as an image: see `opened_image`.

    Images with broken content pass: those who decode them report them. With a cache, files
    that have not changed since the last call are not opened again.
    """
    keys = {}
    if says := missing_decoder(file.name for file in files):
        raise DataFault(f"{files[0].parent}: {says}")
    for file in files:
        if kind := odd_kind(file):
            raise DataFault(f"{file} is {kind}; expected an image")
        if is_regular(file):
            keys[file] = FileKey.of(file)
    remembered = FileCache(cache, "headers") if cache is not None else None
    known = remembered.known(list(keys.values())) if remembered is not None else {}
    unknown = [file for file, key in keys.items() if key not in known]
    with ThreadPoolExecutor(most_threads()) as pool:
        for fault in pool.map(_why_refused, unknown):
            if fault is not None:
                raise fault
    if remembered is not None and unknown:
        remembered.remember((keys[file], "") for file in unknown)


def _why_refused(file: Path) -> DataFault | None:
    try:
        with opened_image(file):
            return None
    except DataFault as fault:
        return fault
    except Exception:  # noqa: BLE001 (Pillow's decoders raise any exception on broken content)
        return None


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of `_FORMATS` that Pillow has here, with the plug-in for HEIF if it is installed."""
    from PIL import Image

    Image.init()
    if importlib.util.find_spec(HEIF_DECODER) is not None:
        from pi_heif import register_heif_opener  # type: ignore[import-not-found,unused-ignore]

        register_heif_opener()
    return tuple(each for each in _FORMATS if each in Image.OPEN)
