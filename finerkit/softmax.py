"""Fit logistic regression in blocks, to scikit-learn's objective.

For collections whose photos x classes, or whose embeddings in float64, are too large to hold. Memory grows with
classes x features (some twenty times the weights in float32) and features x features, and one block.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from finerkit.blocks import row_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from finerkit.blocks import Embedding

    Change = Callable[[torch.Tensor], torch.Tensor]

#: A fit ends where no slope, in the variables of `_evener`, is larger than this times the root of the number of photos:
#: so grow the slopes of logits that are equally wrong. Logits by few weights are then within half a percent of their
#: spread of the optimum's in each photo, those by many weights (root mean square) within .6 %.
_SETTLED, _SETTLED_LARGE = 5e-7, 1e-5

#: Photos up to which fits end there. Of more, each pass costs seconds, and species that nothing confuses would take
#: hundreds of passes: those fits end at slopes that are `_SOONER` times as large.
_MANY, _SOONER = 2**14, 100

#: Largest slope at which rounding to float32 may end a fit of many weights before that.
_ROUNDING = 0.05

#: Pairs of steps and gradients that L-BFGS remembers; each is twice as large as the weights.
_HISTORY = 6

_MOST_STEPS = 300

#: Weights up to which a head is fitted in float64, and without torch's optimisers, which take 170 MB to import.
_SMALL = 2**16

#: Curvature of the objective where the fit ends, on average, to that at zero weights.
_LATER = 0.05


class Problem(NamedTuple):
    """What a head is fitted to."""

    embedding: Embedding  # (image, feature)
    rows: np.ndarray  # (row,) ascending positions of the photos to learn from
    classes: np.ndarray  # (row,) class of each: 0, 1, 2, ...
    mean: np.ndarray  # (feature,) subtracted from embeddings
    scale: np.ndarray  # (feature,) that they are then divided by
    C: float  # inverse strength of the penalty
    start: tuple[np.ndarray, np.ndarray] | None = None  # weight and bias to begin with, as `fit_softmax` returns them


def fit_softmax(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression on standardised embeddings, block by block.

    Minimises ``sum of cross-entropies + |weight|^2 / (2 C)``, as `sklearn.linear_model.LogisticRegression` does, by
    L-BFGS in the variables of `_evener`; on a GPU where there is one.

    Parameters
    ----------
    problem
        Photos, classes and penalty.

    Returns
    -------
    weight, bias : numpy.ndarray
        float32 (class, feature) and (class,), for standardised embeddings.

    Warns
    -----
    UserWarning
        If the fit did not settle.
    """
    shape = int(problem.classes.max()) + 1, problem.embedding.shape[1]
    size = shape[0] * (shape[1] + 1)
    flat, slope, enough = (_fit_small if size <= _SMALL else _fit_large)(problem, shape)
    if slope > enough:
        warnings.warn(
            f"The species head did not converge in {_MOST_STEPS} steps; its logits may be off. Try "
            "head='nearest_mean', or a smaller C.",
            stacklevel=4,
        )
    return _parts(flat.astype(np.float32), shape)


def _fit_small(problem: Problem, shape: tuple[int, int]) -> tuple[np.ndarray, float, float]:
    """By SciPy, in float64; returns the flat weights, their largest slope, and the slope that is small enough.

    The variables are not the weights but what `_evener` makes weights of.
    """
    from scipy.optimize import minimize

    even, uneven = _evener(problem, shape, torch.float64)

    def weights(flat: np.ndarray) -> torch.Tensor:
        return even(torch.from_numpy(flat).to(_device()))

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        total, gradient = _loss(problem, weights(flat), shape)
        return total, even(gradient).cpu().numpy()

    start = np.zeros(shape[0] * (shape[1] + 1))
    if problem.start is not None:
        start = uneven(torch.from_numpy(np.concatenate([part.ravel() for part in problem.start]))).numpy()
    enough = _SETTLED * (len(problem.rows) / max(1, problem.C)) ** 0.5  # a weak penalty is felt late
    enough *= _SOONER if len(problem.rows) > _MANY else 1
    options = {"gtol": enough, "ftol": 0, "maxcor": _HISTORY, "maxiter": _MOST_STEPS}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return weights(found.x).cpu().numpy(), float(np.abs(found.jac).max()), 5 * enough


def _fit_large(problem: Problem, shape: tuple[int, int]) -> tuple[np.ndarray, float, float]:
    """By torch, in float32, whose search along a line gets on with rounding: half the passes, half the memory.

    The variables are not the weights but what `_evener` makes weights of.
    """
    even, _ = _evener(problem, shape, torch.float32)
    flat = torch.zeros(shape[0] * (shape[1] + 1), device=_device())
    unit = 1.0

    def closure() -> float:
        loss, gradient = _loss(problem, even(flat * unit), shape)
        flat.grad = even(gradient)
        return loss / unit

    closure()
    unit = _LATER * float(flat.grad.abs().sum()) or 1.0  # torch's first step is one unit in all: so it is Newton's
    optimiser = torch.optim.LBFGS(
        [flat],
        max_iter=_MOST_STEPS,
        history_size=_HISTORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=_SETTLED_LARGE * len(problem.rows) ** 0.5,
        tolerance_change=0,
    )
    optimiser.step(closure)
    return even(flat * unit).cpu().numpy(), float(flat.grad.abs().max()), _ROUNDING


def _evener(problem: Problem, shape: tuple[int, int], dtype: torch.dtype) -> tuple[Change, Change]:
    """The change of variables in which the objective is about equally steep in all directions, and its inverse.

    Embeddings vary along few directions much and along many little, which costs L-BFGS two to five times the steps.
    At zero weights the objective curves, for each class, as ``X^T X / classes + 1 / C``; later the first part is less,
    by `_LATER`, as fewer photos are in doubt. Weights are variables times the inverse square root of that, which is
    symmetric: gradients turn the same way.
    """
    classes, features = shape
    mean, scale = (torch.from_numpy(v) for v in (problem.mean, problem.scale))
    curved = torch.zeros(features, features, dtype=torch.float64)
    for at in row_blocks(problem.rows, 2 * features):
        x = torch.from_numpy(problem.embedding[at]).double().sub_(mean).div_(scale)
        curved.addmm_(x.T, x)
    share = _LATER / classes
    least = max(1 / problem.C, share * len(problem.rows))  # no direction counts as flatter than the mean one
    level, direction = torch.linalg.eigh(share * curved + least * torch.eye(features))
    turn = (direction * level.rsqrt() @ direction.T).to(_device(), dtype)
    shift = (share * len(problem.rows)) ** -0.5

    def even(flat: torch.Tensor) -> torch.Tensor:
        weight, bias = _parts(flat, shape)
        return torch.cat([(weight @ turn).reshape(-1), bias * shift])

    def uneven(flat: torch.Tensor) -> torch.Tensor:
        weight, bias = _parts(flat, shape)
        return torch.cat([(weight @ (direction * level.sqrt() @ direction.T)).reshape(-1), bias / shift])

    return even, uneven


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _parts(flat: Any, shape: tuple[int, int]) -> tuple[Any, Any]:
    """Views, of an array or tensor, of the weight (class, feature) and of the bias (class,)."""
    cut = shape[0] * shape[1]
    return flat[:cut].reshape(shape), flat[cut:]


def _loss(problem: Problem, flat: torch.Tensor, shape: tuple[int, int]) -> tuple[float, torch.Tensor]:
    """The objective and its gradient, summed over blocks of photos in the type of the flat weights."""
    weight, bias = _parts(flat, shape)
    gradient = torch.zeros_like(flat)
    slope, shift = _parts(gradient, shape)
    mean, scale = (torch.from_numpy(v).to(flat) for v in (problem.mean, problem.scale))
    raw = weight / scale
    total = float(torch.linalg.vector_norm(weight)) ** 2 / (2 * problem.C)
    for at in row_blocks(np.arange(len(problem.rows)), *shape):
        x = torch.from_numpy(problem.embedding[problem.rows[at]]).to(flat, copy=True).sub_(mean)
        own = torch.from_numpy(problem.classes[at]).to(flat.device)[:, None]
        logits = torch.addmm(bias, x, raw.T)
        log_sum = logits.logsumexp(1, keepdim=True)
        total += float((log_sum - logits.gather(1, own)).sum(dtype=torch.float64))
        error = logits.sub_(log_sum).exp_()  # probabilities, less 1 for the right class
        error.scatter_add_(1, own, torch.full_like(log_sum, -1))
        slope.addmm_(error.T, x)
        shift += error.sum(0)
    slope.div_(scale).add_(weight, alpha=1 / problem.C)
    return total, gradient
