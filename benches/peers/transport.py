#!/usr/bin/env python3
"""Times POT and scipy on the problems of `crates/transport/benches/assignment.rs`, to JSON lines.

    python transport.py [--sizes 256,1024,2048] [--repeat 5] [--only assignment|sinkhorn]

Needs numpy, scipy and POT. The clouds are those of the Rust bench, number by number, so that costs
can be compared too. Times are medians in milliseconds; those of the exact solvers include the cost
matrix. Leave OPENBLAS_CORETYPE unset, and set OMP_NUM_THREADS to the threads that maxlik gets.
"""

import argparse
import json
import statistics
import time
import warnings

import numpy as np
import ot
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def splitmix(seed, start, count):
    """Outputs `start` to `start + count` of SplitMix64, without a loop."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + GAMMA * np.arange(start + 1, start + count + 1, dtype=np.uint64)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def clouds(kind, n, d, seed):
    """Two clouds of shape [n, d]: see `clouds` in the Rust bench."""
    bits = splitmix(seed, 0, 4 * n * d)
    u = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    normal = np.sqrt(-2.0 * np.log(u[0::2])) * np.cos(2.0 * np.pi * u[1::2])
    x, y = normal[: n * d].reshape(n, d).copy(), normal[n * d :].reshape(n, d).copy()
    if kind == "shifted":
        y += 3.0
    elif kind == "scaled":
        y *= 3.0
    elif kind == "eight":
        angle = (splitmix(seed, 4 * n * d, n) % np.uint64(8)).astype(np.float64) * (np.pi / 4)
        y *= 0.3
        y[:, 0] += 5.0 * np.cos(angle)
        y[:, 1] += 5.0 * np.sin(angle)
    elif kind != "same":
        raise ValueError(f"no clouds of kind {kind}")
    return x, y


def timed(run, inputs):
    """Median time in milliseconds over the inputs, and the last result."""
    times = []
    for value in inputs:
        begin = time.perf_counter()
        result = run(value)
        times.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(times), result


def assignments(sizes, repeat):
    for n in sizes:
        weights = ot.unif(n)
        for d in (2, 50):
            for kind in ("same", "shifted", "scaled", "eight"):
                problems = [clouds(kind, n, d, seed) for seed in range(repeat)]

                def emd(pair):
                    cost = ot.dist(*pair)
                    plan = ot.emd(weights, weights, cost, numItermax=10_000_000)
                    return n * float((plan * cost).sum())

                def scipy(pair):
                    cost = cdist(*pair, "sqeuclidean")
                    return float(cost[linear_sum_assignment(cost)].sum())

                for name, run in (("pot.emd", emd), ("scipy.linear_sum_assignment", scipy)):
                    milliseconds, total = timed(run, problems)
                    yield {
                        "what": "assignment", "peer": name, "n": n, "d": d, "kind": kind,
                        "ms": round(milliseconds, 3), "cost": total,
                    }


def sinkhorns(sizes, repeat):
    for n in sizes:
        weights = ot.unif(n)
        for d in (2, 50):
            problems = []
            for seed in range(repeat):
                cost = ot.dist(*clouds("same", n, d, seed))
                problems.append(cost)
            for share in (0.2, 0.05, 0.02):
                for method in ("sinkhorn", "sinkhorn_log"):

                    def solve(cost):
                        return ot.sinkhorn(
                            weights, weights, cost, share * cost.mean(), method=method,
                            stopThr=1e-9, numItermax=20_000, log=True, warn=False,
                        )

                    milliseconds, (plan, log) = timed(solve, problems)
                    yield {
                        "what": "sinkhorn", "peer": f"pot.{method}", "n": n, "d": d, "epsilon": share,
                        "ms": round(milliseconds, 3), "iterations": int(log["niter"]),
                        "error": float(np.abs(plan.sum(0) - weights).sum()),
                        "cost": float((plan * problems[-1]).sum()),
                    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="256,1024,2048")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", choices=("assignment", "sinkhorn"))
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="ot")
    sizes = [int(size) for size in options.sizes.split(",")]
    for name, lines in (("assignment", assignments), ("sinkhorn", sinkhorns)):
        if options.only in (None, name):
            for line in lines(sizes, options.repeat):
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
