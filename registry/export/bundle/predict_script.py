"""The script of a bundle; it needs only onnxruntime, pillow and numpy."""

from __future__ import annotations

_HEAD = '''"""{says}: python predict.py IMAGE [MODEL.onnx]"""
import json, pathlib, sys
import numpy, onnxruntime
from PIL import Image, ImageOps

model = sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).with_name("{model}")
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
says = json.loads(session.get_modelmeta().custom_metadata_map["preprocessing"])
'''

_IN_8_BITS = """if picture.mode.startswith("I;16"):  # Pillow would clip it to white
    picture = Image.fromarray((numpy.asarray(picture) // 256).astype(numpy.uint8))
"""

_CLASSES = (
    """picture = Image.open(sys.argv[1])
"""
    + _IN_8_BITS
    + """picture = picture.convert("RGB").resize((says["side"], says["side"]), Image.Resampling.BILINEAR)
values = numpy.asarray(picture, numpy.float32).transpose(2, 0, 1)[None] * numpy.float32(says["scale"])
probabilities = session.run(None, {"images": values})[0][0]
for index in numpy.argsort(-probabilities):
    print(f"{says['classes'][index]}\\t{probabilities[index]:.4f}")
"""
)

_LETTERBOX = (
    """picture, side = ImageOps.exif_transpose(Image.open(sys.argv[1])), says["side"]
"""
    + _IN_8_BITS
    + """picture = picture.convert("RGB")
ratio = side / max(picture.size)
size = [min(int(numpy.ceil(length * ratio)), side) for length in picture.size]
gain = [new / old for new, old in zip(size, picture.size)]
corner = tuple(round((side - length) / 2 - 0.1) for length in size)
back = (1 / gain[0], 0, 0, 0, 1 / gain[1], 0)
small = picture.transform(size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
board = Image.new("RGB", (side, side), (says["pad_value"],) * 3)
board.paste(small, corner)
values = numpy.asarray(board, numpy.float32).transpose(2, 0, 1)[None] * numpy.float32(says["scale"])
"""
)

_BOXES = """rows = session.run(["boxes"], {"images": values})[0][0]
for *box, score, index in rows[rows[:, 4] > 0]:
    box = numpy.clip((box - numpy.tile(corner, 2)) / numpy.tile(gain, 2), 0, picture.size * 2)
    print(says["classes"][int(index)], f"{score:.4f}", *(f"{edge:.1f}" for edge in box), sep="\\t")
"""

_AND_CLASSES = """probabilities = session.run(["class_probabilities"], {"images": values})[0][0]
for index in numpy.argsort(-probabilities):
    print(f"{says['image_classes'][index]}\\t{probabilities[index]:.4f}")
"""


def script(model: str, *, boxes: bool, classes: bool, letterbox: bool) -> str:
    """`predict.py` for the file `model` in the same folder.

    It prints one line per class, `class TAB probability`, or per box, `class TAB score TAB x1 TAB y1 TAB x2
    TAB y2` in pixels, most confident first; for a joint version the boxes, then the classes of the image.
    letterbox: pad the image to a square; else stretch it, as for a classifier.
    """
    says = "Print the boxes in an image" if boxes else "Print the class probabilities of an image"
    if boxes and classes:
        says += " and its class probabilities"
    head = _HEAD.format(says=says, model=model)
    if not letterbox:
        return head + _CLASSES
    return head + _LETTERBOX + (_BOXES if boxes else "") + (_AND_CLASSES if classes else "")
