"""The largest inputs that are read. A small input must not fill the memory or take minutes.

docs/input_limits.md lists them with their reasons. What is below a limit is read in less than 1 GB of memory
beside what the data set itself needs.
"""

from __future__ import annotations

MIB = 1 << 20

# Text documents
YAML_BYTES = MIB  # the names of ImageNet-21k take 0.5 MiB; PyYAML reads about 1 MiB/s
YAML_NODES = 100_000  # with aliases (*) expanded; ImageNet-21k's names as a mapping are 44,000
NUMBER_CHARACTERS = 1000  # a float has 17 digits; converting 10^6 takes minutes
NESTING = 50  # levels of YAML, JSON; our own formats have 6, Python's parsers fail at about 1000
JSON_BYTES = 1024 * MIB  # COCO's largest file of annotations has 450 MB
JSON_SCANNED_BYTES = 32 * MIB  # up to here levels are counted beforehand, in 1 s; Python stops at about 1000
JSON_DENSE_BYTES = 8 * MIB  # `[{},{},...` takes 27 bytes of memory and 0.2 us for each byte of text
JSON_BYTES_A_CONTAINER = 16  # in larger files, on average at least; an object of COCO's has 50 to 300
TABLE_BYTES = 256 * MIB  # TABLE_ROWS of 128 characters
TABLE_ROWS = 2_000_000  # read in 3 s; ImageNet has 1.3 million images
TABLE_CELL_CHARACTERS = 131_072  # Python's own default of the csv module
ANNOTATION_BYTES = 16 * MIB  # the annotation of one image: 200,000 outlines
LIST_BYTES = 64 * MIB  # paths of images, one a line: a million
SMALL_FILE_BYTES = MIB  # class names, settings, markers
HISTORY_BYTES = 32 * MIB  # history.json, results.csv: 1000 epochs with 1000 metrics

# Contents of a data set
CLASSES = 100_000  # ImageNet-21k has 21,841
CLASS_NAME_CHARACTERS = 200  # MLflow's metric names have at most 250, with `val/AP50/` before the class
ERRORS = 20_000  # in one data set; nobody reads more, and each takes 500 bytes and 0.1 ms
WARNINGS = 400_000  # a large set may have as many images without labels
NPZ_BYTES = 64 * 1024 * MIB  # all arrays of an npz, uncompressed; MedMNIST's largest at 224 pixels has 20 GB
NPZ_RATIO = 20  # uncompressed bytes for a stored byte; images compress to a tenth, zeros to a thousandth
NPZ_DENSE_BYTES = 32 * MIB  # up to this size, any ratio
NPZ_LEAST_SIDE = 8  # pixels; scikit-learn's digits have 8, MedMNIST 28
NPZ_MEMBERS = 64  # MedMNIST's have 6

# Past runs
EPOCHS = 10_000_000  # an epoch's number is a step in MLflow, whose database takes 63 bits
SECONDS = 100 * 366 * 86_400.0

# Images
IMAGE_PIXELS = 178_956_970  # Pillow's own limit (a decompression bomb): 0.7 GB decoded
IMAGE_BYTES = 2048 * MIB  # an uncompressed TIFF of that many pixels, 16 bits, RGBA: 1.4 GB

# Names and arguments
NAME_CHARACTERS = (
    200  # of studies, data versions, experiments: part of file names, which have at most 255 bytes
)
ARGUMENT_CHARACTERS = 8192  # of one command-line argument; a path has at most 4096
