"""Identify what a result was computed from: which study, which network, which species head.

Engine, device and versions are provenance, not identity: they may differ by rounding only.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Identity:
    """What a result was computed from; the same text means the same thing.

    Attributes
    ----------
    study : str
        A uuid that the study got when it was made.
    network : str
        Hash of weights, preprocessing, split and precision.
    head : str
        Hash of the head's species, the labels it was fitted to and how they were split into folds, its weights and
        bias. "" while it is being fitted.
    """

    study: str
    network: str
    head: str

    @classmethod
    def from_attrs(cls, attrs: Mapping[str, Any]) -> Identity:
        """Read what `to_attrs` wrote; "" for what is not said."""
        return cls(*(str(attrs.get(f"{field.name}_id", "")) for field in fields(cls)))

    def differs(self, other: Identity) -> str:
        """Return the first of "study", "network" and "head" that is another one; "" if none is."""
        return next((f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)), "")

    def to_attrs(self) -> dict[str, str]:
        """Return it as attrs of a dataset: ``study_id``, ``network_id`` and ``head_id``."""
        return {f"{name}_id": value for name, value in asdict(self).items()}


def hashed(*parts: Any) -> str:
    """Return a short hash of plain values (as JSON), text, and bytes."""
    digest = hashlib.sha256()
    for part in parts:
        data = bytes(part) if isinstance(part, bytes | memoryview) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]
