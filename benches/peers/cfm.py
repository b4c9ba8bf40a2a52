"""torchcfm's table beside `reproduce ot-cfm`, and its training step beside the bench `cfm`.

Needs requirements.txt. Run on one thread:

    OMP_NUM_THREADS=1 python cfm.py table --seeds 5   # the table, a line as each cell is done
    OMP_NUM_THREADS=1 python cfm.py step              # a training step at batch 1024, D = 50

The same sets, network (3 hidden layers of 64, SELU), optimizer, noise and budget as here. torchcfm
draws pairs from the exact plan with replacement; its SB-CFM uses the exact plan too by default, and
the entropic one of the paper with --sinkhorn (slow).
"""

import argparse
import json
import math
import statistics
import time

import numpy as np
import ot
import torch
from torchcfm.conditional_flow_matching import (
    ConditionalFlowMatcher,
    ExactOptimalTransportConditionalFlowMatcher,
    SchrodingerBridgeConditionalFlowMatcher,
    TargetConditionalFlowMatcher,
)
from torchcfm.models.models import MLP

BATCH, TEST = 256, 2048


def normal(rng, n):
    return rng.standard_normal((n, 2))


def eight(rng, n):
    """Radius 5, standard deviation 5/8: maxlik's eight-gaussians scaled."""
    angle = rng.integers(0, 8, n) * math.pi / 4
    return 5 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.625 * normal(rng, n)


def moons(rng, n):
    """Radius 3, standard deviation 0.3, centred."""
    t, sign = math.pi * rng.random(n), rng.choice([-1.0, 1.0], n)
    upper = np.stack([3 * np.cos(t) - 1.5, 3 * np.sin(t) - 0.75], 1)
    return sign[:, None] * upper + 0.3 * normal(rng, n)


def s_curve(rng, n):
    """scikit-learn's S curve from its end, scaled by 2, standard deviation 0.2."""
    t = 3 * math.pi * (rng.random(n) - 0.5)
    return np.stack([2 * np.sin(t), 2 * np.sign(t) * (np.cos(t) - 1)], 1) + 0.2 * normal(rng, n)


PAIRS = {
    "N to 8 Gaussians": (normal, eight),
    "moons to 8 Gaussians": (moons, eight),
    "N to moons": (normal, moons),
    "N to S curve": (normal, s_curve),
}


def matchers(sinkhorn):
    method = "sinkhorn" if sinkhorn else "exact"
    return {
        "I-CFM": ConditionalFlowMatcher(0.1),
        "FM": TargetConditionalFlowMatcher(0.1),
        "OT-CFM": ExactOptimalTransportConditionalFlowMatcher(0.1),
        "SB-CFM": SchrodingerBridgeConditionalFlowMatcher(1.0, ot_method=method),
    }


def single(points):
    return torch.from_numpy(points).float()


def w2(a, b):
    cost = ot.dist(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    uniform = np.full(len(a), 1.0 / len(a))
    return math.sqrt(ot.emd2(uniform, uniform, cost, numItermax=10**8))


@torch.no_grad()
def follow(net, x, steps):
    energy = 0.0
    for k in range(steps):
        v = net(torch.cat([x, torch.full((len(x), 1), k / steps)], 1))
        energy += (v**2).sum(1).mean().item() / steps
        x = x + v / steps
    return x.numpy(), energy


def train(matcher, source, target, rng, seed, arguments):
    torch.manual_seed(seed)
    net = MLP(dim=2, time_varying=True)
    optimizer = torch.optim.AdamW(net.parameters(), lr=arguments.rate, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, arguments.steps)
    for _ in range(arguments.steps):
        optimizer.zero_grad()
        x0, x1 = single(source(rng, BATCH)), single(target(rng, BATCH))
        t, xt, ut = matcher.sample_location_and_conditional_flow(x0, x1)
        # The bridge's velocity grows like t^(-1/2) at both ends, and its formula divides by zero there.
        if isinstance(matcher, SchrodingerBridgeConditionalFlowMatcher):
            keep = (t > 1e-3) & (t < 1 - 1e-3)
            t, xt, ut = t[keep], xt[keep], ut[keep]
        loss = ((net(torch.cat([xt, t[:, None]], 1)) - ut) ** 2).sum(1).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net


def table(arguments):
    found = {}
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        for pair, (source, target) in PAIRS.items():
            rng = np.random.default_rng(1000 + seed)
            x, y = source(rng, TEST), target(rng, TEST)
            # Path energy and distance over the same points, so that they share their noise.
            wide = source(rng, 2 * TEST)
            apart = w2(wide, target(rng, 2 * TEST)) ** 2
            for name, matcher in matchers(arguments.sinkhorn).items():
                if name == "FM" and source is not normal:
                    continue
                net = train(matcher, source, target, np.random.default_rng(seed), seed, arguments)
                end, _ = follow(net, single(x), 100)
                _, energy = follow(net, single(wide), 100)
                coarse, _ = follow(net, single(x), 2)
                numbers = (w2(end, y), w2(coarse, y), abs(energy - apart) / apart, energy / apart)
                found.setdefault(f"{pair},{name}", []).append(numbers)
                print(f"{seed},{pair},{name}," + ",".join(f"{v:.4f}" for v in numbers), flush=True)
    print("\npair,variant: w2, w2 in 2 steps, normalised path energy, energy over squared distance")
    for cell, rows in found.items():
        columns = zip(*rows)
        deviation = lambda c: statistics.stdev(c) if len(c) > 1 else 0.0
        text = ", ".join(f"{statistics.mean(c):.3f} ({deviation(c):.3f})" for c in columns)
        print(f"{cell}: {text}")


def step(arguments):
    torch.manual_seed(0)
    dim, batch = 50, 1024
    out = {}
    for shift in (0.0, 3.0):
        for name in ("I-CFM", "OT-CFM"):
            net = MLP(dim=dim, time_varying=True)
            optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
            matcher = matchers(False)[name]
            times = []
            for k in range(arguments.repeats + 2):
                x0, x1 = torch.randn(batch, dim), torch.randn(batch, dim) + shift
                start = time.perf_counter()
                optimizer.zero_grad()
                t, xt, ut = matcher.sample_location_and_conditional_flow(x0, x1)
                loss = ((net(torch.cat([xt, t[:, None]], 1)) - ut) ** 2).sum(1).mean()
                loss.backward()
                optimizer.step()
                times.append(time.perf_counter() - start)
            out[f"{name}, shift {shift}"] = round(1e3 * statistics.median(times[2:]), 2)
    print(json.dumps({"threads": torch.get_num_threads(), "median_ms": out}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["table", "step"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--sinkhorn", action="store_true")
    arguments = parser.parse_args()
    {"table": table, "step": step}[arguments.what](arguments)


if __name__ == "__main__":
    main()
