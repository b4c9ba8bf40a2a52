"""The recipe `char-lm` in plain PyTorch: the same text, cut and packed alike, the same model, its starting distribution,
optimizer and schedule, for as many steps.

    python benches/peers/char_lm.py TEXT [--steps 1000] [--seed 0] [--dropout 0.0]

TEXT is a file, or a folder of text files, taken in the order of their names. Prints one JSON object with the nats per
character of the test part; `cargo xtask train char-lm --set data.path=TEXT --set model.transformer.dropout=0.0 --set
optim.steps=1000` prints ours. The last twentieth of the text is for the test, the one before it for validation.
"""

import argparse
import json
import math
import pathlib
import time

import torch
from torch import nn
from torch.nn import functional as F

LENGTH, BATCH, WIDTH, HEADS, LAYERS = 128, 16, 128, 4, 4


def divide(documents, validation=0.05, test=0.05):
    total = sum(len(d.encode()) for d in documents)
    ends = [int((1 - f) * total) for f in (validation + test, test)] + [total]
    parts, before, part = [[], [], []], 0, 0
    for rest in (d.encode() for d in documents):
        while before + len(rest) > ends[part] and part < 2:
            at = max(ends[part] - before, 0)
            cut = 0 if at == 0 else rest.find(b"\n", at - 1) + 1 or len(rest)
            if cut:
                parts[part].append(rest[:cut])
            before, rest, part = before + cut, rest[cut:], part + 1
        if rest:
            parts[part].append(rest)
            before += len(rest)
    return [[d.decode() for d in part] for part in parts]


def pack(documents, number):
    stream = [0]
    for document in documents:
        stream += [number[c] for c in document] + [0]
    rows, weights = [], []
    for start in range(0, len(stream) - 1, LENGTH):
        row = stream[start : start + LENGTH + 1]
        weights.append([1.0] * len(row) + [0.0] * (LENGTH + 1 - len(row)))
        rows.append(row + [0] * (LENGTH + 1 - len(row)))
    return torch.tensor(rows), torch.tensor(weights)[:, 1:]


def uniform(linear, bound, bias):
    nn.init.uniform_(linear.weight, -bound, bound)
    if linear.bias is not None:
        nn.init.uniform_(linear.bias, -bias, bias)
    return linear


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Layer(nn.Module):

    def __init__(self, dropout):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        bound, deep = 1 / math.sqrt(WIDTH), math.sqrt(2 * LAYERS)
        self.qkv = uniform(nn.Linear(WIDTH, 3 * WIDTH, bias=False), bound, 0)
        self.out = uniform(nn.Linear(WIDTH, WIDTH), bound / deep, 0)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        uniform(self.up, bound, bound)
        self.down = uniform(nn.Linear(4 * WIDTH, WIDTH), bound / 2 / deep, 0)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h, cos, sin):
        b, t, w = h.shape
        q, k, v = (x.view(b, t, HEADS, -1).transpose(1, 2) for x in self.qkv(self.norm1(h)).split(w, -1))
        a = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        h = h + self.dropout(self.out(a.transpose(1, 2).reshape(b, t, w)))
        return h + self.dropout(self.down(F.gelu(self.up(self.norm2(h)))))


class Model(nn.Module):

    def __init__(self, vocabulary, dropout):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.layers = nn.ModuleList([Layer(dropout) for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        w = WIDTH // HEADS
        angle = torch.outer(torch.arange(LENGTH), 10000.0 ** (-2 / w * torch.arange(w // 2)))
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def forward(self, x):
        h = self.embedding(x)
        for layer in self.layers:
            h = layer(h, self.cos[: x.shape[1]], self.sin[: x.shape[1]])
        return F.linear(self.norm(h), self.embedding.weight)


def nll(model, tokens, weight):
    total = 0.0
    with torch.no_grad():
        for x, w in zip(tokens.split(64), weight.split(64)):
            each = F.cross_entropy(model(x[:, :-1]).transpose(1, 2), x[:, 1:], reduction="none")
            total += (each * w).double().sum().item()
    return total / weight.double().sum().item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dropout", type=float, default=0.0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    files = sorted(options.text.iterdir()) if options.text.is_dir() else [options.text]
    documents = [file.read_bytes().decode() for file in files]
    number = {c: i + 1 for i, c in enumerate(sorted(set("".join(documents))))}
    train, _, test = (pack(part, number) for part in divide(documents))
    model = Model(len(number) + 1, options.dropout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1)

    def factor(n, warmup=100, last=0.1):
        if n < warmup:
            return (n + 1) / warmup
        p = min((n - warmup) / max(options.steps - warmup - 1, 1), 1)
        return last + (1 - last) * (1 + math.cos(math.pi * p)) / 2

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    order, begin = torch.empty(0, dtype=torch.long), time.perf_counter()
    for _ in range(options.steps):
        if len(order) < BATCH:
            order = torch.randperm(len(train[0]))
        rows, order = order[:BATCH], order[BATCH:]
        x, w = train[0][rows], train[1][rows]
        each = F.cross_entropy(model(x[:, :-1]).transpose(1, 2), x[:, 1:], reduction="none")
        loss = (each * w).sum() / w.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - begin
    model.eval()
    print(json.dumps({"test nats/char": nll(model, *test), "steps": options.steps, "seconds": seconds}))


if __name__ == "__main__":
    main()
