#!/usr/bin/env python3
"""Writes golden.json beside this script: inputs, and what POT and numpy make of them.

    python make_golden.py        (POT 0.9.7, numpy 2.4)
"""

import json
from pathlib import Path

import numpy as np
import ot

random = np.random.default_rng(20240229)


def numbers(*shape):
    """Normal numbers of few digits, so that the JSON file holds them exactly."""
    return np.round(random.standard_normal(shape), 4)


def masses(n):
    raw = random.integers(1, 20, n)
    return raw / raw.sum()


def transport_case(n, m, d):
    x, y = numbers(n, d), 1.5 * numbers(m, d) + 0.5
    a, b = masses(n), masses(m)
    squared, plain = ot.dist(x, y), ot.dist(x, y, metric="euclidean")
    epsilon = 0.1 * squared.mean()
    strict = {"stopThr": 1e-14, "numItermax": 100_000}
    balanced = ot.sinkhorn(a, b, squared, epsilon, **strict)
    unbalanced = ot.unbalanced.sinkhorn_unbalanced(
        a, b, squared, epsilon, 2.0, c=np.outer(a, b), reg_type="kl", **strict
    )
    ends = ot.unbalanced.sinkhorn_unbalanced(
        a, b, squared, epsilon, (np.inf, 3.0), c=np.outer(a, b), reg_type="kl", **strict
    )
    even_a, even_b = ot.unif(n), ot.unif(m)
    part = ot.partial.entropic_partial_wasserstein(
        even_a, even_b, squared, epsilon, m=0.6, numItermax=100_000, stopThr=1e-14
    )
    return {
        "x": x.tolist(), "y": y.tolist(), "a": a.tolist(), "b": b.tolist(), "epsilon": epsilon,
        "emd_squared": float((ot.emd(a, b, squared) * squared).sum()),
        "emd_plain": float((ot.emd(a, b, plain) * plain).sum()),
        "w2": float(np.sqrt((ot.emd(even_a, even_b, squared) * squared).sum())),
        "w1": float((ot.emd(even_a, even_b, plain) * plain).sum()),
        "sinkhorn": balanced.tolist(),
        "unbalanced": unbalanced.tolist(),
        "one_side_unbalanced": ends.tolist(),
        "partial": part.tolist(),
        "one_d_p1": float(ot.wasserstein_1d(x[:, 0], y[:, 0], a, b, p=1)),
        "one_d_p2": float(ot.wasserstein_1d(x[:, 0], y[:, 0], a, b, p=2) ** 0.5),
        "one_d_p3": float(ot.wasserstein_1d(x[:, 0], y[:, 0], a, b, p=3) ** (1 / 3)),
    }


def gaussian_case(d):
    roots = numbers(2, d, d)
    covariances = [np.round(root @ root.T, 6) for root in roots]
    means = numbers(2, d)
    return {
        "means": means.tolist(),
        "covariances": [covariance.tolist() for covariance in covariances],
        "w2": float(ot.gaussian.bures_wasserstein_distance(*means, *covariances)),
    }


def discrepancy_case(n, m, d):
    x, y = numbers(n, d), numbers(m, d) + 0.3
    sigma = 0.8

    def kernel(p, q):
        return np.exp(-ot.dist(p, q) / (2 * sigma**2))

    def distance(p, q):
        return ot.dist(p, q, metric="euclidean")

    off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
    cross = kernel(x, y).mean()
    return {
        "x": x.tolist(), "y": y.tolist(), "sigma": sigma,
        "mmd_biased": float(kernel(x, x).mean() + kernel(y, y).mean() - 2 * cross),
        "mmd_unbiased": float(off(kernel(x, x)) + off(kernel(y, y)) - 2 * cross),
        "energy": float(2 * distance(x, y).mean() - distance(x, x).mean() - distance(y, y).mean()),
    }


golden = {
    "transport": [transport_case(5, 5, 2), transport_case(7, 4, 3), transport_case(3, 8, 1)],
    "gaussian": [gaussian_case(1), gaussian_case(3), gaussian_case(6)],
    "discrepancy": [discrepancy_case(6, 9, 2), discrepancy_case(5, 5, 4)],
}
path = Path(__file__).with_name("golden.json")
path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
