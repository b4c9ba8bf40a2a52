"""Log-probabilities and training gradients of continuous flows in diffrax and torchdiffeq.

    python benches/peers/ode.py [--only TEXT] [--seconds 3]

The work is that of the criterion bench `ode_flows` of crates/ode: a perceptron with two layers of 64 units and
tanh, batch 512, Dopri5 at rtol = atol = 1e-5 with one step size for the batch, float32, two threads (or
OMP_NUM_THREADS). Weights are the same formula. A training gradient is that of the mean log-probability by all
parameters: diffrax is jitted, with its checkpointed adjoint; torchdiffeq records its steps, or solves the adjoint.
Prints one JSON object a line with the median of the measured times.
"""

import argparse
import json
import os
import time

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
os.environ["OMP_NUM_THREADS"] = str(THREADS)
os.environ["JAX_PLATFORMS"] = "cpu"
if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import numpy as np  # noqa: E402

BATCH = 512
CASES = [
    ("d2_exact", 2, 0.06, False),
    ("d2_stiffer_exact", 2, 4.0, False),
    ("d43_hutchinson", 43, 0.06, True),
    ("d43_exact", 43, 0.06, False),
]


def numbers(seed, scale, shape):
    k = np.arange(np.prod(shape), dtype=np.float64)
    return (np.sin(k * 1.618 + (1.0 + seed)) * scale).astype(np.float32).reshape(shape)


def parameters(d, scale):
    return [
        numbers(0, 1 / np.sqrt(d), (64, d)), numbers(1, 1.0, (64,)), numbers(2, 0.3, (64,)),
        numbers(3, 0.2, (64, 64)), numbers(4, 0.3, (64,)), numbers(5, scale, (d, 64)), numbers(6, 0.1, (d,)),
    ]


def measure(work, seconds):
    for _ in range(3):
        work()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]


def jax_case(d, scale, hutchinson):
    import diffrax
    import jax
    import jax.numpy as jnp

    x = jnp.asarray(numbers(7, 1.5, (BATCH, d)))
    probe = jnp.sign(jnp.asarray(numbers(8, 1.0, (BATCH, d))))
    p = [jnp.asarray(w) for w in parameters(d, scale)]

    def velocity(p, t, x):
        w1, wt, b1, w2, b2, w3, b3 = p
        h = jnp.tanh(x @ w1.T + (wt * t + b1))
        return jnp.tanh(h @ w2.T + b2) @ w3.T + b3

    def field(t, y, p):
        x, _ = y
        f = lambda x: velocity(p, t, x)
        if hutchinson:
            v, pull = jax.vjp(f, x)
            return v, jnp.sum(pull(probe)[0] * probe, 1)
        # Rows do not interact: one product for each coordinate gives the diagonal of all.
        v, push = jax.linearize(f, x)
        basis = jnp.eye(d, dtype=x.dtype)
        diagonal = lambda e: jnp.sum(push(jnp.broadcast_to(e, x.shape)) * e, 1)
        return v, jnp.sum(jax.vmap(diagonal)(basis), 0)

    def solve(p):
        control = diffrax.PIDController(rtol=1e-5, atol=1e-5)
        return diffrax.diffeqsolve(
            diffrax.ODETerm(field), diffrax.Dopri5(), 1.0, 0.0, None, (x, jnp.zeros(BATCH, x.dtype)), args=p,
            stepsize_controller=control, max_steps=256)

    def mean(p):
        z, ell = (y[-1] for y in solve(p).ys)
        return jnp.mean(-0.5 * jnp.sum(z**2, 1) - 0.5 * d * np.log(2 * np.pi) + ell)

    value, gradient = jax.jit(mean), jax.jit(jax.grad(mean))
    stats = jax.jit(lambda p: solve(p).stats)(p)
    # Six new stages a step, and two evaluations for the first step size.
    note = {"evaluations": int(stats["num_steps"]) * 6 + 2, "mean": float(value(p))}
    return {
        "log_prob": lambda: value(p).block_until_ready(),
        "training": lambda: jax.block_until_ready(gradient(p)),
    }, note


def torch_case(d, scale, hutchinson):
    import torch
    import torchdiffeq

    torch.set_num_threads(THREADS)
    x = torch.from_numpy(numbers(7, 1.5, (BATCH, d)))
    probe = torch.from_numpy(numbers(8, 1.0, (BATCH, d))).sign()

    class Field(torch.nn.Module):

        def __init__(self):
            super().__init__()
            self.p = torch.nn.ParameterList([torch.from_numpy(w) for w in parameters(d, scale)])
            self.evaluations = 0

        def forward(self, t, y):
            self.evaluations += 1
            w1, wt, b1, w2, b2, w3, b3 = self.p
            recording = torch.is_grad_enabled()
            with torch.enable_grad():
                x = y[0] if recording and y[0].requires_grad else y[0].detach().requires_grad_(True)
                h = torch.tanh(x @ w1.T + (wt * t + b1))
                v = torch.tanh(h @ w2.T + b2) @ w3.T + b3
                if hutchinson:
                    product = torch.autograd.grad(v, x, probe, create_graph=recording)[0]
                    div = (product * probe).sum(1)
                else:
                    div = 0.0
                    for i in range(d):
                        more = recording or i + 1 < d
                        row = torch.autograd.grad(v[:, i].sum(), x, create_graph=recording, retain_graph=more)[0]
                        div = div + row[:, i]
            return v, div

    field = Field()
    times = torch.tensor([1.0, 0.0])

    def mean(odeint):
        z, ell = odeint(field, (x, torch.zeros(BATCH)), times, rtol=1e-5, atol=1e-5, method="dopri5")
        z, ell = z[-1], ell[-1]
        return (-0.5 * (z**2).sum(1) - 0.5 * d * np.log(2 * np.pi) + ell).mean()

    def log_prob():
        with torch.no_grad():
            return mean(torchdiffeq.odeint)

    def train(odeint):
        return torch.autograd.grad(mean(odeint), list(field.parameters()))

    value = float(log_prob())
    note = {"evaluations": field.evaluations, "mean": value}
    return {
        "log_prob": log_prob,
        "training": lambda: train(torchdiffeq.odeint),
        "adjoint": lambda: train(torchdiffeq.odeint_adjoint),
    }, note


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--only", default="")
    arguments.add_argument("--seconds", type=float, default=3.0)
    options = arguments.parse_args()
    for library, make in [("diffrax", jax_case), ("torchdiffeq", torch_case)]:
        for name, d, scale, hutchinson in CASES:
            if library == "torchdiffeq" and name == "d43_exact":
                continue  # 43 backward passes an evaluation: minutes
            if options.only not in f"{library}/{name}":
                continue
            work, note = make(d, scale, hutchinson)
            for what, run in work.items():
                median = measure(run, options.seconds)
                print(json.dumps({"library": library, "case": name, "work": what, "ms": median * 1e3, **note}), flush=True)


if __name__ == "__main__":
    main()
