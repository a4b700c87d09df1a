"""The colours of all figures. Imports nothing, so that whoever draws may have them."""

from __future__ import annotations

from typing import Any

# Okabe and Ito's colours, that people with any colour vision tell apart; lines beyond them change their dash
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C00", "#000000")
DASHES = ("-", "--", ":", "-.")


def style(index: int) -> dict[str, Any]:
    """Colour and dash of the line number `index`; no two of the first 32 look the same."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[index // len(COLOURS) % len(DASHES)],
    }
