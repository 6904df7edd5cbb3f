"""Fit logistic regression for many photos of many species, to scikit-learn's objective in far fewer passes.

Embeddings vary along few directions much and along many little, which costs L-BFGS or Newton's method many passes over
the photos. In variables in which the objective is about equally steep in all directions, it takes some fifty.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

#: A fit ends where no slope is larger than this times the root of the number of photos: so grow the slopes of logits
#: that are equally wrong. Of few photos and weights, logits are then within .2 % of their spread of the optimum's, root
#: mean square. Of more, where each pass costs seconds, within .1 % where species overlap; where every photo is
#: recognised, the optimum is far away, and logits stay up to a fifth smaller, all alike.
_SETTLED, _SETTLED_LARGE = 5e-7, 1e-4

#: Photos, and weights, up to which a fit is not large; larger ones are done in float32.
_MANY_PHOTOS, _MANY_WEIGHTS = 2**14, 2**16

_MOST_STEPS = 1000

#: Curvature of the objective where the fit ends, on average, to that at zero weights.
_LATER = 0.05

#: Logits that are held at once.
_AT_ONCE = 2**20


def fit_softmax(Z: np.ndarray, classes: np.ndarray, C: float) -> tuple[np.ndarray, np.ndarray, bool]:
    """Multinomial logistic regression: minimise the sum of cross-entropies plus ``|weight|^2 / (2 C)``.

    Parameters
    ----------
    Z
        (image, feature) standardised embeddings, float64.
    classes
        (image,) class of each: 0, 1, 2, ...
    C
        Inverse strength of the penalty.

    Returns
    -------
    weight, bias : numpy.ndarray
        (class, feature) and (class,).
    settled : bool
        Whether the fit converged.
    """
    photos, features = Z.shape
    species = int(classes.max()) + 1
    turn, shift = _evener(Z, species, C), (_LATER * photos / species) ** -0.5
    large = photos > _MANY_PHOTOS or species * (features + 1) > _MANY_WEIGHTS
    kind = np.float32 if large else np.float64  # twice as quick; sums over photos are in float64
    Z = Z.astype(kind, copy=False)
    step = max(1, _AT_ONCE // species)

    def weights(flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        even = flat.reshape(species, features + 1)
        return even[:, :-1] @ turn, even[:, -1] * shift

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = weights(flat)
        across, shifted = weight.T.astype(kind), bias.astype(kind)
        total, slope, rise = (weight**2).sum() / (2 * C), weight / C, np.zeros(species)
        for start in range(0, photos, step):
            z = Z[start : start + step]
            own = np.arange(len(z)), classes[start : start + step]
            log_p = _log_softmax(z @ across + shifted)
            total -= log_p[own].sum(dtype=np.float64)
            error = np.exp(log_p, out=log_p)
            error[own] -= 1
            slope += error.T @ z
            rise += error.sum(0, dtype=np.float64)
        return total, np.column_stack([slope @ turn, rise * shift]).ravel()

    enough = (_SETTLED_LARGE if large else _SETTLED) * (photos / max(1, C)) ** 0.5  # a weak penalty is felt late
    options = {"gtol": enough, "ftol": 0, "maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "maxcor": 6}
    found = minimize(loss, np.zeros(species * (features + 1)), jac=True, method="L-BFGS-B", options=options)
    return *weights(found.x), bool(np.abs(found.jac).max() <= 5 * enough)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    """In place, over the last axis: `scipy.special.log_softmax` takes half as long again."""
    logits -= logits.max(1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(1, keepdims=True))
    return logits


def _evener(Z: np.ndarray, species: int, C: float) -> np.ndarray:
    """What even variables are multiplied with to give weights: symmetric (feature, feature).

    At zero weights the objective curves, for each class, as ``Z^T Z / classes + 1 / C``; later the first part is less,
    by `_LATER`, as fewer photos are in doubt. Even variables are weights times the square root of that.
    """
    share = _LATER / species
    least = max(1 / C, share * len(Z))  # no direction counts as flatter than the mean one
    level, direction = np.linalg.eigh(share * (Z.T @ Z) + least * np.eye(Z.shape[1]))
    return direction * level**-0.5 @ direction.T
