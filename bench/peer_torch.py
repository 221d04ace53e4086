#!/usr/bin/python3
"""bench/peer_torch.py: PyTorch on the same workloads, written as its users write them for speed.

    peer_torch.py [WORKLOAD...] [--variant V] [--threads N] [--repeat R] [--json FILE]
    peer_torch.py --list            lines of a workload and one of its variants

Variants: fused (nn.LSTM and the like), sparse (fused, and embeddings with sparse gradients), eager (a loop over time in
Python, products with the input taken out of it), script (the same through TorchScript), cell (nn.LSTMCell)."""
import argparse
import fnmatch
import json
import math
import statistics
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError as e:
    sys.exit(f'peer_torch: {e}')

WARM_SECONDS, REPETITION_SECONDS = 0.1, 0.05  # as in meter.c
WARM_STEPS = 8  # TorchScript compiles until its fifth


# ---- cells of one's own: prepare(x) is for all steps at once, step() for one --------------------------------------


class Lstm(nn.Module):
    def __init__(self, D: int, H: int):
        super().__init__()
        self.H = H
        self.W, self.U = nn.Linear(D, 4 * H), nn.Linear(H, 4 * H, bias=False)

    def prepare(self, x):
        return self.W(x)

    def step(self, xW, h, c):
        i, f, g, o = (xW + self.U(h)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class LstmConcat(nn.Module):
    def __init__(self, D: int, H: int):
        super().__init__()
        self.H = H
        self.W = nn.Linear(D + H, 4 * H)

    def prepare(self, x):
        return x

    def step(self, x, h, c):
        i, f, g, o = self.W(torch.cat([x, h], 1)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Peephole(Lstm):
    def __init__(self, D: int, H: int):
        super().__init__(D, H)
        self.p = nn.Parameter(torch.empty(3, H).uniform_(-0.1, 0.1))

    def step(self, xW, h, c):
        i, f, g, o = (xW + self.U(h)).chunk(4, 1)
        i, f = torch.sigmoid(i + self.p[0] * c), torch.sigmoid(f + self.p[1] * c)
        c = f * c + i * torch.tanh(g)
        return torch.sigmoid(o + self.p[2] * c) * torch.tanh(c), c


class Normed(Lstm):
    def __init__(self, D: int, H: int):
        nn.Module.__init__(self)
        self.H = H
        self.W, self.U = nn.Linear(D, 4 * H, bias=False), nn.Linear(H, 4 * H, bias=False)
        self.nx, self.nc = nn.LayerNorm(4 * H), nn.LayerNorm(H)
        self.gh = nn.Parameter(torch.ones(4 * H))

    def prepare(self, x):
        return self.nx(self.W(x))

    def step(self, xW, h, c):
        i, f, g, o = (xW + F.layer_norm(self.U(h), [4 * self.H], self.gh)).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(self.nc(c)), c


class Mgu(nn.Module):
    """c is not used: all cells have the same signature."""

    def __init__(self, D: int, H: int):
        super().__init__()
        self.H = H
        self.W = nn.Linear(D, 2 * H)
        self.Uf, self.Uc = nn.Linear(H, H, bias=False), nn.Linear(H, H, bias=False)

    def prepare(self, x):
        return self.W(x)

    def step(self, xW, h, c):
        xf, xc = xW.chunk(2, 1)
        f = torch.sigmoid(xf + self.Uf(h))
        return torch.lerp(h, torch.tanh(xc + self.Uc(f * h)), f), c


class Gru(nn.Module):
    def __init__(self, D: int, H: int):
        super().__init__()
        self.H = H
        self.W = nn.Linear(D, 3 * H)
        self.U, self.Uc = nn.Linear(H, 2 * H, bias=False), nn.Linear(H, H, bias=False)

    def prepare(self, x):
        return self.W(x)

    def step(self, xW, h, c):
        H = self.H
        z, r = torch.sigmoid(xW[:, :2 * H] + self.U(h)).chunk(2, 1)
        return torch.lerp(torch.tanh(xW[:, 2 * H:] + self.Uc(r * h)), h, z), c


class Loop(nn.Module):
    """A cell over [T, B, D]."""

    def __init__(self, cell: nn.Module):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        h = x.new_zeros(x.shape[1], self.cell.H)
        c = h
        outputs = []
        for x_t in self.cell.prepare(x).unbind(0):
            h, c = self.cell.step(x_t, h, c)
            outputs.append(h)
        return torch.stack(outputs)


def loop(cell, D, H, variant):
    module = Loop(cell(D, H))
    return torch.jit.script(module) if variant == 'script' else module


class BothWays(nn.Module):
    def __init__(self, D, H, variant):
        super().__init__()
        self.forwards, self.backwards = loop(Gru, D, H, variant), loop(Gru, D, H, variant)

    def forward(self, x):
        return torch.cat([self.forwards(x), self.backwards(x.flip(0)).flip(0)], 2)


# ---- models: (parameters' modules, loss of a step) ----------------------------------------------------------------


def ids(vocab, *shape):
    return torch.randint(vocab, shape)


def fused(kind, *args):
    """nn.LSTM and the like, results alone."""
    module = kind(*args)
    return module, lambda x: module(x)[0]


def char_rnn(variant):
    rnn, run = fused(nn.RNN, 60, 128)
    dense = nn.Linear(128, 60)
    x, y = ids(60, 10, 128), ids(60, 128)
    return [rnn, dense], lambda: F.cross_entropy(dense(run(F.one_hot(x, 60).float())[-1]), y)


def character_model(rnn, run, width=256):
    embedding, dense = nn.Embedding(100, 64), nn.Linear(width, 100)
    x, y = ids(100, 64, 32), ids(100, 64 * 32)
    return [embedding, rnn, dense], lambda: F.cross_entropy(dense(run(embedding(x))).flatten(0, 1), y)


def char_lm(variant):
    return character_model(*fused(nn.LSTM, 64, 256))


def custom(cell):
    def make(variant):
        rnn = loop(cell, 64, 256, variant)
        return character_model(rnn, rnn)
    return make


def custom_bigru(variant):
    if variant == 'fused':
        gru = nn.GRU(64, 256, num_layers=2, bidirectional=True)
        return character_model(gru, lambda x: gru(x)[0], 512)
    both = nn.Sequential(BothWays(64, 256, variant), BothWays(512, 256, variant))
    return character_model(both, both, 512)


def word_lm(variant):
    embedding, dense = nn.Embedding(10000, 512, sparse=variant == 'sparse'), nn.Linear(512, 10000)
    rnn, run = fused(nn.LSTM, 512, 512, 2)
    x, y = ids(10000, 35, 20), ids(10000, 700)
    return [embedding, rnn, dense], lambda: F.cross_entropy(dense(run(embedding(x))).flatten(0, 1), y)


def gru_classify(variant):
    rnn, run = fused(nn.GRU, 64, 256)
    dense = nn.Linear(256, 10)
    x, y = torch.rand(64, 64, 64) * 2 - 1, ids(10, 64)
    return [rnn, dense], lambda: F.cross_entropy(dense(run(x)[-1]), y)


def sentiment(variant):
    embedding = nn.Embedding(100000, 32, sparse=variant == 'sparse')
    rnn, run = fused(nn.RNN, 32, 64)
    dense = nn.Linear(64, 1)
    x, y = ids(100000, 200, 64), ids(2, 64, 1).float()
    return [embedding, rnn, dense], lambda: F.binary_cross_entropy_with_logits(dense(run(embedding(x))[-1]), y)


def hello(variant):
    embedding, dense = nn.Embedding(8, 8), nn.Linear(16, 8)
    rnn, run = fused(nn.RNN, 8, 16)
    x, y = ids(8, 4, 6), ids(8, 6)
    return [embedding, rnn, dense], lambda: F.cross_entropy(dense(run(embedding(x))[-1]), y)


def ragged(variant):
    """Packed sequences: the steps behind a row's end are not computed."""
    embedding, rnn, dense = nn.Embedding(100, 64), nn.LSTM(64, 256), nn.Linear(256, 100)
    lengths = torch.tensor([8 + 56 * b // 31 for b in range(32)])
    x = ids(100, 64, 32)
    pack = lambda t: nn.utils.rnn.pack_padded_sequence(t, lengths, enforce_sorted=False)
    y = pack(ids(100, 64, 32)).data
    return [embedding, rnn, dense], lambda: F.cross_entropy(dense(rnn(pack(embedding(x)))[0].data), y)


# ---- steps: (step(), parameters, a number that shows whether all is well) -----------------------------------------


def adam(p):
    return torch.optim.Adam(p, lr=1e-3, eps=1e-7)


def sparse_adam(p):
    return torch.optim.SparseAdam(p, lr=1e-3, eps=1e-7)


def sgd(p):
    return torch.optim.SGD(p, lr=1.0)


def training(make, optimizer=adam, clip=0.0, sparse_optimizer=sparse_adam):
    def build(variant):
        modules, loss_of = make(variant)
        parameters = [p for m in modules for p in m.parameters()]
        sparse = [p for m in modules for p in m.parameters() if getattr(m, 'sparse', False)]
        dense = [p for p in parameters if not any(p is q for q in sparse)]
        optimizers = [optimizer(dense)] + ([sparse_optimizer(sparse)] if sparse else [])
        last = [None]

        def step():
            for o in optimizers:
                o.zero_grad(set_to_none=True)
            loss = last[0] = loss_of()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(parameters, clip)
            for o in optimizers:
                o.step()
        return step, sum(p.numel() for p in parameters), lambda: last[0].item()
    return build


def layer(kind):
    def build(variant):
        rnn = kind(256, 256)
        x, g = (torch.rand(64, 32, 256) * 2 - 1).requires_grad_(), torch.rand(64, 32, 256) * 2 - 1

        def step():
            rnn.zero_grad(set_to_none=True)
            x.grad = None
            rnn(x)[0].backward(g)
        return step, sum(p.numel() for p in rnn.parameters()), lambda: x.grad.norm().item()
    return build


def stream(variant):
    rnn = nn.LSTMCell(64, 256) if variant == 'cell' else nn.LSTM(64, 256)
    x = torch.rand(1, 64) if variant == 'cell' else torch.rand(1, 1, 64)
    state = (torch.zeros(*x.shape[:-1], 256),) * 2

    @torch.inference_mode()
    def step():
        nonlocal state
        state = rnn(x, state) if variant == 'cell' else rnn(x, state)[1]
    return step, sum(p.numel() for p in rnn.parameters()), lambda: state[0].norm().item()


BY_HAND = ('eager', 'script')
WORKLOADS = {
    'char_rnn': (training(char_rnn, lambda p: torch.optim.RMSprop(p, lr=1e-3, alpha=0.9, eps=1e-7)), ('fused',)),
    'char_lm': (training(char_lm, clip=1.0), ('fused',)),
    'word_lm': (training(word_lm, sgd, clip=5.0, sparse_optimizer=sgd), ('fused', 'sparse')),
    'gru_classify': (training(gru_classify), ('fused',)),
    'sentiment': (training(sentiment), ('sparse',)),
    'hello': (training(hello), ('fused',)),
    'layer': (layer(nn.LSTM), ('fused',)),
    'layer_gru': (layer(nn.GRU), ('fused',)),
    'custom_lstm': (training(custom(Lstm), clip=1.0), BY_HAND),
    'custom_lstm_concat': (training(custom(LstmConcat), clip=1.0), BY_HAND),
    'custom_peephole': (training(custom(Peephole), clip=1.0), BY_HAND),
    'custom_mgu': (training(custom(Mgu), clip=1.0), BY_HAND),
    'custom_lnlstm': (training(custom(Normed), clip=1.0), BY_HAND),
    'custom_bigru': (training(custom_bigru, clip=1.0), BY_HAND + ('fused',)),
    'stream': (stream, ('fused', 'cell')),
    'ragged': (training(ragged, clip=1.0), ('fused',)),
}


# ---- measuring ----------------------------------------------------------------------------------------------------


def timed(step, n):
    start = time.perf_counter()
    for _ in range(n):
        step()
    return (time.perf_counter() - start) / n


def milliseconds(step, repeat):
    """Of a step, `repeat` times."""
    start, n = time.perf_counter(), 0
    while n < WARM_STEPS or time.perf_counter() - start < WARM_SECONDS:
        last = timed(step, 1)
        n += 1
    n = max(1, int(REPETITION_SECONDS / last))
    return [timed(step, n) * 1e3 for _ in range(repeat)]


def peak_memory():
    with open('/proc/self/status') as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith('VmHWM'))


def measure(name, variant, args):
    torch.manual_seed(1)
    step, parameters, result = WORKLOADS[name][0](variant)
    ms = milliseconds(step, args.repeat)
    if not math.isfinite(result()) or result() == 0:
        sys.exit(f'peer_torch: {name}: the result is {result()}')
    print(f'{name:20} {statistics.median(ms):10.4g} ms (min {min(ms):.4g}), {variant}', flush=True)
    return {'workload': name, 'variant': variant, 'threads': args.threads, 'ms_median': statistics.median(ms),
            'ms_min': min(ms), 'parameters': parameters, 'rss_bytes': peak_memory()}


def main():
    p = argparse.ArgumentParser(description='PyTorch on the workloads of tl_bench')
    p.add_argument('workloads', nargs='*', default=['*'], help='shell patterns')
    p.add_argument('--variant', help='only this one')
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--repeat', type=int, default=9)
    p.add_argument('--json')
    p.add_argument('--list', action='store_true')
    args = p.parse_args()
    chosen = [(name, variant) for name, (_, variants) in WORKLOADS.items() for variant in variants
              if any(fnmatch.fnmatch(name, w) for w in args.workloads) and args.variant in (None, variant)]
    if args.list:
        print('\n'.join(f'{name} {variant}' for name, variant in chosen))
        return
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)  # as tl_run() does; without it a simple RNN takes several times as long
    figures = [measure(name, variant, args) for name, variant in chosen]
    if args.json:
        with open(args.json, 'w') as f:
            json.dump(figures, f, indent=1)


if __name__ == '__main__':
    main()
