"""Makes `realnvp_path.npz` and `spline_path.npz` of `tests/golden_path.rs`: path gradients of both divergences.

    git clone https://github.com/lenz3000/unified-path-gradients && cd unified-path-gradients && git checkout e14e054
    pip install torch==2.13.0 einops nflows==0.14
    PYTHONPATH=. python .../crates/objectives/tests/golden/path.py

The affine couplings and their losses are those of the paper's own code (Vaitl et al. 2024, arXiv:2403.15881), in
float64 and without batch normalisation. The spline couplings are nflows', with the gradients by their definition:
`mean <G(x), d g(z)/d theta>`, `G` the gradient of `ln q + E`. The target is the mixture of 16 normals of variance 1/2 at
`(+-1)^4`.

Each file holds latents `z`, data `x`, each parameter `p/NAME`, and for both divergences the value and the gradient by it.
The names and the order of a layer's outputs are ours: layers in the order in which data pass them, shift before scale.
"""

import pathlib

import numpy
import torch
from nflows.distributions.normal import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import MLP
from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform
from unified_path.action import MGM
from unified_path.loss import FastPath
from unified_path.models.realNVP import RealNVP_Path

DIMS, HIDDEN, BINS, BOUND, BATCH = 4, 6, 4, 3.0, 8
HERE = pathlib.Path(__file__).parent


def moved(model):
    """Initial weights, moved, so that biases count too."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def arrays(parameters, z, x, losses):
    """`parameters`: our name, tensor, and the order of its rows; `losses`: name, function, constant of its value."""
    found = {"z": z, "x": x}
    for name, tensor, rows in parameters:
        found[f"p/{name}"] = tensor[rows]
    for loss_name, loss, constant in losses:
        value = loss()
        gradients = torch.autograd.grad(value, [tensor for _, tensor, _ in parameters])
        found[f"{loss_name}/value"] = value + constant
        for (name, _, rows), gradient in zip(parameters, gradients):
            found[f"{loss_name}/{name}"] = gradient[rows]
    return {name: numpy.ascontiguousarray(value.detach()) for name, value in found.items()}


def realnvp(target):
    couplings = 4
    build = {"lat_shape": [DIMS], "coupling_factory": "AltFCS", "ncouplings": couplings, "nblocks": 1}
    flow = moved(RealNVP_Path(**build, n_hidden=HIDDEN, loss="fastPathQP"))
    parameters = []
    for i in range(couplings):
        coupling = flow.couplings[couplings - 1 - i].coupling
        layers = [coupling.layers[0], coupling.layers[2][0][0], coupling.layers[3]]
        for j, layer in enumerate(layers):
            rows = list(range(layer.weight.shape[0]))
            if j == 2 and coupling.mask_config == 0:
                # There the scale of a coordinate comes before its shift.
                rows = [row ^ 1 for row in rows]
            parameters.append((f"{i}.{j}.weight", layer.weight, rows))
            parameters.append((f"{i}.{j}.bias", layer.bias, rows))
    z, x = torch.randn(BATCH, DIMS), target.sample((BATCH,))
    common = {"model": flow, "action": target, "lat_shape": [DIMS], "batch_size": BATCH}
    reverse = FastPath(**common)
    forward = FastPath(**common, reverse=False, config_sampler=[])
    # Their forward loss has the mean of ln p in its value.
    constant = target(x).mean()
    losses = [("reverse", lambda: reverse(z)[0], 0.0), ("forward", lambda: forward(x)[0], constant)]
    return arrays(parameters, z, x, losses)


class Net(MLP):
    def __init__(self, inputs, outputs):
        super().__init__([inputs], [outputs], [HIDDEN, HIDDEN], activation=torch.tanh)

    def forward(self, x, context=None):
        return super().forward(x)


def spline(target):
    spline = {"num_bins": BINS, "tails": "linear", "tail_bound": BOUND}
    masks = [[(j + i) % 2 for j in range(DIMS)] for i in range(2)]
    layers = [PiecewiseRationalQuadraticCouplingTransform(mask, Net, **spline) for mask in masks]
    flow = moved(Flow(CompositeTransform(layers), StandardNormal([DIMS])))
    parameters = []
    for i, coupling in enumerate(layers):
        net = coupling.transform_net
        for j, layer in enumerate([net._input_layer, net._hidden_layers[0], net._output_layer]):
            rows = list(range(layer.weight.shape[0]))
            parameters.append((f"{i}.{j}.weight", layer.weight, rows))
            parameters.append((f"{i}.{j}.bias", layer.bias, rows))
    z, x = torch.randn(BATCH, DIMS), target.sample((BATCH,))

    def pull(z, value):
        at = flow._transform.inverse(z)[0]
        there = at.detach().requires_grad_()
        force = torch.autograd.grad((flow.log_prob(there) + target(there)).sum(), there)[0]
        along = (force * at).sum(-1).mean()
        return value.detach() + along - along.detach()

    def reverse():
        at = flow._transform.inverse(z)[0]
        return pull(z, (flow.log_prob(at) + target(at)).mean())

    def forward():
        latent = flow._transform(x)[0].detach()
        return pull(latent, -flow.log_prob(x).mean())

    return arrays(parameters, z, x, [("reverse", reverse, 0.0), ("forward", forward, 0.0)])


def main():
    torch.set_default_dtype(torch.float64)
    target = MGM(dim=DIMS)
    for seed, (name, make) in enumerate([("realnvp_path", realnvp), ("spline_path", spline)]):
        torch.manual_seed(seed)
        numpy.savez_compressed(HERE / name, **make(target))


if __name__ == "__main__":
    main()
