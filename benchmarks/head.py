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
import torch
from machine import machine
from scale import simulated
from sklearn.linear_model import LogisticRegression

from finerkit import softmax
from finerkit.labels import coded

FEATURES = 256
KINDS = {"even": 0.0, "uneven, n^-0.7": 0.7, "uneven, n^-1": 1.0}


def problem(species: int, each: int, power: float) -> softmax.Problem:
    embedding, images = simulated(species, each, FEATURES)
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(FEATURES, FEATURES)))[0]
    embedding = (embedding * np.arange(1, FEATURES + 1) ** -power) @ turn.T
    embedding += 0.02 * embedding.std() * rng.normal(size=embedding.shape)
    classes = coded(images["species"].values)[1]
    rows = np.arange(len(classes))
    return softmax.Problem(embedding.astype(np.float32), rows, classes, embedding.mean(0), embedding.std(0), 1.0)


def as_they_are():
    """The weights themselves as variables."""
    return patch.object(softmax, "_evener", lambda *_: (torch.clone, torch.clone))


def counted():
    return patch.object(softmax, "_loss", Mock(wraps=softmax._loss))  # noqa: SLF001 - what is measured


def fitted(asked: softmax.Problem) -> dict:
    """Passes, seconds and the objective, in float64."""
    with patch.object(softmax, "_SMALL", 0), counted() as loss:
        start = time.perf_counter()
        weight, bias = softmax.fit_softmax(asked)
        seconds = time.perf_counter() - start
        return {"passes": loss.call_count, "seconds": round(seconds, 1), "objective": objective(asked, weight, bias)}


def by_scikit_learn(asked: softmax.Problem) -> dict:
    start = time.perf_counter()
    standardised = ((asked.embedding - asked.mean) / asked.scale).astype(np.float64)
    head = LogisticRegression(C=asked.C, tol=1e-5, max_iter=2000)
    found = head.fit(standardised, asked.classes)
    seconds = round(time.perf_counter() - start, 1)
    return {"steps": int(found.n_iter_[0]), "seconds": seconds} | {
        "objective": objective(asked, found.coef_, found.intercept_)
    }


def objective(asked: softmax.Problem, weight: np.ndarray, bias: np.ndarray) -> float:
    flat = torch.from_numpy(np.concatenate([weight.ravel(), bias]).astype(np.float64))
    return round(softmax._loss(asked, flat, weight.shape)[0], 2)  # noqa: SLF001


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
        result[kind] = {"in even variables": fitted(asked)}
        with as_they_are():
            result[kind]["in the weights"] = fitted(asked)
        result[kind]["scikit-learn"] = by_scikit_learn(asked)
        print(kind, result[kind], flush=True)
    print(json.dumps(result, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
