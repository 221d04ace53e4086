#!/usr/bin/env python3
"""make_torch_fixtures.py FOLDER SEED...: reference values of PyTorch's modules and functions in random shapes."""
import math
import numpy as np, torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.nn.utils.stateless import functional_call
from fixture_optim import torch_clipping, torch_optimizers, torch_schedules
from fixture_writer import case, chance, dim, rand, random, write


def shape(low=1, high=4):
    return [dim(1, 4) for _ in range(dim(low, high))]


def lengths_of(B, T):
    """Rows as long as others and rows of one step are among them; the first is full."""
    return torch.tensor([T] + [random.choice([1, T, dim(1, T)]) for _ in range(B - 1)])


# ---- recurrent


def recurrent(op, **kw):
    """A module of any depth and direction, over packed rows or not."""
    B, T, D, H, P = dim(1, 4), kw.pop("steps", dim(1, 7)), dim(1, 5), dim(1, 6), 0
    batch_first, packed, h0 = kw.pop("batch_first", True), kw.pop("packed", False), dim(0, 1)
    if kw.pop("projected", False):
        H = H + 1
        P = dim(1, H - 1)
        kw["proj_size"] = P
    net = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[op.split("_")[0]]
    net = net(D, H, batch_first=batch_first, **kw, **({"nonlinearity": op[4:]} if "_" in op else {}))
    n = net.num_layers * (2 if net.bidirectional else 1)
    ins = {"x": rand(B, T, D) if batch_first else rand(T, B, D)}
    if h0:
        ins["h0"] = rand(n, B, P or H)
    if h0 and op == "lstm":
        ins["c0"] = rand(n, B, H)
    if packed:
        ins["lengths"] = lengths_of(B, T)

    def fn(x, h0=None, c0=None, lengths=None, **pars):
        if packed:
            x = pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
        state = None if h0 is None else (h0, c0) if op == "lstm" else h0
        net._flat_weights = [pars[name] for name in net._flat_weights_names]
        y, last = net(x, state)
        if packed:
            y = pad_packed_sequence(y, batch_first)[0]
        return {"y": y, "hn": last[0], "cn": last[1]} if op == "lstm" else {"y": y, "hn": last}

    case(op, fn, ins, dict(net.named_parameters()), input_size=D, hidden_size=H, batch_first=batch_first,
         packed=packed, bias=net.bias,
         num_layers=net.num_layers, bidirectional=net.bidirectional, proj_size=P, h0_given=h0)


def stepwise(kind):
    """Cells: one step; masked, where steps that do not count keep the state and repeat the output, at first zeros; in
    chunks."""
    B, T, D, H = dim(1, 4), dim(1, 7), dim(1, 5), dim(1, 6)
    cell = {"rnn_tanh": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[kind](D, H)
    lstm, pars = kind == "lstm", dict(cell.named_parameters())

    def step(pars, x, state):
        new = functional_call(cell, pars, (x, state if lstm else state[0]))
        return new if lstm else (new,)

    def states(h, c):
        return {h: rand(B, H), **({c: rand(B, H)} if lstm else {})}

    def masked(x, mask, h0, c0=None, **pars):
        state, out, y = (h0, c0) if lstm else (h0,), [], torch.zeros_like(h0)
        for t in range(T):
            m = mask[:, t, None] > 0
            state = [torch.where(m, a, b) for a, b in zip(step(pars, x[:, t], state), state)]
            y = torch.where(m, state[0], y)
            out.append(y)
        return {"y": torch.stack(out, 1), **dict(zip(("hn", "cn"), state))}

    def chunked(**t):
        state, out = [t.get(name, torch.zeros(1, B, H))[0] for name in ("h0", "c0")[:2 if lstm else 1]], {}
        for k in range(n):
            state, y = [s.detach() if detach and k else s for s in state], []
            for x in t[f"x{k}"].unbind(1):
                state = step({name: t[name + "_l0"] for name in pars}, x, state)
                y.append(state[0])
            out[f"y{k}"] = torch.stack(y, 1)
        return {**out, **({k: s[None] for k, s in zip(("hn", "cn"), state)} if ends else {})}

    case(kind + "_masked", masked, {"x": rand(B, T, D), **states("h0", "c0"), "mask": torch.randint(0, 2, (B, T))},
         pars)
    case("cell_" + kind, lambda x, h, c=None, **p: dict(zip(("h1", "c1"), step(p, x, (h, c)))),
         {"x": rand(B, D), **states("h", "c")}, pars)
    n, detach, ends = dim(1, 4), not chance(3), chance()
    start = {k: h[None] for k, h in states("h0", "c0").items()} if chance() else {}
    case(kind + "_tbptt", chunked, {**{f"x{k}": rand(B, T, D) for k in range(n)}, **start},
         {name + "_l0": p for name, p in pars.items()}, chunks=n,
         chunk_len=T, detach=detach)


def s(x):
    return torch.sigmoid(x)


def gate(x, h, p, name):
    return x @ p["W" + name] + h @ p["U" + name] + p["b" + name]


def peephole_lstm(x, h, c, p):
    i, f = s(gate(x, h, p, "i") + p["pi"] * c), s(gate(x, h, p, "f") + p["pf"] * c)
    c = f * c + i * torch.tanh(gate(x, h, p, "c"))
    return s(gate(x, h, p, "o") + p["po"] * c) * torch.tanh(c), c


def cifg_lstm(x, h, c, p):
    f = s(gate(x, h, p, "f"))
    c = f * c + (1 - f) * torch.tanh(gate(x, h, p, "c"))
    return s(gate(x, h, p, "o")) * torch.tanh(c), c


def mgu(x, h, p):
    f = s(gate(x, h, p, "f"))
    return (1 - f) * h + f * torch.tanh(gate(x, f * h, p, "c"))


def gru_reset_before(x, h, p):
    z = s(gate(x, h, p, "z"))
    return z * h + (1 - z) * torch.tanh(gate(x, s(gate(x, h, p, "r")) * h, p, "c"))


def janet(x, h, c, p):
    f = s(gate(x, h, p, "f"))
    c = f * c + (1 - f) * torch.tanh(gate(x, h, p, "c"))
    return c, c


def rhn_depth1(x, h, p):
    t = s(gate(x, h, p, "z"))
    return torch.tanh(gate(x, h, p, "c")) * t + h * (1 - t)


def ln_lstm(x, h, c, p):
    norm = lambda v, k: F.layer_norm(v, v.shape[-1:], p["g" + k], p["b" + k], 1e-5)
    i, f, g, o = (norm(x @ p["W"], "1") + norm(h @ p["U"], "2")).chunk(4, -1)
    c = s(f) * c + s(i) * torch.tanh(g)
    return s(o) * torch.tanh(norm(c, "3")), c


def mi_rnn(x, h, p):
    a, b = x @ p["Wc"], h @ p["Uc"]
    return torch.tanh(p["al"] * a * b + p["b1"] * a + p["b2"] * b + p["bc"])


def ugrnn(x, h, p):
    g = s(gate(x, h, p, "z"))
    return g * h + (1 - g) * torch.tanh(gate(x, h, p, "c"))


def literature():
    B, T, D, H, Y, a = dim(1, 4), dim(1, 6), dim(1, 5), dim(1, 6), dim(1, 4), round(random.uniform(0.1, 0.9), 3)
    gates = lambda names: {k + n: rand(*d) for n in names for k, d in (("W", (D, H)), ("U", (H, H)), ("b", (H,)))}
    vectors = lambda names, n=H: {k: rand(n) for k in names}
    norm = {"W": rand(D, 4 * H), "U": rand(H, 4 * H), **vectors(("g1", "b1", "g2", "b2"), 4 * H),
            **vectors(("g3", "b3"))}
    jordan = {"Wc": rand(D, H), "Uc": rand(Y, H), "bc": rand(H), "Vy": rand(H, Y), "by": rand(Y)}
    for name, states, step, pars in (
            ("peephole_lstm", 2, peephole_lstm, {**gates("ifco"), **vectors(("pi", "pf", "po"))}),
            ("cifg_lstm", 2, cifg_lstm, gates("fco")), ("mgu", 1, mgu, gates("fc")),
            ("gru_reset_before", 1, gru_reset_before, gates("zrc")),
            ("janet", 2, janet, gates("fc")), ("rhn_depth1", 1, rhn_depth1, gates("cz")), ("ln_lstm", 2, ln_lstm, norm),
            ("indrnn", 1, lambda x, h, p: torch.relu(x @ p["Wc"] + p["u"] * h + p["bc"]),
             {"Wc": rand(D, H), **vectors(("bc", "u"))}),
            ("mi_rnn", 1, mi_rnn, {**gates("c"), **vectors(("al", "b1", "b2"))}), ("ugrnn", 1, ugrnn, gates("zc")),
            ("jordan", 1, lambda x, h, p: torch.tanh(torch.tanh(gate(x, h, p, "c")) @ p["Vy"] + p["by"]), jordan),
            ("leaky_esn", 1, lambda x, h, p: (1 - a) * h + a * torch.tanh(gate(x, h, p, "c")), gates("c"))):

        def fn(x, h0, c0=None, **p):
            state, y = (h0, c0)[:states], []
            for t in range(T):
                state = step(x[:, t], *state, p)
                state = state if states > 1 else (state,)
                y.append(state[0])
            return {"y": torch.stack(y, 1), **dict(zip(("hn", "cn"), state))}

        width = Y if name == "jordan" else H
        case("custom_" + name, fn, {"x": rand(B, T, D), "h0": rand(B, width),
                                    **({"c0": rand(B, H)} if states > 1 else {})}, pars, input_size=D,
             hidden_size=H, a=a)


# ---- attention


def attention():
    B, T, S, E, V, U = dim(1, 3), dim(1, 5), dim(1, 6), dim(1, 5), dim(1, 4), dim(1, 4)
    mask = torch.randint(0, 2, (B, S))
    mask[:, 0] = 1
    ins = {"q": rand(B, T, E), "k": rand(B, S, E), "v": rand(B, S, V)}

    def weights(scores, key_mask, causal=False):
        keep = torch.ones(scores.shape[1:]).tril() > 0 if causal else torch.ones(scores.shape[1:]) > 0
        return scores.masked_fill(~(keep if key_mask is None else keep & (key_mask[:, None] > 0)),
                                  -torch.inf).softmax(-1)

    for masked in {}, {"key_mask": mask}:
        for causal in {}, {"causal": True}:
            for scale in 1, "1/sqrt(E)":

                def dot(q, k, v, key_mask=None):
                    w = weights(q @ k.transpose(1, 2) * (1 if scale == 1 else E**-0.5), key_mask, bool(causal))
                    return {"y": w @ v, "weights": w}

                case("attention", dot, {**ins, **masked}, **causal, scale=scale)

        def additive(q, k, Wq, Wk, v, b=0, key_mask=None):
            w = weights(torch.tanh((q @ Wq)[:, :, None] + (k @ Wk)[:, None] + b) @ v, key_mask)
            return {"ctx": w @ k, "weights": w}

        def luong(q, k, Wa, Wc, key_mask=None):
            w = weights(q @ Wa @ k.transpose(1, 2), key_mask)
            return {"y": torch.tanh(torch.cat((w @ k, q), -1) @ Wc), "weights": w}

        q, k = {"q": rand(B, T, E)}, {"k": rand(B, S, V)}
        pars = {"Wq": rand(E, U), "Wk": rand(V, U), **({"b": rand(U)} if chance() else {}), "v": rand(U)}
        case("additive_attention", additive, {**q, **k, **masked}, pars)
        case("luong_attention", luong, {**q, **k, **masked}, {"Wa": rand(E, V), "Wc": rand(V + E, U)})
        for variant in "self", "kp", "causal", "cross":
            multi_head(B, T, S, variant, mask if masked or variant == "kp" else None)


def multi_head(B, T, S, variant, keep):
    heads = dim(1, 3)
    E = heads * dim(1, 3)
    mha = torch.nn.MultiheadAttention(E, heads, batch_first=True, bias=chance(3) is False)
    pars = {k.replace(".", "_"): torch.randn_like(p) for k, p in mha.named_parameters()}
    ins = {"q": rand(B, T, E), "k": rand(B, S, E), "v": rand(B, S, E)} if variant == "cross" else {"q": rand(B, S, E)}
    if keep is not None:
        ins["key_padding_mask"] = 1 - keep

    def fn(q, k=None, v=None, key_padding_mask=None, **pars):
        names = {k: pars[k.replace(".", "_")] for k, _ in mha.named_parameters()}
        k, v = (q, q) if k is None else (k, v)
        later = torch.ones(q.shape[1], q.shape[1]).triu(1) > 0 if variant == "causal" else None
        ignored = None if key_padding_mask is None else key_padding_mask > 0
        y = functional_call(mha, names, (q, k, v), {"key_padding_mask": ignored, "attn_mask": later})
        return {"y": y[0], "weights": y[1]}

    case("multihead_attention", fn, ins, pars, embed_dim=E, num_heads=heads, variant=variant)


# ---- functions

positive = lambda x: x.abs() + 0.1
ELEMENTWISE = {
    "exp": torch.exp, "expm1": torch.expm1, "square": torch.square, "neg": torch.neg, "abs": torch.abs,
    "sin": torch.sin, "cos": torch.cos,
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": F.relu, "relu6": F.relu6, "leaky_relu_001": F.leaky_relu,
    "leaky_relu_02": lambda x: F.leaky_relu(x, 0.2), "elu": F.elu, "selu": F.selu, "celu": F.celu, "gelu_erf": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "softplus": F.softplus, "softsign": F.softsign,
    "silu": F.silu, "mish": F.mish,
    "logsigmoid": F.logsigmoid, "hardsigmoid_torch": F.hardsigmoid,
    "hardsigmoid_onnx_02_05": lambda x: (0.2 * x + 0.5).clamp(0, 1),
    "hardswish": F.hardswish, "hardtanh": F.hardtanh, "tanhshrink": F.tanhshrink, "softshrink": F.softshrink,
    "erf": torch.erf,
    "pow3": lambda x: x**3, "clamp": lambda x: x.clamp(-0.5, 0.7),
}
OF_POSITIVE = {
    "log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "reciprocal": torch.reciprocal,
    "pow_m05": lambda x: x**-0.5,
}
OF_LAST = {
    "mean_last": lambda x: x.mean(-1), "var_biased_last": lambda x: x.var(-1, unbiased=False),
    "std_unbiased_last": lambda x: x.std(-1),
    "max_last": lambda x: x.max(-1)[0], "prod_last": lambda x: x.prod(-1), "norm_last": lambda x: x.norm(dim=-1),
    "logsumexp_last": lambda x: x.logsumexp(-1), "softmax_last": lambda x: x.softmax(-1),
    "log_softmax_last": lambda x: x.log_softmax(-1),
    "l2normalize": lambda x: F.normalize(x, dim=-1), "sum_all": torch.sum, "mean_all": torch.mean,
    "var_unbiased_all": torch.var,
    "norm_all": torch.norm, "sum_0": lambda x: x.sum(0), "min_0": lambda x: x.min(0)[0],
}
OF_MATRICES = {
    "red_sum_1_keep": lambda x: x.sum(1, keepdim=True), "red_cumsum_1": lambda x: x.cumsum(1),
    "red_softmax_1": lambda x: x.softmax(1),
    "shape_transpose_01": lambda x: x.transpose(0, 1), "shape_slice_step2": lambda x: x[:, ::2],
    "shape_flip_1": lambda x: x.flip(1),
    "shape_slice_last_step": lambda x: x[:, -1], "shape_slice_t": lambda x: x[:, 1:3],
    "shape_pad_last": lambda x: F.pad(x, (1, 2)),
    "shape_tril": torch.tril, "shape_squeeze_unsq": lambda x: x.unsqueeze(2),
    "shape_reshape": lambda x: x.reshape(-1, x.shape[-1]),
}
OF_RANK_3 = {
    "red_sum_02": lambda x: x.sum((0, 2)), "shape_permute_201": lambda x: x.permute(2, 0, 1),
    "shape_repeat": lambda x: x.repeat(1, 3, 1),
    "shape_expand": lambda x: x[:, :1].expand(-1, 4, -1),
}
PAIRS = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": lambda a, b: a / b, "maximum": torch.maximum,
    "minimum": torch.minimum, "pow": torch.pow,
}


def functions():
    for prefix, table, low in ("ew_", ELEMENTWISE, 0), ("ew_", OF_POSITIVE, 0), ("red_", OF_LAST, 1), \
            ("", OF_MATRICES, 2), ("", OF_RANK_3, 3):
        for name, fn in table.items():
            x = 2 * rand([1 + n for n in shape(low, 3 if low == 3 else 4)])
            case(prefix + name, lambda x: fn(x), {"x": positive(x) if table is OF_POSITIVE else x})
    a, b, c, d = (dim(1, 6) for _ in range(4))
    for x, y in ((a, b), (a, b)), ((a, b), (b,)), ((a, 1), (1, b)), ((a, b, c), (b, 1)), ((a, b, c), ()), \
            ((1, b, 1), (a, 1, c)), ((d, a, b, c), (a, 1, c)):
        for op, fn in PAIRS.items():
            left, right = rand(x), rand(y)
            left = positive(left) if op == "pow" else left
            right = right.sign() * positive(right) if op == "div" else right
            case("bin_" + op, lambda a, b: fn(a, b), {"a": left, "b": right})
    # not 3, where PyTorch's hardswish has one derivative for a number and another for eight
    edges = torch.tensor([0, 0.5, -0.5, 0.7, 1, -1, -3, 6, 20, -30, 100, -150, 750, -800])
    for name, fn in ELEMENTWISE.items():
        case("ew_" + name, lambda x: fn(x), {"x": edges}, cot=lambda name, y: torch.ones_like(y) / 8)
    for op in "maximum", "minimum":
        case("bin_" + op, lambda a, b: PAIRS[op](a, b), {"a": rand(a, b).round(), "b": rand(a, b).round()})
    for op in "max_last", "min_0":  # ties
        case("red_" + op, lambda x: OF_LAST[op](x), {"x": rand(a, b + 2).round()})
    for x, y in ((a, b), (b, c)), ((d, a, b), (b, c)), ((d, a, b), (d, b, c)), ((a, b), (b,)), ((b,), (b, c)), \
            ((b,), (b,)), ((2, 1, a, b), (d, b, c)):
        case("matmul", lambda a, b: a @ b, {"a": rand(x), "b": rand(y)})
    case("outer", lambda a, b: torch.outer(a, b), {"a": rand(a), "b": rand(b)})
    case("matmul_t", lambda a, b, c, d: {"nt": a @ b.T, "tn": a.T @ c, "tt": a.T @ d.T},
         {"a": rand(a, b), "b": rand(c, b), "c": rand(a, d), "d": rand(d, a)})
    case("red_softmax_last", lambda x: {"y": x.softmax(-1), "l": x.log_softmax(-1)}, {"x": 500 * rand(a, b)})
    m = torch.randint(0, 2, (a, b)).double()
    case("red_softmax_last", lambda x, m: (x - (1 - m) * 1e9).softmax(-1),
         {"x": rand(a, b), "m": torch.cat((m[:, :-1], 1 + 0 * m[:, :1]), 1)}, frozen="m")


def joining():
    a, b, c = (dim(1, 5) for _ in range(3))
    for rank in 1, 2, 3, 4:
        axis, dims, names = dim(-rank, rank - 1), shape(rank, rank), "abc"[:dim(1, 3)]
        sized = lambda n: [n if k == axis % rank else d for k, d in enumerate(dims)]
        case("concat", lambda **t: torch.cat(tuple(t.values()), axis), {k: rand(sized(dim(1, 4))) for k in names},
             axis=axis)
        case("stack", lambda **t: torch.stack(tuple(t.values()), axis), {k: rand(dims) for k in names}, axis=axis)
        n = dim(1, 4)
        case("split", lambda x: dict(zip("pqrs", x.chunk(n, axis))), {"x": rand(sized(n * c))}, axis=axis, parts=n)
        case("unbind", lambda x: {f"t{k}": y for k, y in enumerate(x.unbind(axis))}, {"x": rand(dims)}, axis=axis)
        idx = torch.randint(0, dims[axis], sized(dim(1, 5)))
        case("gather", lambda x, idx: x.gather(axis, idx), {"x": rand(dims), "idx": idx}, axis=axis)
        case("index_select", lambda x, idx: x.index_select(axis, idx),
             {"x": rand(dims), "idx": torch.randint(0, dims[axis], (dim(1, 6),))}, axis=axis)
        m = torch.randint(0, 2, dims)
        case("where", lambda a, b, m: torch.where(m > 0, a, b), {"a": rand(dims), "b": rand(dims), "m": m})
        case("masked_fill", lambda x, m: x.masked_fill(m > 0, 2.5), {"x": rand(dims), "m": m}, value=2.5)
        case("detach", lambda x: x * x.detach() + x, {"x": rand(dims)})
        case("dropout", lambda x, keep: x * keep / (1 - 0.4), {"x": rand(dims), "keep": m.double()}, frozen=("keep",),
             p=0.4)
    case("concat", lambda a, b: torch.cat((a, b, a), -1), {"a": rand(a, b), "b": rand(a, c)}, axis=-1)
    case("gather_last", lambda x, lengths: x[torch.arange(a), lengths - 1],
         {"x": rand(a, b, c), "lengths": lengths_of(a, b)})
    case("fan_out", lambda x, w: x * x + torch.tanh(x) @ w + (x @ w) * x.sum(), {"x": rand(a, b)}, {"w": rand(b, b)})

    def diamond(x, w):
        h = x
        for _ in range(4):
            h = torch.tanh(h @ w + x)
        return h

    case("diamond", diamond, {"x": rand(a, b)}, {"w": rand(b, b)})


# ---- layers


def layers():
    a, b, c = (dim(1, 5) for _ in range(3))
    for rank in 1, 2, 3:
        dims, bias = shape(rank, rank), chance()
        case("linear", lambda x, weight, bias=None: F.linear(x, weight, bias), {"x": rand(dims + [b])},
             {"weight": rand(c, b), **({"bias": rand(c)} if bias else {})})
        case("bilinear", lambda x1, x2, weight, bias=None: F.bilinear(x1, x2, weight, bias),
             {"x1": rand(dims + [a]), "x2": rand(dims + [b])},
             {"weight": rand(c, a, b), **({"bias": rand(c)} if bias else {})})
        padding = {"padding_idx": dim(0, 4)}
        for attrs in {}, padding, {"scale_grad_by_freq": True}, {"scale_grad_by_freq": True, **padding}:
            case("embedding", lambda ids, weight: F.embedding(ids, weight, **attrs),
                 {"ids": torch.randint(0, 5, dims)}, {"weight": rand(5, c)}, vocab=5,
                 dim=c, **attrs)
        for axes in range(1, rank + 2):
            dims, affine, eps = [dim(3, 5) for _ in range(rank + 1)], chance(), random.choice([1e-5, 1e-3])
            pars = {"weight": rand(dims[-axes:]), "bias": rand(dims[-axes:])} if affine else {}
            case("layernorm", lambda x, weight=None, bias=None: F.layer_norm(x, dims[-axes:], weight, bias, eps),
                 {"x": rand(dims)}, pars, axes=axes, eps=eps,
                 affine=affine)
    for training in True, False:
        for dims in (dim(3, 6), c), (dim(3, 6), c, dim(2, 4)):
            affine, eps = chance(), random.choice([1e-5, 1e-3])
            ins = {"x": rand(dims), "running_mean": rand(c), "running_var": positive(rand(c))}

            def norm(x, running_mean, running_var, weight=None, bias=None):
                return F.batch_norm(x, running_mean.detach().clone(), running_var.detach().clone(), weight, bias,
                                    training, 0.1, eps)

            case("batchnorm1d", norm, ins, {"weight": rand(c), "bias": rand(c)} if affine else {},
                 ("running_mean", "running_var"), training=training,
                 momentum=0.1, eps=eps)


def ctc():
    for reduction in "mean", "sum", "none":
        for zero_infinity in {}, {"zero_infinity": True}:
            B, T, S, C = dim(1, 4), dim(3, 8), dim(1, 4), dim(2, 5)
            blank = dim(0, C - 1)
            target = torch.randint(0, C - 1, (B, S))
            target = target + (target >= blank)
            tg_len = torch.randint(0, S + 1, (B,))
            in_len = torch.randint(1, T + 1, (B,)) if zero_infinity else torch.randint(min(T, 2 * S + 1), T + 1, (B,))
            if not zero_infinity:
                tg_len = tg_len.clamp(max=(T + 1) // 2 - 1).clamp(min=1)
                in_len = torch.maximum(in_len, 2 * tg_len)

            def fn(logits, target, in_len, tg_len):
                return {"loss": F.ctc_loss(logits.log_softmax(-1), target, in_len, tg_len, blank, reduction,
                                           **zero_infinity)}

            case("ctc", fn, {"logits": rand(T, B, C), "target": target, "in_len": in_len, "tg_len": tg_len},
                 blank=blank, reduction=reduction, **zero_infinity)


# ---- losses


def distribution(*dims):
    return (2 * rand(*dims)).softmax(-1)


def signs(*dims):
    return 2.0 * torch.randint(0, 2, dims) - 1


def loss_case(op, fn, ins, frozen=(), **attrs):
    """What PyTorch has no derivative by is frozen."""
    still = lambda t: {k: v.detach() if k in frozen else v for k, v in t.items()}
    case(op, lambda **t: {"loss": fn(**still(t))}, ins, frozen=frozen, **attrs)


def elementwise_losses(reduction):
    how, dims = {"reduction": reduction}, shape(1, 4)
    y, t, number = rand(dims), rand(dims), {k: random.choice([0.3, 0.7, 1.5]) for k in ("delta", "beta")}
    loss_case("mse", lambda y, target: F.mse_loss(y, target, **how), {"y": y, "target": t}, **how)
    loss_case("l1", lambda y, target: F.l1_loss(y, target, **how), {"y": y, "target": t}, **how)
    for op, fn, key in ("huber", F.huber_loss, "delta"), ("smooth_l1", F.smooth_l1_loss, "beta"):
        of = {key: number[key]} if chance() else {}
        loss_case(op, lambda y, target: fn(y, target, **how, **of), {"y": y, "target": t}, **how, **of)
    loss_case("smooth_l1", lambda y, target: F.smooth_l1_loss(y, target, beta=0, **how), {"y": y, "target": t}, beta=0,
              **how)
    weight = {"weight": positive(rand(dims[-1:]))} if chance() else {"weight": positive(rand(dims))} if chance() else {}
    pos = {"pos_weight": positive(rand(dims[-1:]))} if chance() else {}
    t = torch.rand(dims) if chance() else torch.randint(0, 2, dims).double()
    loss_case("bce", lambda p, target, weight=None: F.binary_cross_entropy(p, target, weight, **how),
              {"p": rand(dims).sigmoid(), "target": t, **weight}, ("target", "weight"), **how)
    loss_case("bce_logits", lambda z, target, **w: F.binary_cross_entropy_with_logits(z, target, **w, **how),
              {"z": random.choice([1, 300]) * rand(dims), "target": t, **weight, **pos},
              ("target", "weight", "pos_weight"), **how)
    log_input, full = chance(), chance()
    loss_case("poisson_nll", lambda y, target: F.poisson_nll_loss(y, target, log_input, full, eps=1e-6, **how),
              {"y": rand(dims) if log_input else positive(rand(dims)), "target": torch.randint(0, 6, dims).double()},
              ("target",), log_input=log_input, full=full, eps=1e-6, **how)
    for kind in (reduction, "batchmean") if reduction == "sum" else (reduction,):
        for log_target in True, False:
            t = distribution(dims)
            if not log_target:
                t = t * torch.randint(0, 2, dims)
            loss_case("kl_div", lambda logp, target: F.kl_div(logp, target, reduction=kind, log_target=log_target),
                      {"logp": rand(dims).log_softmax(-1), "target": t.log() if log_target else t}, ("target",),
                      reduction=kind, log_target=log_target)
    margin = {"margin": random.choice([0.3, -0.1])} if chance() else {}
    loss_case("margin_ranking", lambda a, b, target: F.margin_ranking_loss(a, b, target, **how, **margin),
              {"a": rand(dims), "b": rand(dims), "target": signs(*dims)}, ("target",), **margin, **how)
    loss_case("hinge_embedding", lambda y, target: F.hinge_embedding_loss(y, target, **how, **margin),
              {"y": rand(dims), "target": signs(*dims)}, ("target",), **margin, **how)
    variance = positive(rand(dims))
    loss_case("gaussian_nll", lambda y, target, var: F.gaussian_nll_loss(y, target, var, full=full, **how),
              {"y": y, "target": rand(dims), "var": variance}, full=full, **how)


def row_losses(reduction):
    how, B, T, C, D = {"reduction": reduction}, dim(1, 5), dim(1, 4), dim(2, 6), dim(2, 5)
    ids, steps = torch.randint(0, C, (B,)), torch.randint(0, C, (B, T))
    weight = {"class_weight": positive(rand(C))} if chance() else {}
    smooth = {"label_smoothing": round(random.random(), 2)} if chance() else {}
    ignore = {"ignore_index": random.choice([-100, -1, 0, C - 1])} if chance() else {}
    for t in ids, steps:
        if ignore:
            t[torch.rand(t.shape) < 0.4] = ignore["ignore_index"]
            t.view(-1)[0] = 1 if ignore["ignore_index"] == 0 else 0  # the mean of nothing is NaN there, 0 here
    use = lambda class_weight=None: {"weight": class_weight} if class_weight is not None else {}
    fixed = ("class_weight", "target")
    loss_case("cross_entropy", lambda logits, target, **w: F.cross_entropy(logits, target, **use(**w), **smooth, **how,
                                                                           **ignore),
              {"logits": 3 * rand(B, C), "target": ids, **weight}, fixed, **smooth, **how, **ignore)
    loss_case("cross_entropy_seq",
              lambda logits, target, **w: F.cross_entropy(logits.reshape(-1, C), target.reshape(-1), **use(**w), **how,
                                                          **smooth, **ignore),
              {"logits": rand(B, T, C), "target": steps, **weight}, fixed, **smooth, **how, **ignore)
    loss_case("cross_entropy_prob",
              lambda logits, target, **w: F.cross_entropy(logits, target, **use(**w), **smooth, **how),
              {"logits": rand(B, C), "target": distribution(B, C), **weight}, ("class_weight",), **smooth, **how)
    loss_case("nll_loss", lambda logp, target, **w: F.nll_loss(logp, target, **use(**w), **how, **ignore),
              {"logp": rand(B, C).log_softmax(-1), "target": ids, **weight}, fixed, **how, **ignore)
    margin = {"margin": random.choice([0.3, 0.7])} if chance() else {}
    loss_case("cosine_embedding", lambda a, b, target: F.cosine_embedding_loss(a, b, target, **margin, **how),
              {"a": rand(B, D), "b": rand(B, D), "target": signs(B)}, ("target",), **margin, **how)
    loss_case("triplet", lambda a, p, n: F.triplet_margin_loss(a, p, n, **margin, **how),
              {"a": rand(B, D), "p": rand(B, D), "n": rand(B, D)}, **margin, **how)
    if reduction == "mean":
        loss_case("cosine_similarity", lambda a, b: F.cosine_similarity(a, b, -1).mean(),
                  {"a": rand(B, T, D), "b": rand(B, T, D)})
        case("perplexity", lambda logits, target: ratio(F.cross_entropy(logits.reshape(-1, C), target.reshape(-1))),
             {"logits": rand(B, T, C), "target": torch.randint(0, C, (B, T))})


def ratio(ce):
    return {"ce": ce, "perplexity": ce.exp()}


def losses():
    for reduction in "mean", "sum", "none":
        elementwise_losses(reduction)
        row_losses(reduction)


def cases():
    both, packed = {"bidirectional": True}, {"packed": True}
    for op in "rnn_tanh", "rnn_relu", "lstm", "gru":
        for kw in {}, {"steps": 60}, {"bias": False, "batch_first": False}, {"num_layers": 3}, both, packed, \
                {**packed, **both, "bias": False}, {**packed, **both, "num_layers": 2, "batch_first": False}:
            recurrent(op, **kw)
    for kw in {}, {"bias": False}, packed, {**packed, **both}, {**packed, **both, "num_layers": 2}:
        recurrent("lstm", projected=True, **kw)
    for kind in "rnn_tanh", "lstm", "gru":
        stepwise(kind)
    literature()
    attention()
    functions()
    joining()
    layers()
    ctc()
    losses()
    torch_optimizers()
    torch_schedules()
    torch_clipping()


write(cases, "torch")
