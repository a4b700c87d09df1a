"""Open each image once: find whether it is readable, its format and its perceptual hash."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlops.data.image_files import LARGE, opened_image
from mlops.data.pixels import as_8_bits
from mlops.data.readers.layout import lies_on_its_side
from mlops.errors import DataFault, brief
from mlops.files.digests import FileCache, FileKey, sha256_of
from mlops.machine.processors import most_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

THUMB = 16  # pixels, square
_DRAFT = 64  # pixels: a JPEG is decoded at the smallest of 1/8, 1/4, 1/2 that stays above
_LAYOUT = 2  # version of the cached entries: raise it when a look changes
_REDUCTION = 8
_REDUCED = ("L", "RGB", "CMYK", "YCbCr", "F", "I")  # modes that Pillow's `reduce` takes
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Look:
    """Format, size and appearance of an image.

    problem: why it cannot be read, or "".
    format: Pillow's name of its format, whatever its suffix; width, height: pixels as stored, before the EXIF
        rotation; turned: EXIF states a quarter turn.
    phash: 64-bit perceptual hash; thumb: THUMB x THUMB grey values, base64.
    """

    sha256: str
    problem: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    turned: bool = False
    phash: int = 0
    thumb: str = ""


def look_at_files(files: Sequence[Path], cache: Path, on_progress: OnProgress) -> dict[Path, Look]:
    """A look at each file; files that have not changed since the last call are not read again.

    Runs in threads, since hashing and decoding release the GIL. A missing file is a problem.
    """
    looks, keys = _remembered(files, cache)
    missing = [file for file in files if file not in looks]
    new: list[tuple[Path, Look]] = []
    on_progress(len(looks), len(files))
    with ThreadPoolExecutor(most_threads()) as pool:
        for file, look in zip(missing, pool.map(_look_at_file, missing), strict=True):
            looks[file] = look
            new.append((file, look))
            on_progress(len(looks), len(files))
            if len(new) >= 2000:  # an interruption loses at most these
                _remember(new, keys, cache)
                new.clear()
    _remember(new, keys, cache)
    return looks


def look_at_tiles(tiles: NDArray[np.uint8]) -> Iterator[Look]:
    """A look at each of (N, H, W, 3) RGB images; equal images share one."""
    from PIL import Image

    known: dict[str, Look] = {}
    for tile in tiles:
        sha256 = hashlib.sha256(tile.tobytes()).hexdigest()
        if sha256 not in known:
            picture = Image.fromarray(tile)
            appearance = _appearance(picture)
            known[sha256] = Look(sha256, "", "tile", picture.width, picture.height, False, *appearance)
        yield known[sha256]


def thumb_of(look: Look) -> bytes:
    return base64.b64decode(look.thumb)


def _look_at_file(file: Path) -> Look:
    sha256 = ""
    try:
        with opened_image(file) as picture:
            known, (width, height) = picture.format or "", picture.size
            turned = lies_on_its_side(picture)
            sha256 = sha256_of(file)
            picture.draft("L", (_DRAFT, _DRAFT))
            picture.load()
            return Look(sha256, "", known, width, height, turned, *_appearance(picture))
    except OSError as error:
        return Look(sha256, error.strerror or _unnamed(error))
    except DataFault as error:
        return Look("", str(error).removeprefix(str(file)).lstrip(": "))
    except Exception as error:  # noqa: BLE001 (Pillow's decoders raise any exception on broken content)
        return Look(sha256, _unnamed(error))


def _unnamed(error: Exception) -> str:
    """Pillow's message without the object that it was given, in one line."""
    return brief(re.sub(r"<_io\.\w+ (?:object at|name=)[^>]*>", "its content", str(error)))


def _appearance(picture: Image) -> tuple[int, str]:
    """Perceptual hash and thumbnail."""
    import imagehash
    import numpy as np
    from PIL import Image

    if picture.width * picture.height > LARGE:  # another copy of the whole would be too much memory
        if picture.mode in ("RGBA", "LA"):
            picture = picture.convert("L")  # `reduce` would copy all four channels
        if picture.mode in _REDUCED:
            picture = picture.reduce(_REDUCTION)
    grey = as_8_bits(picture).convert("L")
    bits = imagehash.phash(grey).hash.ravel()
    thumb = grey.resize((THUMB, THUMB), Image.Resampling.BOX).tobytes()
    return int(np.packbits(bits).view(">u8")[0]), base64.b64encode(thumb).decode()


def _remembered(files: Sequence[Path], cache: Path) -> tuple[dict[Path, Look], dict[Path, FileKey]]:
    keys: dict[Path, FileKey] = {}
    for file in files:
        try:
            keys[file] = FileKey.of(file)
        except OSError:  # reported when it is opened
            continue
    known = FileCache(cache, "looks").known(list(keys.values()))
    stored = ((file, json.loads(known[key])) for file, key in keys.items() if key in known)
    return {file: Look(**fields) for file, (layout, fields) in stored if layout == _LAYOUT}, keys


def _remember(looks: Iterable[tuple[Path, Look]], keys: dict[Path, FileKey], cache: Path) -> None:
    """Cache looks and the digests computed with them."""
    kept = [(keys[file], look) for file, look in looks if file in keys and look.sha256]
    if kept:
        FileCache(cache, "looks").remember((key, json.dumps([_LAYOUT, asdict(look)])) for key, look in kept)
        FileCache(cache, "digests").remember((key, look.sha256) for key, look in kept)
