"""Spread evidence that adds up over a finer grid, as a guide map of that grid says.

Class by class, every coarse cell p keeps its evidence E[p] and hands it to the fine cells q around it, in proportion to
what a guide G (a map of the same class on the finer grid, HiResCAM's) says there, positive to positive and negative to
negative::

    S(E, G)[q] = s+[q] sum_p n(p, q) max(E[p], 0) / Z+[p]  -  s-[q] sum_p n(p, q) max(-E[p], 0) / Z-[p]

    s+[q] = max(G[q], 0),  s-[q] = max(-G[q], 0),  Z[p] = sum_q n(p, q) s[q]

with n(p, q) the product over both axes of max(0, 1 - d / radius), d the distance between centres in coarse cells. Hence
``sum_q S[q] = sum_p E[p]``, exactly; evidence moves by less than `radius` cells along either axis; a class's fine
evidence depends on that class alone, so contrasts stay linear in the strength and in the references.
"""

from __future__ import annotations

import numpy as np

#: How far evidence may move, in coarse cells along each axis: best of 1, 1.5 and 2 by pixel precision and nearness.
RADIUS = 1.5

#: Every fine cell counts at least this share of the guide's mean, so that evidence far from all the guide marks (its
#: grids are not in step) is spread evenly rather than divided by zero.
_FLOOR = 1e-3


def spread_evidence(coarse: np.ndarray, guide: np.ndarray, radius: float = RADIUS) -> np.ndarray:
    """Spread evidence over a finer grid without adding or losing any.

    Parameters
    ----------
    coarse
        (..., y, x): signed evidence in logits, such as (image, class, y, x).
    guide
        (..., fine y, fine x): signed, on any scale, of the same image and class; at least as many rows and columns.
    radius
        How far evidence may move along each axis, in coarse cells; at least 1.

    Returns
    -------
    numpy.ndarray
        float32 (..., fine y, fine x), in logits: summed over the cells it is the coarse evidence's sum. NaN throughout
        a map whose evidence or guide is not finite.
    """
    down, across = (_nearness(guide.shape[axis], coarse.shape[axis], radius) for axis in (-2, -1))
    known = np.isfinite(coarse).all((-2, -1), keepdims=True) & np.isfinite(guide).all((-2, -1), keepdims=True)
    evidence, marks = (np.where(known, a, 0).astype(np.float64) for a in (coarse, guide))
    fine = sum(sign * _spread(np.maximum(sign * evidence, 0), _shares(sign * marks), down, across) for sign in (1, -1))
    return np.where(known, fine, np.nan).astype(np.float32)


def _spread(evidence: np.ndarray, share: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Spread evidence that is not negative in proportion to positive shares nearby."""
    return share * (down @ (evidence / (down.T @ share @ across)) @ across.T)


def _shares(marks: np.ndarray) -> np.ndarray:
    """Positive part of the marks with a floor; even where there is none."""
    share = np.maximum(marks, 0)
    mean = share.mean((-2, -1), keepdims=True)
    return np.where(mean > 0, share + _FLOOR * mean, 1)


def _nearness(fine: int, coarse: int, radius: float) -> np.ndarray:
    """(fine, coarse): 1 where centres coincide, falling linearly to 0 at `radius` coarse cells."""
    at = (np.arange(fine) + 0.5) / fine * coarse
    return np.maximum(1 - np.abs(at[:, None] - (np.arange(coarse) + 0.5)) / radius, 0)
