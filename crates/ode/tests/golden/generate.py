"""Golden states of fixed steps from torchdiffeq and diffrax, in float64.

    python generate.py > states.json

The field is y1' = y1 cos t, y2' = -2 t y2^2 from (1, 1) over [0, 1] in 10 equal steps. The
embedded methods of torchdiffeq, which has no fixed steps for them, are stepped by its own step
function.
"""

import json
import os
import re

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"

import diffrax
import jax.numpy as jnp
import optimistix
import torch
import torchdiffeq
from torchdiffeq._impl.rk_common import _runge_kutta_step
from torchdiffeq._impl import bosh3, dopri5, dopri8

STEPS = 10


def jax_field(t, y, args):
    return jnp.stack([y[0] * jnp.cos(t), -2 * t * y[1] ** 2])


def torch_field(t, y):
    return torch.stack([y[0] * torch.cos(t), -2 * t * y[1] ** 2])


def from_diffrax(solver):
    times = jnp.arange(STEPS + 1) / STEPS
    control = diffrax.StepTo(ts=times)
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(jax_field), solver, 0.0, 1.0, None, jnp.ones(2),
        stepsize_controller=control, saveat=diffrax.SaveAt(ts=times[1:]))
    return found.ys.tolist()


def from_tableau(tableau):
    """Steps of torchdiffeq's embedded methods, by its own step function."""
    y = torch.ones(2, dtype=torch.float64)
    states = []
    # The tableau in the dtype of the state, as its solver has it.
    tableau = type(tableau)(
        alpha=tableau.alpha.to(torch.float64), beta=[b.to(torch.float64) for b in tableau.beta],
        c_sol=tableau.c_sol.to(torch.float64), c_error=tableau.c_error.to(torch.float64))

    def func(t, y, perturb=None):
        return torch_field(t, y)

    f = func(torch.tensor(0.0, dtype=torch.float64), y)
    for i in range(STEPS):
        t0 = torch.tensor(i / STEPS, dtype=torch.float64)
        t1 = torch.tensor((i + 1) / STEPS, dtype=torch.float64)
        y, f, _, _ = _runge_kutta_step(func, y, f, t0, t1 - t0, t1, tableau=tableau)
        states.append(y.tolist())
    return states


def from_torchdiffeq(method):
    times = torch.arange(STEPS + 1, dtype=torch.float64) / STEPS
    y0 = torch.ones(2, dtype=torch.float64)
    return torchdiffeq.odeint(torch_field, y0, times, method=method)[1:].tolist()


exact = optimistix.Newton(rtol=1e-12, atol=1e-12)
golden = {
    "versions": {"torchdiffeq": "0.2.5", "diffrax": diffrax.__version__},
    "states": {
        "diffrax": {
            "euler": from_diffrax(diffrax.Euler()),
            "midpoint": from_diffrax(diffrax.Midpoint()),
            "heun": from_diffrax(diffrax.Heun()),
            "ralston": from_diffrax(diffrax.Ralston()),
            "bosh3": from_diffrax(diffrax.Bosh3()),
            "dopri5": from_diffrax(diffrax.Dopri5()),
            "tsit5": from_diffrax(diffrax.Tsit5()),
            "dopri8": from_diffrax(diffrax.Dopri8()),
            "implicit_euler": from_diffrax(diffrax.ImplicitEuler(root_finder=exact)),
            "kvaerno3": from_diffrax(diffrax.Kvaerno3(root_finder=exact)),
            "kvaerno5": from_diffrax(diffrax.Kvaerno5(root_finder=exact)),
        },
        "torchdiffeq": {
            "euler": from_torchdiffeq("euler"),
            "midpoint": from_torchdiffeq("midpoint"),
            "rk4_38": from_torchdiffeq("rk4"),
            "bosh3": from_tableau(bosh3._BOGACKI_SHAMPINE_TABLEAU),
            "dopri5": from_tableau(dopri5._DORMAND_PRINCE_SHAMPINE_TABLEAU),
            "dopri8": from_tableau(dopri8._DOPRI8_TABLEAU),
        },
    },
}
text = json.dumps(golden)
print(re.sub(r'("[a-z0-9_]+": \[\[)', r"\n\1", text))
