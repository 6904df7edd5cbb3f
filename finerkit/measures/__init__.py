"""Measure how good maps are: scores, baselines and a suggested strength."""

from __future__ import annotations

from finerkit.measures.definitions import METRICS
from finerkit.measures.sanity import sanity_check
from finerkit.measures.scoring import score
from finerkit.measures.strength import suggest_strength

__all__ = ["METRICS", "sanity_check", "score", "suggest_strength"]
