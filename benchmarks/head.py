"""Passes over the embeddings that a large linear head takes: in even variables, in the weights, by scikit-learn.

Usage: python benchmarks/head.py [--species 600] [--each 50] [--out FILE]
Embeddings of 256 features about the means of their species. "even" ones vary alike in all directions; of "uneven" ones
the n-th direction varies as n^-0.7 and n^-1, as networks' do. Objectives are those of the weights, at the end;
scikit-learn's by its usual L-BFGS, at tolerance 1e-5.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from unittest.mock import Mock, patch

import numpy as np
from machine import machine
from scale import simulated
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from finerkit.base.labels import coded
from finerkit.species import softmax

FEATURES = 256
KINDS = {"even": 0.0, "uneven, n^-0.7": 0.7, "uneven, n^-1": 1.0}


def problem(species: int, each: int, power: float) -> tuple[np.ndarray, np.ndarray]:
    """Standardised embeddings and the class of each."""
    embedding, images = simulated(species, each, FEATURES)
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(FEATURES, FEATURES)))[0]
    embedding = (embedding * np.arange(1, FEATURES + 1) ** -power) @ turn.T
    embedding += 0.02 * embedding.std() * rng.normal(size=embedding.shape)
    classes = coded(images["species"].values)[1]
    return (embedding - embedding.mean(0)) / embedding.std(0), classes


def fitted(Z: np.ndarray, classes: np.ndarray) -> dict:
    """Passes over the photos, seconds and the objective."""
    with patch.object(softmax, "_log_softmax", Mock(wraps=softmax._log_softmax)) as passes:  # noqa: SLF001
        start = time.perf_counter()
        weight, bias, _ = softmax.fit_softmax(Z, classes, 1.0)
        seconds = time.perf_counter() - start
    calls_a_pass = -(-len(Z) // (softmax._AT_ONCE // (classes.max() + 1)))  # noqa: SLF001
    return {
        "passes": int(passes.call_count // calls_a_pass),
        "seconds": round(seconds, 1),
        "objective": loss(Z, classes, weight, bias),
    }


def by_scikit_learn(Z: np.ndarray, classes: np.ndarray) -> dict:
    start = time.perf_counter()
    found = LogisticRegression(C=1.0, tol=1e-5, max_iter=2000).fit(Z, classes)
    seconds = round(time.perf_counter() - start, 1)
    return {"steps": int(found.n_iter_[0]), "seconds": seconds} | {
        "objective": loss(Z, classes, found.coef_, found.intercept_)
    }


def loss(Z: np.ndarray, classes: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
    own = log_softmax(Z @ weight.T + bias, axis=1)[np.arange(len(classes)), classes]
    return round(float(-own.sum() + (weight**2).sum() / 2), 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--species", type=int, default=600)
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    result: dict = {"machine": machine(), "species": options.species, "photos of each": options.each}
    for kind, power in KINDS.items():
        asked = problem(options.species, options.each, power)
        result[kind] = {"in even variables": fitted(*asked)}
        with patch.object(softmax, "_evener", lambda Z, *_: np.eye(Z.shape[1])):
            result[kind]["in the weights"] = fitted(*asked)
        result[kind]["scikit-learn"] = by_scikit_learn(*asked)
        print(kind, result[kind], flush=True)
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
