"""Measure how fast a recipe trains on this machine and which settings are faster. Records nothing."""

from __future__ import annotations

from mlops.search.profiling.advice import Advice, MeasuredSpeed, as_text
from mlops.search.profiling.profile_training import Profile, profile_training

__all__ = ["Advice", "MeasuredSpeed", "Profile", "as_text", "profile_training"]
