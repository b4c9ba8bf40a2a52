"""Time of a training step of the digits recipe's model in nflows and zuko.

    python benches/peers/digits_step.py

Six spline couplings on 64 numbers, 8 bins, batch 128, float32, Adam with gradient clipping. nflows has
the recipe's own architecture (residual conditioners 2x128 with dropout 0.3, LU-linear layers between);
zuko has its own kind of conditioner (hidden 2x128) and no LU-linear layers. Prints JSON lines with the
median of 30 steps after 5.
"""

import json
import statistics
import time

import nflows
import torch
import zuko
from nflows import distributions, flows, nn, transforms

torch.set_num_threads(2)
DIMS, LAYERS, BATCH, BINS = 64, 6, 128, 8


def net(inputs, outputs):
    return nn.nets.ResidualNet(inputs, outputs, hidden_features=128, num_blocks=2, dropout_probability=0.3)


def nflows_model():
    layers = []
    for i in range(LAYERS):
        layers.append(transforms.LULinear(DIMS, identity_init=True))
        mask = torch.tensor([1 if (j + i) % 2 else -1 for j in range(DIMS)])
        layers.append(
            transforms.PiecewiseRationalQuadraticCouplingTransform(
                mask, net, num_bins=BINS, tails="linear", tail_bound=5.0
            )
        )
    layers.append(transforms.LULinear(DIMS, identity_init=True))
    flow = flows.Flow(transforms.CompositeTransform(layers), distributions.StandardNormal([DIMS]))
    return flow, lambda x: flow.log_prob(x)


def zuko_model():
    flow = zuko.flows.NSF(DIMS, transforms=LAYERS, passes=2, hidden_features=[128, 128], bins=BINS)
    return flow, lambda x: flow().log_prob(x)


for peer, version, make in [("nflows", "0.14", nflows_model), ("zuko", zuko.__version__, zuko_model)]:
    torch.manual_seed(0)
    model, log_prob = make()
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.randn(BATCH, DIMS)
    times = []
    for _ in range(35):
        begin = time.perf_counter()
        loss = -log_prob(x).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        times.append(time.perf_counter() - begin)
    print(json.dumps({"bench": "digits step", "peer": peer, "version": version, "seconds": statistics.median(times[5:])}))
