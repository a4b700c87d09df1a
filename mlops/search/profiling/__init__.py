"""How fast a recipe trains on this machine, and which settings would make it faster. Records nothing."""

from __future__ import annotations

from mlops.search.profiling.advice import Advice, Measured, as_text
from mlops.search.profiling.run import Profile, profile_training

__all__ = ["Advice", "Measured", "Profile", "as_text", "profile_training"]
