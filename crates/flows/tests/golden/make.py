"""Makes the golden files of `tests/golden.rs`: flows of nflows and zuko with random weights.

    pip install nflows==0.14 zuko==1.6.0 torch==2.13.0
    python crates/flows/tests/golden/make.py

Each file holds, in float64, a batch `x`, its `log_prob`, each parameter `p/NAME`, and the gradient `g/NAME` of the
mean negative log-probability by it. The names are the peer's own; the test knows how they map to ours.
"""

import pathlib

import numpy
import torch
import zuko
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

DIMS, HIDDEN, BINS, BOUND, LAYERS, BATCH = 5, 10, 4, 3.0, 2, 16
HERE = pathlib.Path(__file__).parent


class Net(torch.nn.Module):
    """A perceptron that tells nflows its width, so that it scales the softmax's inputs down."""

    hidden_features = HIDDEN

    def __init__(self, inputs, outputs):
        super().__init__()
        self.mlp = MLP([inputs], [outputs], [HIDDEN, HIDDEN])

    def forward(self, x, context=None):
        return self.mlp(x)


def nflows_flow(layer, reverse):
    layers = []
    for i in range(LAYERS):
        layers.append(layer(i))
        if reverse:
            layers.append(ReversePermutation(DIMS))
    return Flow(CompositeTransform(layers), StandardNormal([DIMS]))


def mask(i):
    # The first layer changes the odd coordinates, the second the even ones.
    return [(j + i) % 2 for j in range(DIMS)]


masked = {"features": DIMS, "hidden_features": HIDDEN, "use_residual_blocks": False, "num_blocks": 1}
residual = {"features": DIMS, "hidden_features": HIDDEN, "use_residual_blocks": True, "num_blocks": 2}
spline = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
autoregressive_spline = MaskedPiecewiseRationalQuadraticAutoregressiveTransform
univariate = zuko.flows.spline.MonotonicRQSTransform
shapes = [(BINS,), (BINS,), (BINS - 1,)]
common = {"transforms": LAYERS, "hidden_features": [HIDDEN, HIDDEN]}

FLOWS = {
    "nflows_realnvp": lambda: nflows_flow(lambda i: AffineCouplingTransform(mask(i), Net), False),
    "nflows_maf": lambda: nflows_flow(lambda i: MaskedAffineAutoregressiveTransform(**masked), True),
    "nflows_maf_residual": lambda: nflows_flow(lambda i: MaskedAffineAutoregressiveTransform(**residual), True),
    "nflows_nsf_coupling": lambda: nflows_flow(
        lambda i: PiecewiseRationalQuadraticCouplingTransform(mask(i), Net, **spline), False
    ),
    "nflows_nsf_autoregressive": lambda: nflows_flow(lambda i: autoregressive_spline(**masked, **spline), True),
    "zuko_realnvp": lambda: zuko.flows.RealNVP(DIMS, **common),
    "zuko_maf": lambda: zuko.flows.MAF(DIMS, **common),
    "zuko_nsf_coupling": lambda: zuko.flows.NICE(DIMS, univariate=univariate, shapes=shapes, **common),
    "zuko_nsf_autoregressive": lambda: zuko.flows.NSF(DIMS, bins=BINS, **common),
}


def main():
    torch.set_default_dtype(torch.float64)
    for seed, (name, build) in enumerate(FLOWS.items()):
        torch.manual_seed(seed)
        flow = build()
        # Initial weights, moved, so that blocks which start near the identity count.
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        x = 1.5 * torch.randn(BATCH, DIMS)
        log_prob = (flow if name.startswith("nflows") else flow()).log_prob(x)
        (-log_prob.mean()).backward()
        arrays = {"x": x, "log_prob": log_prob}
        for key, parameter in flow.named_parameters():
            arrays["p/" + key] = parameter
            arrays["g/" + key] = parameter.grad
        numpy.savez_compressed(HERE / name, **{k: numpy.ascontiguousarray(v.detach()) for k, v in arrays.items()})


if __name__ == "__main__":
    main()
