"""zuko's neural spline flow on the digits of maxlik, with the same split and dequantization.

    cargo run -p maxlik-data --example export_digits -- digits.npz
    python benches/peers/digits.py digits.npz

Eight couplings, hidden 2x256, 8 bins, after a logit; Adam, early stopping by validation. Prints test
bits per dimension (uniform dequantization, mean over 8 draws) and the time of a training step.
"""

import json
import math
import sys
import time

import numpy
import torch
import zuko

if len(sys.argv) < 2:
    # Not a bench of time: run by hand, see above.
    sys.exit(0)

torch.manual_seed(0)
torch.set_num_threads(2)
# zuko's splines end at 5: the margin of 0.02 (that of the recipe) takes the data to 3.9.
LEVELS, DIMS = 17, 64
MARGIN = float(sys.argv[2]) if len(sys.argv) > 2 else 0.02
z = numpy.load(sys.argv[1])
part = {name: torch.tensor(z["images"][z[name]], dtype=torch.float32) for name in ("train", "validation", "test")}


def logit(x):
    u = MARGIN + (1 - 2 * MARGIN) * x
    value = torch.log(u) - torch.log1p(-u)
    ladj = (math.log(1 - 2 * MARGIN) - torch.log(u) - torch.log1p(-u)).sum(-1)
    return value, ladj


def bits(flow, v, draws=1):
    total = 0.0
    for _ in range(draws):
        x, ladj = logit((v + torch.rand_like(v)) / LEVELS)
        total = total - (flow().log_prob(x) + ladj)
    return (total / draws / DIMS / math.log(2) + math.log2(LEVELS)).mean()


flow = zuko.flows.NSF(DIMS, transforms=8, passes=2, hidden_features=[256, 256], bins=8)
optimizer = torch.optim.Adam(flow.parameters(), lr=1e-3)
best, best_state, stale, step, seconds = math.inf, None, 0, 0, 0.0
while stale < 20 and step < 4000:
    begin = time.perf_counter()
    v = part["train"][torch.randperm(len(part["train"]))[:256]]
    loss = bits(flow, v)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
    optimizer.step()
    seconds += time.perf_counter() - begin
    step += 1
    if step % 50 == 0:
        with torch.no_grad():
            value = bits(flow, part["validation"], 4).item()
        if value < best:
            best, stale = value, 0
            best_state = {k: t.clone() for k, t in flow.state_dict().items()}
        else:
            stale += 1
flow.load_state_dict(best_state)
with torch.no_grad():
    test = bits(flow, part["test"], 8).item()
print(json.dumps({"peer": "zuko", "version": zuko.__version__, "margin": MARGIN, "steps": step, "validation_bits_per_dim": best,
                  "test_bits_per_dim": test, "seconds_per_step": seconds / step}))
