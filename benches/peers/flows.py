"""Training steps and sampling of flows in zuko, nflows, normflows and flowjax.

    python benches/peers/flows.py [--only TEXT] [--seconds 3]

The work is that of the criterion bench `flows`: batch 512, 5 layers, hidden 2x128, 8 bins, float32, two
threads (or OMP_NUM_THREADS); a training step is the log-probability, its backward pass and a step of AdamW. Each
peer's own layers, alternating masks or orders where it lets one choose. flowjax is jitted. Prints one JSON object a
line with the median of the measured times.
"""

import argparse
import json
import os
import time

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
os.environ["OMP_NUM_THREADS"] = str(THREADS)
if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import torch  # noqa: E402

BATCH, LAYERS, HIDDEN, BINS, BOUND = 512, 5, 128, 8, 5.0
MODELS = ["realnvp", "maf", "nsf_coupling", "nsf_autoregressive"]


def measure(work, seconds):
    for _ in range(3):
        work()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]


def zuko_flow(model, dims):
    import zuko

    args = {"transforms": LAYERS, "hidden_features": [HIDDEN, HIDDEN]}
    if model == "realnvp":
        return zuko.flows.RealNVP(dims, **args)
    if model == "maf":
        return zuko.flows.MAF(dims, **args)
    if model == "nsf_autoregressive":
        return zuko.flows.NSF(dims, bins=BINS, **args)
    univariate = zuko.flows.spline.MonotonicRQSTransform
    shapes = [(BINS,), (BINS,), (BINS - 1,)]
    return zuko.flows.NICE(dims, univariate=univariate, shapes=shapes, **args)


class Zuko:

    def __init__(self, model, dims):
        self.flow = zuko_flow(model, dims)

    def log_prob(self, x):
        return self.flow().log_prob(x)

    def sample(self, n):
        return self.flow().sample((n,))


class Nflows:

    def __init__(self, model, dims):
        from nflows.distributions.normal import StandardNormal
        from nflows.flows import Flow
        from nflows.nn.nets import MLP
        from nflows.transforms import (
            AffineCouplingTransform,
            CompositeTransform,
            MaskedAffineAutoregressiveTransform,
            MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
            PiecewiseRationalQuadraticCouplingTransform,
            ReversePermutation,
        )

        class Net(torch.nn.Module):
            def __init__(self, inputs, outputs):
                super().__init__()
                self.mlp = MLP([inputs], [outputs], [HIDDEN, HIDDEN])
                self.hidden_features = HIDDEN

            def forward(self, x, context=None):
                return self.mlp(x)

        masked = {"features": dims, "hidden_features": HIDDEN, "num_blocks": 1, "use_residual_blocks": False}
        spline = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
        layers = []
        for i in range(LAYERS):
            mask = [(i + j) % 2 for j in range(dims)]
            if model == "realnvp":
                layers.append(AffineCouplingTransform(mask, Net))
            elif model == "nsf_coupling":
                layers.append(PiecewiseRationalQuadraticCouplingTransform(mask, Net, **spline))
            elif model == "maf":
                layers += [MaskedAffineAutoregressiveTransform(**masked), ReversePermutation(dims)]
            else:
                layer = MaskedPiecewiseRationalQuadraticAutoregressiveTransform(**masked, **spline)
                layers += [layer, ReversePermutation(dims)]
        self.flow = Flow(CompositeTransform(layers), StandardNormal([dims]))

    def log_prob(self, x):
        return self.flow.log_prob(x)

    def sample(self, n):
        return self.flow.sample(n)


class Normflows:

    def __init__(self, model, dims):
        import normflows as nf

        layers = []
        for _ in range(LAYERS):
            if model == "realnvp":
                half = (dims + 1) // 2
                net = nf.nets.MLP([half, HIDDEN, HIDDEN, 2 * (dims - half)], init_zeros=True)
                layers += [nf.flows.AffineCouplingBlock(net), nf.flows.Permute(dims, mode="swap")]
            elif model == "maf":
                layer = nf.flows.MaskedAffineAutoregressive(dims, HIDDEN, num_blocks=1, use_residual_blocks=False)
                # normflows' own direction samples in one pass and needs `dims` passes for a density: an inverse
                # autoregressive flow. Turned round it is the masked one, as in the other libraries.
                layer.forward, layer.inverse = layer.inverse, layer.forward
                layers += [layer, nf.flows.Permute(dims, mode="swap")]
            elif model == "nsf_coupling":
                layers.append(
                    nf.flows.CoupledRationalQuadraticSpline(dims, 1, HIDDEN, num_bins=BINS, tail_bound=BOUND)
                )
            else:
                layers.append(
                    nf.flows.AutoregressiveRationalQuadraticSpline(dims, 1, HIDDEN, num_bins=BINS, tail_bound=BOUND)
                )
        self.flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(dims, trainable=False), layers)

    def log_prob(self, x):
        return self.flow.log_prob(x)

    def sample(self, n):
        return self.flow.sample(n)[0]


def torch_times(peer, model, dims, seconds):
    torch.manual_seed(0)
    built = peer(model, dims)
    if dims_of_sample := SAMPLES.get((model, dims)):
        with torch.no_grad():
            yield "sample", measure(lambda: built.sample(dims_of_sample), seconds)
    optimizer = torch.optim.AdamW(built.flow.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    x = torch.randn(BATCH, dims)

    def step():
        optimizer.zero_grad()
        (-built.log_prob(x).mean()).backward()
        optimizer.step()

    yield "train", measure(step, seconds)


def flowjax_times(model, dims, seconds):
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow, masked_autoregressive_flow

    key = jax.random.key(0)
    build = coupling_flow if model in ("realnvp", "nsf_coupling") else masked_autoregressive_flow
    spline = RationalQuadraticSpline(knots=BINS, interval=BOUND) if "nsf" in model else None
    flow = build(
        key, base_dist=Normal(jnp.zeros(dims)), transformer=spline, flow_layers=LAYERS, nn_width=HIDDEN, nn_depth=2
    )
    if count := SAMPLES.get((model, dims)):
        draw = eqx.filter_jit(lambda flow: flow.sample(key, (count,)))
        yield "sample", measure(lambda: jax.block_until_ready(draw(flow)), seconds)
    params, static = eqx.partition(flow, eqx.is_inexact_array)
    optimizer = optax.adamw(1e-4, weight_decay=0.0)
    x = jax.random.normal(key, (BATCH, dims))

    @jax.jit
    def step(params, state):
        loss = lambda p: -eqx.combine(p, static).log_prob(x).mean()  # noqa: E731
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)

    def work():
        nonlocal params, state
        params, state = jax.block_until_ready(step(params, state))

    yield "train", measure(work, seconds)


SAMPLES = {("maf", 43): 10_000, ("nsf_autoregressive", 43): 1_000}
PEERS = {"zuko": Zuko, "nflows": Nflows, "normflows": Normflows, "flowjax": None}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="benches and peers whose `peer/model/dims` holds this text")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each measurement")
    args = parser.parse_args()
    torch.set_num_threads(THREADS)
    for model in MODELS:
        for dims in (6, 43):
            for name, peer in PEERS.items():
                if args.only not in f"{name}/{model}/{dims}":
                    continue
                times = (
                    flowjax_times(model, dims, args.seconds)
                    if peer is None
                    else torch_times(peer, model, dims, args.seconds)
                )
                for kind, seconds in times:
                    bench = f"flows/{kind}/{model}/{dims}"
                    print(json.dumps({"bench": bench, "peer": name, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
