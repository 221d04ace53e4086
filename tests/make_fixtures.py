#!/usr/bin/env python3
"""make_fixtures.py FOLDER SEED...: reference values of PyTorch in random shapes, in the format of tests/fixture_reader.h,
one folder FOLDER/SEED for each seed.

What build/tests/conformance replays must not depend on the seeds, shapes and names of the fixtures it was written with."""
import os, random, sys
import numpy as np, torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.set_default_dtype(torch.float64)
blob, index = bytearray(), []
dim = random.randint
rand = torch.randn


def tensor(role, name, t):
    a = np.asarray(t.detach())
    a = np.array(a, dtype="<f8" if a.dtype.kind == "f" else "<i8", order="C")
    dims = ",".join(map(str, a.shape)) or "-"
    index.append(f"tensor\t{role}\t{name}\t{a.dtype.str[1:]}\t{a.ndim}\t{dims}\t{len(blob)}\t{a.size}")
    blob.extend(a.tobytes())


def case(op, fn, ins={}, pars={}, **attrs):
    """fn of all tensors by name -> results by name (or y); the loss is the sum of results times random cotangents."""
    index.append(f"case\tc{len(index)}\t{op}\tcore")
    index.extend(f"attr\t{k}\t{int(v) if isinstance(v, bool) else v}" for k, v in attrs.items())
    t = {k: v.detach().clone().requires_grad_(v.is_floating_point()) for k, v in {**ins, **pars}.items()}
    out = fn(**t)
    out = out if isinstance(out, dict) else {"y": out}
    cot = {k: torch.randn_like(v) for k, v in out.items()}
    loss = sum((out[k] * cot[k]).sum() for k in out)
    loss.backward()
    for role, group in ("in", ins), ("par", pars), ("cot", cot), ("out", out), ("loss", {"loss": loss}):
        for k, v in group.items():
            tensor(role, k, v)
    for role, group in ("gin", ins), ("gpar", pars):
        for k in group:
            if t[k].requires_grad:
                tensor(role, k, t[k].grad if t[k].grad is not None else torch.zeros_like(t[k]))
    index.append("end")


def recurrent(op, **kw):
    """A module of any depth and direction, over packed rows or not."""
    B, T, D, H, P = dim(1, 4), dim(1, 7), dim(1, 5), dim(2, 6), 0
    batch_first, packed, h0 = kw.pop("batch_first", True), kw.pop("packed", False), dim(0, 1)
    if kw.pop("projected", False):
        P = dim(1, H - 1)
        kw["proj_size"] = P
    net = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[op.split("_")[0]]
    net = net(D, H, batch_first=batch_first, nonlinearity=op[4:], **kw) if "_" in op else net(D, H, batch_first=batch_first, **kw)
    n = net.num_layers * (2 if net.bidirectional else 1)
    ins = {"x": rand(B, T, D) if batch_first else rand(T, B, D)}
    if h0:
        ins["h0"] = rand(n, B, P or H)
    if h0 and op == "lstm":
        ins["c0"] = rand(n, B, H)
    if packed:
        ins["lengths"] = torch.tensor([dim(1, T) for _ in range(B - 1)] + [T])

    def fn(x, h0=None, c0=None, lengths=None, **pars):
        if packed:
            x = pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
        state = None if h0 is None else (h0, c0) if op == "lstm" else h0
        net._flat_weights = [pars[name] for name in net._flat_weights_names]
        y, last = net(x, state)
        if packed:
            y = pad_packed_sequence(y, batch_first)[0]
        return {"y": y, "hn": last[0], "cn": last[1]} if op == "lstm" else {"y": y, "hn": last}

    case(op, fn, ins, dict(net.named_parameters()), batch_first=batch_first, packed=packed, bias=net.bias,
         num_layers=net.num_layers, bidirectional=net.bidirectional, proj_size=P)


def masked(kind):
    """Steps where the mask is 0 keep the state and repeat the output, which starts as zeros."""
    B, T, D, H = dim(1, 4), dim(1, 7), dim(1, 5), dim(1, 6)
    cell = {"rnn_tanh": torch.nn.RNNCell, "lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}[kind](D, H)
    ins = {"x": rand(B, T, D), "h0": rand(B, H), "mask": torch.randint(0, 2, (B, T))}
    if kind == "lstm":
        ins["c0"] = rand(B, H)

    def fn(x, h0, mask, c0=None, **pars):
        state, out, y = (h0, c0), [], torch.zeros_like(h0)
        for t in range(T):
            new = torch.nn.utils.stateless.functional_call(cell, pars, (x[:, t], state if kind == "lstm" else state[0]))
            new = new if kind == "lstm" else (new, None)
            m = mask[:, t, None].bool()
            state = tuple(None if a is None else torch.where(m, a, b) for a, b in zip(new, state))
            y = torch.where(m, state[0], y)
            out.append(y)
        y = {"y": torch.stack(out, 1), "hn": state[0]}
        return {**y, "cn": state[1]} if kind == "lstm" else y

    case(kind + "_masked", fn, ins, dict(cell.named_parameters()))
    step = {"x": rand(B, D), "h": rand(B, H), **({"c": rand(B, H)} if kind == "lstm" else {})}

    def one(x, h, c=None, **pars):
        y = torch.nn.utils.stateless.functional_call(cell, pars, (x, (h, c) if kind == "lstm" else h))
        return {"h1": y[0], "c1": y[1]} if kind == "lstm" else {"h1": y}

    case("cell_" + kind, one, step, dict(cell.named_parameters()))


def attention():
    B, T, S, E, V = dim(1, 3), dim(1, 5), dim(2, 6), dim(1, 5), dim(1, 4)
    ins = {"q": rand(B, T, E), "k": rand(B, S, E), "v": rand(B, S, V)}

    def fn(q, k, v, key_mask=None, causal=False, scale=1):
        s = q @ k.transpose(1, 2) * scale
        if key_mask is not None:
            s = s.masked_fill(key_mask[:, None] == 0, -torch.inf)
        if causal:
            s = s.masked_fill(torch.ones(T, S).triu(1) > 0, -torch.inf)
        w = s.softmax(-1)
        return {"y": w @ v, "weights": w}

    mask = torch.randint(0, 2, (B, S))
    mask[:, dim(0, S - 1)] = 1
    case("attention", fn, ins, scale=1)
    case("attention", lambda **t: fn(**t, scale=E**-0.5), {**ins, "key_mask": mask}, scale="1/sqrt(E)")
    case("attention", lambda **t: fn(**t, causal=True), ins, scale=1, causal=True)

    def additive(q, k, Wq, Wk, b, v, key_mask):
        s = (torch.tanh((q @ Wq)[:, :, None] + (k @ Wk)[:, None] + b) @ v).masked_fill(key_mask[:, None] == 0, -torch.inf)
        return {"ctx": s.softmax(-1) @ k, "weights": s.softmax(-1)}

    U = dim(1, 4)
    case("additive_attention", additive, {"q": rand(B, T, E), "k": rand(B, S, V), "key_mask": mask},
         {"Wq": rand(E, U), "Wk": rand(V, U), "b": rand(U), "v": rand(U)})
    heads, E = dim(1, 3), 6
    mha = torch.nn.MultiheadAttention(E, heads, batch_first=True)
    pars = {k.replace(".", "_"): torch.randn_like(p) for k, p in mha.named_parameters()}

    def multi(q, k, v, key_padding_mask, **pars):
        names = {k: pars[k.replace(".", "_")] for k, _ in mha.named_parameters()}
        y = torch.nn.utils.stateless.functional_call(mha, names, (q, k, v), {"key_padding_mask": key_padding_mask.bool()})
        return {"y": y[0], "weights": y[1]}

    case("multihead_attention", multi, {"q": rand(B, T, E), "k": rand(B, S, E), "v": rand(B, S, E), "key_padding_mask": 1 - mask},
         pars, num_heads=heads, variant="cross")


def functions():
    a, b, c, d = (dim(1, 6) for _ in range(4))
    for x, y in ((a, b), (b, c)), ((d, a, b), (b, c)), ((d, a, b), (d, b, c)), ((a, b), (b,)), ((b,), (b, c)), ((b,), (b,)):
        case("matmul", lambda a, b: a @ b, {"a": rand(x), "b": rand(y)})
    for op in "add", "sub", "mul", "div":
        case("bin_" + op, lambda a, b: getattr(torch, op)(a, b), {"a": rand(c, 1, b), "b": rand(a, b) + 3})
    for name, fn in {
        "red_sum_all": torch.sum, "red_sum_0": lambda x: x.sum(0), "red_sum_02": lambda x: x.sum((0, 2)),
        "red_mean_last": lambda x: x.mean(-1), "red_var_unbiased_all": lambda x: x.var(), "red_prod_last": lambda x: x.prod(-1),
        "red_logsumexp_last": lambda x: x.logsumexp(-1), "red_norm_all": torch.norm, "red_cumsum_1": lambda x: x.cumsum(1),
        "red_softmax_1": lambda x: x.softmax(1), "red_log_softmax_last": lambda x: x.log_softmax(-1), "red_max_last": lambda x: x.max(-1)[0],
        "shape_reshape": lambda x: x.reshape(-1, x.shape[-1]), "shape_slice_step2": lambda x: x[:, ::2], "shape_flip_1": lambda x: x.flip(1),
        "shape_pad_last": lambda x: F.pad(x, (1, 2)), "shape_repeat": lambda x: x.repeat(1, 3, 1), "shape_tril": torch.tril,
        "ew_tanh": torch.tanh, "ew_gelu_erf": F.gelu, "ew_softplus": F.softplus, "ew_silu": F.silu, "ew_elu": F.elu,
    }.items():
        case(name, lambda x: fn(x), {"x": 2 * rand(a, b + 1, c + 1)})
    case("concat", lambda a, b: torch.cat((a, b, a), -1), {"a": rand(a, b), "b": rand(a, c)}, axis=-1)
    case("split", lambda x: dict(zip("pqr", x.split(b, 1))), {"x": rand(a, 3 * b)}, axis=1)
    case("gather_last", lambda x, lengths: x[torch.arange(a), lengths - 1], {"x": rand(a, b, c), "lengths": torch.randint(1, b + 1, (a,))})
    case("linear", lambda x, weight, bias: F.linear(x, weight, bias), {"x": rand(d, a, b)}, {"weight": rand(c, b), "bias": rand(c)})
    case("embedding", lambda ids, weight: F.embedding(ids, weight, padding_idx=1), {"ids": torch.randint(0, 5, (a, b))},
         {"weight": rand(5, c)}, padding_idx=1)
    case("layernorm", lambda x, weight, bias: F.layer_norm(x, (b, c + 1), weight, bias, 1e-4), {"x": rand(a, b, c + 1)},
         {"weight": rand(b, c + 1), "bias": rand(b, c + 1)}, axes=2, eps=1e-4)


def folder(root, seed):
    torch.manual_seed(seed)
    random.seed(seed)
    blob[:], index[:] = bytes(8), []  # the reader goes by offsets: a header is not needed
    for op in "rnn_tanh", "rnn_relu", "lstm", "gru":
        for kw in {}, {"bias": False, "batch_first": False}, {"num_layers": 3}, {"bidirectional": True}, {"packed": True}, \
                {"num_layers": 2, "bidirectional": True, "packed": True, "batch_first": False}:
            recurrent(op, **kw)
    recurrent("lstm", projected=True)
    recurrent("lstm", projected=True, bidirectional=True, num_layers=2, packed=True)
    for kind in "rnn_tanh", "lstm", "gru":
        masked(kind)
    attention()
    functions()
    os.makedirs(root)
    with open(os.path.join(root, "fixtures.safetensors"), "wb") as f:
        f.write(blob)
    with open(os.path.join(root, "cases.tsv"), "w") as f:
        f.write("\n".join(index) + "\n")


for seed in sys.argv[2:]:
    folder(os.path.join(sys.argv[1], seed), int(seed))
