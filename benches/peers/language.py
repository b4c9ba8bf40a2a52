"""Losses over a large vocabulary, a training step and generation of a language model in plain PyTorch.

    python benches/peers/language.py [--seconds 5] [--only TEXT]

The work is that of the criterion bench `language`: logits [4, 128, 50257], vectors 768 wide, forward and backward down
to the logits' gradient; a training step of 4 layers, width 128, context 128, batch 16, 96 tokens, learned positions,
tied embedding, scaled_dot_product_attention, AdamW (fused); float32, two threads (or OMP_NUM_THREADS). Losses are written
as one would from the papers. Prints one JSON object a line with the median of the measured times, and a line with the
most memory in use beyond logits and vectors. `torch.compile` is a peer of its own where a compiler is there.
"""

import argparse
import json
import os
import time

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
os.environ["OMP_NUM_THREADS"] = str(THREADS)

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

V = 50257


def cross_entropy(z, y, vectors):
    return F.cross_entropy(z.view(-1, V), y.view(-1))


def mixce(z, y, vectors):
    log_q = F.log_softmax(z, -1).gather(-1, y.unsqueeze(-1)).squeeze(-1)
    with torch.no_grad():
        weight = 0.5 + 0.5 * log_q.exp()
    return -(weight * log_q).mean()


def emo(z, y, vectors):
    unit = F.normalize(vectors, dim=-1)
    log_q = F.log_softmax(z, -1)
    mle = -log_q.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    q = log_q.exp()
    own = unit[y]
    demo = 1 - ((q @ unit) * own).sum(-1)
    with torch.no_grad():
        certain = q.gather(-1, y.unsqueeze(-1)).squeeze(-1)
    bound = demo + certain
    with torch.no_grad():
        ratio = mle / (bound + 1e-10)
    return (0.5 * (ratio * bound + mle)).mean()


LOSSES = {"cross_entropy": cross_entropy, "mixce": mixce, "emo": emo}


class Layer(nn.Module):

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, h):
        b, t, w = h.shape
        q, k, v = (x.view(b, t, self.heads, -1).transpose(1, 2) for x in self.qkv(self.norm1(h)).split(w, -1))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.out(a.transpose(1, 2).reshape(b, t, w))
        return h + self.down(F.gelu(self.up(self.norm2(h))))


class Model(nn.Module):

    def __init__(self, vocabulary, length, width=128, heads=4, layers=4):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.positions = nn.Parameter(torch.randn(length, width) * 0.02)
        self.layers = nn.ModuleList([Layer(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        h = self.embedding(x) + self.positions[: x.shape[1]]
        for layer in self.layers:
            h = layer(h)
        return F.linear(self.norm(h), self.embedding.weight)


def measure(work, seconds):
    for _ in range(2):
        work()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2]


def account(line):
    with open("/proc/self/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith(line))


def peak(work):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = account("VmRSS:")
    work()
    return (account("VmHWM:") - before) // 1024


def report(bench, peer, seconds):
    print(json.dumps({"bench": bench, "peer": peer, "seconds": seconds}), flush=True)


def losses(options):
    torch.manual_seed(1)
    z = (torch.randn(4, 128, V) * 2).requires_grad_(True)
    y = torch.randint(V, (4, 128))
    vectors = torch.randn(V, 768)
    for name, loss in LOSSES.items():
        if options.only not in f"vocabulary/{name}":
            continue

        def work():
            (gradient,) = torch.autograd.grad(loss(z, y, vectors), z)
            del gradient

        print(f"vocabulary/{name}: {peak(work)} MiB beyond logits and vectors", flush=True)
        report(f"vocabulary/{name}", "torch", measure(work, options.seconds))


def training(options):
    if options.only not in "language/step":
        return
    batch = torch.randint(96, (16, 129))
    for peer in ["torch", "torch.compile"]:
        torch.manual_seed(0)
        model = Model(96, 128)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)

        def loss():
            return F.cross_entropy(model(batch[:, :-1]).view(-1, 96), batch[:, 1:].reshape(-1))

        forward = loss if peer == "torch" else torch.compile(loss)

        def work():
            optimizer.zero_grad(set_to_none=True)
            forward().backward()
            optimizer.step()

        try:
            report("language/step", peer, measure(work, options.seconds))
        except Exception as error:  # a machine without a compiler
            print(f"{peer}: {str(error).splitlines()[0]}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    torch.set_num_threads(THREADS)
    losses(options)
    training(options)


if __name__ == "__main__":
    main()
