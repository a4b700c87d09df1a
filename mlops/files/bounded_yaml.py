"""Parse YAML from outside with bounded time and memory.

The events of the text are counted before any value is built: nodes with aliases expanded, levels, and the
length of numbers. So an alias bomb is refused while it is still text.
"""

from __future__ import annotations

from typing import Any

import yaml

from mlops.files.limits import NESTING, NUMBER_CHARACTERS, YAML_BYTES, YAML_NODES

# libyaml's parser, ten times as fast; Python's where PyYAML was built without it
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")

# what PyYAML raises for an invalid value such as 2026-13-45, !!bool x or a key that is a list
NO_VALUE = (ValueError, KeyError, AttributeError, IndexError, TypeError, OverflowError)
NO_YAML = (yaml.YAMLError, RecursionError, *NO_VALUE)  # and for any other invalid text


def compose(text: str) -> tuple[yaml.Node | None, Any]:
    """The document's root node (None if it is empty), and the function that turns it into plain values.

    Raises yaml.YAMLError for invalid YAML and for a document above one of the limits; one of NO_VALUE.
    """
    _refuse_bombs(text)
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
    finally:
        loader.dispose()
    return root, loader.construct_document


def load(text: str) -> object:
    """The text's content as plain values. Raises as `compose`."""
    root, construct = compose(text)
    return None if root is None else construct(root)


def _refuse_bombs(text: str) -> None:
    if len(text) > YAML_BYTES:
        raise yaml.MarkedYAMLError(problem=f"{len(text):,} characters; at most {YAML_BYTES:,} are read")
    resolver = yaml.SafeLoader("")
    sizes: dict[str, int] = {}  # nodes of each anchor, with aliases expanded
    open_: list[tuple[str | None, int]] = []  # anchor and first count of each collection around the event
    count = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_):
                raise _problem("an alias (*) inside its own anchor (&); write the value out", event)
            count += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            count += _weight(event)
            if event.anchor:
                sizes[event.anchor] = _weight(event)
            if len(event.value) > NUMBER_CHARACTERS and _is_number(event, resolver):
                says = f"a number of {len(event.value):,} characters; at most {NUMBER_CHARACTERS} are read"
                raise _problem(says, event)
        elif isinstance(event, yaml.CollectionStartEvent):
            count += 1
            open_.append((event.anchor, count))
            if len(open_) > NESTING:
                raise _problem(f"nested too deeply: more than {NESTING} levels", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor:
                sizes[anchor] = count - before + 1
        if count > YAML_NODES:
            raise _problem(f"more than {YAML_NODES:,} values, with aliases (*) written out", event)


def _weight(event: yaml.ScalarEvent) -> int:
    """A long text counts as several values, as aliases repeat it where values are printed or compared."""
    return 1 + len(event.value) // 64


def _is_number(event: yaml.ScalarEvent, resolver: Any) -> bool:
    if event.value[:1] not in "+-.0123456789":
        return False
    tag = event.tag or resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
    return tag in _NUMBERS


def _problem(says: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=says, problem_mark=event.start_mark)
