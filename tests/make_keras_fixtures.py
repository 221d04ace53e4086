#!/usr/bin/env python3
"""make_keras_fixtures.py FOLDER SEED...: reference values of Keras 3's layers in random shapes and options.
make_keras_fixtures.py --check FOLDER: computes the cases of a folder that are Keras' own, and compares.

The layers are written once more here, from their formulas, for PyTorch to differentiate."""
import sys
import torch
import torch.nn.functional as F
from fixture_optim import KERAS, keras_check, keras_optimizers, keras_schedules
from fixture_writer import case, chance, dim, evaluate, given, rand, random, read, text, write

ACTIVATIONS = {
    "relu": torch.relu, "leaky_relu": lambda x: F.leaky_relu(x, 0.2), "elu": F.elu, "selu": F.selu, "gelu": F.gelu,
    "softplus": F.softplus, "softsign": F.softsign, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid, "silu": F.silu, "hard_silu": F.hardswish, "exponential": torch.exp,
    "linear": lambda x: 1 * x,
    "softmax": lambda x: x.softmax(-1), "log_softmax": lambda x: x.log_softmax(-1), "mish": F.mish, "relu6": F.relu6,
}
STATES = {"simplernn": ["h"], "lstm": ["h", "c"], "gru": ["h"]}
GATES = {"simplernn": 1, "lstm": 4, "gru": 3}


def flag(attrs, key, default=0):
    return bool(int(attrs.get(key, default)))


def activation(attrs, key="activation", default="linear"):
    return ACTIVATIONS[attrs.get(key, default)]


# ---- the layers: of attributes and tensors by name -> results by name


def step_of(kind, attrs, p, prefix=""):
    """One step of a cell: x, states -> output, new states."""
    W, U, b = p[prefix + "kernel"], p[prefix + "recurrent_kernel"], p.get(prefix + "bias", torch.zeros(()))
    act, gate = activation(attrs, default="tanh"), activation(attrs, "recurrent_activation", "sigmoid")

    def simplernn(x, s):
        h = act(x @ W + s[0] @ U + b)
        return h, (h,)

    def lstm(x, s):
        i, f, g, o = (x @ W + s[0] @ U + b).chunk(4, -1)
        c = gate(f) * s[1] + gate(i) * act(g)
        h = gate(o) * act(c)
        return h, (h, c)

    def gru(x, s):
        h, n = s[0], U.shape[0]
        after = flag(attrs, "reset_after", 1)
        bx, bh = (b if b.ndim else (b, b)) if after else (b, torch.zeros(()))
        xz, xr, xh = (x @ W + bx).chunk(3, -1)
        hz, hr = (h @ U[:, :2 * n] + (bh[:2 * n] if bh.ndim else bh)).chunk(2, -1)
        z, r = gate(xz + hz), gate(xr + hr)
        if after:
            c = act(xh + r * (h @ U[:, 2 * n:] + (bh[2 * n:] if bh.ndim else bh)))
        else:
            c = act(xh + (r * h) @ U[:, 2 * n:])
        h = z * h + (1 - z) * c
        return h, (h,)

    return {"simplernn": simplernn, "lstm": lstm, "gru": gru}[kind]


def run(step, x, state, mask=None, backwards=False, zero=False):
    """All outputs, as they are made, and the last states. A masked step repeats the output before, at first 0."""
    y, out = None, []
    for t in range(x.shape[1])[::-1 if backwards else 1]:
        new, states = step(x[:, t], state)
        m = torch.ones(len(x), 1) > 0 if mask is None else mask[:, t, None] > 0
        y = torch.where(m, new, torch.zeros_like(new) if y is None or zero else y)
        state = [torch.where(m, a, b) for a, b in zip(states, state)]
        out.append(y)
    return torch.stack(out, 1), state


def zeros(kind, p, prefix, x):
    return [torch.zeros(len(x), p[prefix + "recurrent_kernel"].shape[0]) for _ in STATES[kind]]


def layer(kind):
    def fn(attrs, x, mask=None, **p):
        state = [p.get(s + "0", z) for s, z in zip(STATES[kind], zeros(kind, p, "", x))]
        y, state = run(step_of(kind, attrs, p), x, state, mask, flag(attrs, "go_backwards"),
                       flag(attrs, "zero_output_for_mask"))
        out = {"y": y if flag(attrs, "return_sequences") else y[:, -1]}
        return {**out, **dict(zip(STATES[kind], state))} if flag(attrs, "return_state") else out
    return fn


def stateful(kind):
    def fn(attrs, **p):
        out, state = {}, zeros(kind, p, "", p["x0"])
        for k in range(sum(name[0] == "x" for name in p)):
            y, state = run(step_of(kind, attrs, p), p[f"x{k}"], [s.detach() for s in state], None,
                           flag(attrs, "go_backwards"))
            out[f"y{k}"] = y if flag(attrs, "return_sequences", 1) else y[:, -1]
        return out
    return fn


MERGES = {
    "concat": lambda a, b: torch.cat((a, b), -1), "sum": torch.add, "mul": torch.mul, "ave": lambda a, b: (a + b) / 2,
}


def bidirectional(kind):
    def fn(attrs, x, mask=None, **p):
        sequences, out, ys = flag(attrs, "return_sequences"), {}, []
        for d, way in enumerate(("forward.", "backward.")):
            state = [p.get(way[0] + s + "0", z) for s, z in zip(STATES[kind], zeros(kind, p, way, x))]
            y, state = run(step_of(kind, attrs, p, way), x, state, mask, d == 1, sequences)
            ys.append((y.flip(1) if d else y) if sequences else y[:, -1])
            out.update({way[0] + s: v for s, v in zip(STATES[kind], state)})
        merge = attrs.get("merge_mode", "concat")
        y = dict(zip(("y", "y_rev"), ys)) if merge == "none" else {"y": MERGES[merge](*ys)}
        return {**y, **out} if flag(attrs, "return_state") else y
    return fn


def stacked(attrs, x, mask=None, **p):
    prefixes = [name[:-6] for name in p if name.endswith(".kernel")]
    kinds = [c.split("(")[0].lower() for c in attrs["cells"].split(",")]
    steps = [step_of(k, attrs, p, prefix) for k, prefix in zip(kinds, prefixes)]
    ends = [sum(len(STATES[k]) for k in kinds[:n + 1]) for n in range(len(kinds))]

    def step(x, state):
        new = []
        for k, one, end in zip(kinds, steps, ends):
            x, mine = one(x, state[end - len(STATES[k]):end])
            new += mine
        return x, new

    state = [z for k, prefix in zip(kinds, prefixes) for z in zeros(k, p, prefix, x)]
    y, state = run(step, x, state, mask, zero=flag(attrs, "zero_output_for_mask"))
    names = [f"{'rnn' if k == 'simplernn' else k}_{s}" + (str(n) if kinds.index(k) != n else "")
             for n, k in enumerate(kinds) for s in STATES[k]]
    return {"y": y, **dict(zip(names, state))}


def own_cell(attrs, x, k, u, v, p, mask=None):
    def step(x, state):
        h = torch.tanh(x @ k + state[0] @ u)
        q = state[1] / 2 + h @ p
        return h @ v + q.sum(-1, keepdim=True), (h, q)
    y, (h, q) = run(step, x, (torch.zeros(len(x), len(u)), torch.zeros(len(x), p.shape[1])), mask)
    return {"y": y, "h": h, "q": q}


def dense(prefix=""):
    return lambda attrs, x, **p: activation(attrs)(x @ p[prefix + "kernel"] + p.get(prefix + "bias", 0))


def pipeline_mask(attrs, ids, **p):
    mask, none = ids != 0, {}
    y, _ = run(step_of("lstm", none, p, "L1."), p["L0.embeddings"][ids], zeros("lstm", p, "L1.", ids), mask)
    y, _ = run(step_of("gru", none, p, "L2."), y, zeros("gru", p, "L2.", ids),
               mask if flag(attrs, "mask_propagates") else None)
    return torch.sigmoid(y[:, -1] @ p["L3.kernel"] + p["L3.bias"])


def pipeline_masking(attrs, x, **p):
    mask = (x != float(attrs["layers"].split("Masking(")[1].split(")")[0])).any(-1)
    y, _ = run(step_of("simplernn", {}, p, "L1."), x * mask[..., None], zeros("simplernn", p, "L1.", x), mask)
    return y @ p["L2.dense.kernel"] + p["L2.dense.bias"]


def attend(attrs, scores, v, q_mask, v_mask):
    """Where all keys are masked, Keras' weights are those of no mask; such a case is not made here."""
    causal = flag(attrs, "causal")
    keep = torch.ones_like(scores) > 0 if v_mask is None else (v_mask[:, None] > 0).expand(scores.shape)
    keep = keep & (torch.ones(scores.shape[1:]).tril() > 0) if causal else keep
    w = (scores - 1e9 * ~keep).softmax(-1)
    y = w @ v
    return {"y": y if q_mask is None or causal else y * q_mask[..., None], "scores": w}


def attention(attrs, q, v, k=None, scale=torch.ones(()), concat_score_weight=None, q_mask=None, v_mask=None):
    k = v if k is None else k
    if attrs.get("score_mode") == "concat":
        scores = concat_score_weight * torch.tanh(scale * (q[:, :, None] + k[:, None])).sum(-1)
    else:
        scores = scale * q @ k.transpose(1, 2)
    return attend(attrs, scores, v, q_mask, v_mask)


def additive_attention(attrs, q, v, k=None, scale=torch.ones(()), q_mask=None, v_mask=None):
    k = v if k is None else k
    return attend(attrs, (scale * torch.tanh(q[:, :, None] + k[:, None])).sum(-1), v, q_mask, v_mask)


def multi_head(attrs, q, v, k=None, v_mask=None, **p):
    q, k, v = (torch.einsum("btd,dhk->bthk", x, p[n + ".kernel"]) + p.get(n + ".bias", 0)
               for x, n in ((q, "query"), (v if k is None else k, "key"), (v, "value")))
    s = torch.einsum("bthk,bshk->bhts", q, k) * q.shape[-1]**-0.5
    keep = torch.ones(s.shape[2:]).tril() > 0 if flag(attrs, "causal") else torch.ones(s.shape[2:]) > 0
    keep = keep & (v_mask[:, None, None] > 0) if v_mask is not None else keep
    w = (s - 1e9 * ~keep).softmax(-1)
    y = torch.einsum("bhts,bshv->bthv", w, v)
    return {"y": torch.einsum("bthv,hvd->btd", y, p["attention_output.kernel"]) + p.get("attention_output.bias", 0),
            "scores": w}


def axes_of(attrs):
    return [int(a) for a in str(attrs.get("axis", -1)).strip("[]").split(",")]


def along(v, x, axes):
    """v of those axes' shape, to be combined with x."""
    axes = [a % x.ndim for a in axes]
    return v.reshape([x.shape[a] if a in axes else 1 for a in range(x.ndim)])


def layer_norm(attrs, x, gamma=None, beta=None):
    axes = axes_of(attrs)
    var, mean = torch.var_mean(x, axes, unbiased=False, keepdim=True)
    y = (x - mean) / (var + float(attrs.get("epsilon", 1e-3))).sqrt()
    y = y if gamma is None else y * along(gamma, x, axes)
    return y if beta is None else y + along(beta, x, axes)


def batch_norm(attrs, x, moving_mean, moving_variance, gamma=None, beta=None):
    axes = axes_of(attrs)
    mean, var = along(moving_mean, x, axes), along(moving_variance, x, axes)
    if flag(attrs, "training"):
        var, mean = torch.var_mean(x, [a for a in range(x.ndim) if a != axes[0] % x.ndim], unbiased=False, keepdim=True)
    y = (x - mean) / (var + float(attrs["epsilon"])).sqrt()
    y = y if gamma is None else y * along(gamma, x, axes)
    return y if beta is None else y + along(beta, x, axes)


def regularizer(attrs, w):
    return {"loss": float(attrs.get("l1", 0)) * w.abs().sum() + float(attrs.get("l2", 0)) * (w * w).sum()}


# ---- losses: of attributes, target and prediction -> the losses of positions (and which of them count)


def classified(attrs, t, y):
    """Cross-entropy of ids or of a distribution."""
    n, share = y.shape[-1], float(attrs.get("label_smoothing", 0))
    keep = t != int(attrs["ignore_class"]) if "ignore_class" in attrs else None
    ln_p = y.log_softmax(-1) if flag(attrs, "from_logits") else (y / y.sum(-1, True)).clip(1e-7, 1 - 1e-7).log()
    if not t.is_floating_point():
        t = F.one_hot(t if keep is None else t * keep, n)
    return -((t * (1 - share) + share / n) * ln_p).sum(-1), keep


def binary(attrs, t, y):
    share = float(attrs.get("label_smoothing", 0))
    t = t * (1 - share) + share / 2
    if flag(attrs, "from_logits"):
        return -(t * F.logsigmoid(y) + (1 - t) * F.logsigmoid(-y)).mean(-1)
    y = y.clip(1e-7, 1 - 1e-7)
    return -(t * y.log() + (1 - t) * (1 - y).log()).mean(-1)


def huber(attrs, t, y):
    d, limit = (t - y).abs(), float(attrs.get("delta", 1))
    return torch.where(d <= limit, d * d / 2, limit * (d - limit / 2)).mean(-1)


def hinge(t, y):
    binary = ((t == 0) | (t == 1)).all()
    return F.relu(1 - (2 * t - 1 if binary else t) * y)


def kl(t, y):
    t, y = t.clip(1e-7, 1), y.clip(1e-7, 1)
    return (t * (t / y).log()).sum(-1)


LOSSES = {
    "sparsecategoricalcrossentropy": classified, "categoricalcrossentropy": classified, "binarycrossentropy": binary,
    "huber": huber,
    **{name: lambda attrs, t, y, f=f: f(t, y) for name, f in {
        "meansquarederror": lambda t, y: ((t - y)**2).mean(-1),
        "meanabsoluteerror": lambda t, y: (t - y).abs().mean(-1),
        "meanabsolutepercentageerror": lambda t, y: 100 * ((t - y) / t.abs().clip(1e-7)).abs().mean(-1),
        "meansquaredlogarithmicerror": lambda t, y: ((y.clip(1e-7) + 1).log() - (t.clip(1e-7) + 1).log()).pow(2).mean(
            -1),
        "logcosh": lambda t, y: (y - t + F.softplus(2 * (t - y)) - torch.tensor(2.0).log()).mean(-1),
        "kldivergence": kl,
        "poisson": lambda t, y: (y - t * (y + 1e-7).log()).mean(-1),
        "cosinesimilarity": lambda t, y: -(F.normalize(t, dim=-1) * F.normalize(y, dim=-1)).sum(-1),
        "hinge": lambda t, y: hinge(t, y).mean(-1), "squaredhinge": lambda t, y: hinge(t, y).pow(2).mean(-1),
        "categoricalhinge": lambda t, y: F.relu(((1 - t) * y).amax(-1) - (t * y).sum(-1) + 1),
    }.items()},
}


def reduced(loss):
    def fn(attrs, y_true, y_pred, sample_weight=torch.ones(())):
        how, losses = attrs.get("reduction", "sum_over_batch_size"), loss(attrs, y_true, y_pred)
        losses, keep = losses if isinstance(losses, tuple) else (losses, None)
        w = sample_weight.reshape(sample_weight.shape + (1,) * (losses.ndim - sample_weight.ndim))
        w = w.expand_as(losses) * (1 if keep is None else keep)
        n = {"sum": 1, "none": 1, "mean_with_sample_weight": w.sum()}
        n = n.get(how, losses.numel() if keep is None else keep.sum())
        return {"loss": losses * w if how == "none" else (losses * w).sum() / n}
    return fn


LAYERS = {
    **{"loss_" + name: reduced(loss) for name, loss in LOSSES.items()},
    "stacked_cells": stacked, "custom_cell": own_cell, "timedistributed_dense": dense("dense."), "dense": dense(),
    "embedding": lambda attrs, ids, embeddings: embeddings[ids], "pipeline_mask": pipeline_mask,
    "pipeline_masking": pipeline_masking, "attention": attention, "additive_attention": additive_attention,
    "mha": multi_head,
    "layernorm": layer_norm, "batchnorm": batch_norm, "regularizer": regularizer,
    **{"act_" + name: lambda attrs, x, f=f: f(x) for name, f in ACTIVATIONS.items()},
    **{prefix + kind + suffix: make(kind) for kind in STATES for prefix, suffix, make in
       (("", "", layer), ("", "_stateful", stateful), ("bidirectional_", "", bidirectional))},
}


def check(root):
    """Are the layers here those of the folder? Prints what differs by more than 1e-9."""
    n, bad = 0, 0
    for name, op, attrs, t in read(root):
        if op.startswith("keras_optim_") and op[12:] in KERAS:
            got = {"traj": keras_check(op[12:], attrs, t)}
        elif op[6:] in LAYERS:
            fn = lambda **tensors: LAYERS[op[6:]](attrs, **tensors)
            out, _, loss, grad = evaluate(fn, {**t["in"], **t["par"]}, t["cot"])
            got = {"out": out, "loss": {"loss": loss}, "gin": grad, "gpar": grad}
        else:
            continue
        off = lambda a, b: float(((a - b).abs() / (1e-12 + 1e-9 * b.abs())).max()) if a.shape == b.shape else 1e99
        worst = max(off(got[role][k], v)
                    for role in got for k, v in t[role].items())
        n, bad = n + 1, bad + (worst > 1)
        if worst > 1:
            print(f"{name} ({op}): {worst:.2g} times 1e-9")
    print(f"{n} cases, {bad} differ")
    sys.exit(bad > 0 or not n)


# ---- random cases


def make(op, ins={}, pars={}, frozen=(), cot=None, **attrs):
    attrs = {k: text(v) for k, v in attrs.items()}
    case("keras_" + op, lambda **t: LAYERS[op](attrs, **t), ins, pars, frozen, **given(cot, cot=cot), **attrs)


def flags(*names):
    """Some of the options: absent, or given, on or off."""
    return {name: chance() for name in names if chance()}


def mask_of(how, B, T):
    """Padding on the right or left, holes, holes with a row of padding alone, first steps that are padding."""
    n = torch.randint(1, T + 1, (B, 1))
    m = {"right": torch.arange(T) < n, "left": torch.arange(T) >= T - n}.get(how, torch.randint(0, 2, (B, T)))
    m = m.long()
    if how == "row":
        m[dim(0, B - 1)] = 0
    if how == "first":
        m[:, 0] = 0
    return m


MASKS = [None, "right", "left", "holes", "row", "first"]


def cell_pars(kind, D, H, prefix="", attrs={}, scale=1):
    n = GATES[kind] * H
    pars = {prefix + "kernel": scale * rand(D, n), prefix + "recurrent_kernel": scale * rand(H, n)}
    if flag(attrs, "use_bias", 1):
        pars[prefix + "bias"] = scale * (rand(2, n) if kind == "gru" and flag(attrs, "reset_after", 1) else rand(n))
    return pars


def cell_options(kind):
    own = {"simplernn": [], "lstm": ["unit_forget_bias"], "gru": ["reset_after"]}[kind]
    return {**flags("use_bias", "unroll", *own), **given(kind != "simplernn" and chance(), implementation=dim(1, 2))}


def sequence(how, B, T, D):
    return {"x": rand(B, T, D), **given(how, mask=mask_of(how, B, T))}


def initial(kind, B, H, ways=("",)):
    return {way + s + "0": rand(B, H) for way in ways for s in STATES[kind]} if chance() else {}


def recurrent(kind, how, scale=1, **attrs):
    B, T, D, H = dim(1, 4), dim(1, 7), dim(1, 5), dim(1, 5)
    options = flags("return_sequences", "return_state", "go_backwards", "zero_output_for_mask")
    attrs = {"units": H, **cell_options(kind), **options, **attrs}
    make(kind, {**sequence(how, B, T, D), **initial(kind, B, H)}, cell_pars(kind, D, H, "", attrs, scale), **attrs)


def both_ways(kind, how):
    B, T, D, H = dim(1, 4), dim(1, 7), dim(1, 5), dim(1, 5)
    attrs = {"units": H, "merge_mode": random.choice([*MERGES, "none"]), "return_sequences": chance(),
             **flags("return_state"),
             **cell_options(kind)}
    pars = {**cell_pars(kind, D, H, "forward.", attrs), **cell_pars(kind, D, H, "backward.", attrs)}
    make("bidirectional_" + kind, {**sequence(how, B, T, D), **initial(kind, B, H, "fb")}, pars, **attrs)


def batches(kind):
    n, B, T, D, H = dim(2, 5), dim(1, 4), dim(1, 5), dim(1, 5), dim(1, 5)
    attrs = {"units": H, "stateful": True, **flags("return_sequences", "go_backwards"), **cell_options(kind)}
    last = chance()
    make(kind + "_stateful", {f"x{k}": rand(B, T, D) for k in range(n)}, cell_pars(kind, D, H, "", attrs), **attrs,
         cot=lambda name, y: None if last and name != f"y{n - 1}" else torch.randn_like(y))


def stack(how):
    B, T, D, H = dim(1, 4), dim(1, 6), dim(1, 5), dim(1, 5)
    names = {"simplernn": ("SimpleRNN", "simple_rnn_cell"), "lstm": ("LSTM", "lstm_cell"), "gru": ("GRU", "gru_cell")}
    pars, width, cells, group = {}, D, [], "stacked_rnn_cells." if chance() else ""
    for n, kind in enumerate(random.choices([*STATES], k=dim(1, 4))):
        more = dim(0, 2)
        pars.update(cell_pars(kind, width, H + more, group + names[kind][1] + (f"_{n}." if n else ".")))
        cells.append(names[kind][0] + (f"(H+{more})" if more else "(H)"))
        width = H + more
    make("stacked_cells", sequence(how, B, T, D), pars, cells=cells, units=H, **flags("zero_output_for_mask"))
    pars = {"k": rand(D, H), "u": rand(H, H), "v": rand(H, dim(1, 6)), "p": rand(H, dim(1, 3))}
    make("custom_cell", sequence(how, B, T, D), pars, units=H)


def all_recurrent():
    for kind in STATES:
        for how in MASKS:
            recurrent(kind, how)
            both_ways(kind, how)
        for name in ACTIVATIONS:  # in a recurrence the exponential soon leaves all bounds
            which = "activation" if kind == "simplernn" or chance() else "recurrent_activation"
            recurrent(kind, random.choice(MASKS), 0.05 if name == "exponential" else 0.2, **{which: name})
        batches(kind)
    for how in MASKS:
        stack(how)


def dense_pars(prefix, D, H, bias=True):
    return {prefix + "kernel": rand(D, H), **given(bias, **{prefix + "bias": rand(H)})}


def feed_forward():
    D, H, G, V, B, T = dim(1, 5), dim(1, 5), dim(1, 4), dim(3, 9), dim(1, 4), dim(1, 6)
    sizes = lambda low, high: [dim(1, 4) for _ in range(dim(low, high))]
    for name in ACTIVATIONS:
        make("act_" + name, {"x": 2 * rand(sizes(1, 4))})
        for op, prefix, low in ("dense", "", 1), ("timedistributed_dense", "dense.", 2):
            bias = chance()
            make(op, {"x": rand(sizes(low, 3) + [D])}, dense_pars(prefix, D, H, bias), units=H, activation=name,
                 **given(not bias, use_bias=False))
    for rank in 1, 2, 3:
        make("embedding", {"ids": torch.randint(0, V, sizes(rank, rank))}, {"embeddings": rand(V, D)}, input_dim=V,
             output_dim=D)
        make("regularizer", {"w": rand(sizes(rank, rank))},
             **{k: round(random.random(), 3) for k in ("l1", "l2") if chance()})
    pars = {"L0.embeddings": rand(V, D), **cell_pars("lstm", D, H, "L1."), **cell_pars("gru", H, G, "L2."),
            **dense_pars("L3.", G, 2)}
    for on in True, False:
        make("pipeline_mask", {"ids": torch.randint(0, V, (B, T)) * torch.randint(0, 2, (B, T))}, pars, units=H,
             mask_propagates=on,
             layers="Embedding(V,E,mask_zero)->LSTM(H,seq)->GRU(H)->Dense(2,sigmoid)")
    value = random.choice([-1, 0, 2.5])
    x = torch.where(torch.randint(0, 2, (B, T, 1)) > 0, rand(B, T, D), torch.full((), float(value)))
    x[0, 0, 0] = value
    make("pipeline_masking", {"x": x}, {**cell_pars("simplernn", D, H, "L1."), **dense_pars("L2.dense.", H, 2)},
         units=H,
         layers=f"Masking({value})->SimpleRNN(H,seq)->TimeDistributed(Dense(2))")


def masks(q, v, how):
    """Of queries and values; a value's first step counts, so that no query is without."""
    m = {"q_mask": mask_of("holes", *q.shape[:2]), "v_mask": mask_of("holes", *v.shape[:2])}
    m["v_mask"][:, 0] = 1
    return {k: m[k] for k in how}


def all_attention():
    for how in [], ["q_mask"], ["v_mask"], ["q_mask", "v_mask"]:
        for causal in True, False:
            B, T, S, E = dim(1, 4), dim(1, 5), dim(1, 6), dim(1, 5)
            keyed, scaled = chance(), chance()
            V = dim(1, 5) if keyed else E
            q, v = rand(B, T, E), rand(B, S, V)
            ins = {"q": q, "v": v, **given(keyed, k=rand(B, S, E)), **masks(q, v, how)}
            scale = given(scaled, scale=rand(()))
            make("attention", ins, scale, causal=causal, **given(scaled, use_scale=True))
            make("attention", ins, {**scale, "concat_score_weight": rand(())}, causal=causal, score_mode="concat",
                 **given(scaled, use_scale=True))
            make("additive_attention", ins, given(scaled, scale=rand(E)), **given(causal, causal=True),
                 **given(not scaled, use_scale=False))
            ins.pop("q_mask", None)
            multi_head_case(ins, causal)


def multi_head_case(ins, causal):
    heads, K, W, bias = dim(1, 3), dim(1, 4), dim(1, 4), chance()
    E, V = ins["q"].shape[-1], ins["v"].shape[-1]
    shapes = {"query": (E, heads, K), "key": (E if "k" in ins else V, heads, K), "value": (V, heads, W),
              "attention_output": (heads, W, E)}
    pars = {n + ".kernel": rand(d) for n, d in shapes.items()}
    pars.update({n + ".bias": rand(d[1:] if n != "attention_output" else d[2:]) for n, d in shapes.items() if bias})
    make("mha", ins, pars, causal=causal, num_heads=heads, key_dim=K, **given(W != K, value_dim=W),
         **given(not bias, use_bias=False))


def normalisation():
    for rank in 2, 3, 4:
        shape = [dim(3, 5) for _ in range(rank)]
        some = sorted(random.sample(range(rank), dim(1, rank - 1)))
        for op, axes in ("layernorm", [-1]), ("layernorm", [1]), ("layernorm", [*range(1, rank)]), \
                ("layernorm", some), ("batchnorm", [-1]), ("batchnorm", [1]):
            scale, center, of = chance(), chance(), [shape[a] for a in axes]
            pars = {**given(scale, gamma=rand(of)), **given(center, beta=rand(of))}
            attrs = {"epsilon": random.choice([1e-3, 1e-5, 0.1]), **given(axes != [-1], axis=axes),
                     **given(not scale, scale=False),
                     **given(not center, center=False)}
            if op == "batchnorm":
                pars.update(moving_mean=rand(of), moving_variance=rand(of)**2 + 0.1)
                attrs.update(momentum=0.9, training=chance())
            make(op, {"x": rand(shape)}, pars, ("moving_mean", "moving_variance"), **attrs)


def loss_operands(op, ids, logits):
    """Target and prediction, such as that loss takes them."""
    B, T, D = dim(1, 5), dim(1, 4), dim(2, 6)
    dims = (B, D) if chance() else (B, T, D)
    y, t = 2 * rand(dims), 2 * rand(dims)
    if ids:
        t = torch.randint(0, D, dims[:-1])
    elif op in ("categoricalcrossentropy", "kldivergence"):
        t = t.softmax(-1)
    elif op in ("binarycrossentropy", "categoricalhinge"):
        t = torch.randint(0, 2, dims).double()
    elif "hinge" in op:
        t = torch.randint(0, 2, dims).double() if chance() else 2.0 * torch.randint(0, 2, dims) - 1
    elif op in ("poisson", "meansquaredlogarithmicerror"):
        t, y = t.abs(), y.abs()
    if op == "kldivergence" or ("crossentropy" in op and not logits):
        y = y.sigmoid() if op == "binarycrossentropy" or chance() else y.softmax(-1)
        y = torch.where(torch.rand(dims) < 0.1, y.round(), y)  # some are clipped
        y[..., 0] = y[..., 0].clip(0.1)
    return {"y_true": t, "y_pred": y}


def losses():
    for op in LOSSES:
        entropy, ids = "crossentropy" in op, op[:6] == "sparse"
        for how in "sum_over_batch_size", "sum", "none", "mean_with_sample_weight":
            logits, share = entropy and chance(), round(random.random(), 2) if entropy and not ids and chance() else 0
            ins = loss_operands(op, ids, logits)
            dims = ins["y_pred"].shape[:-1]
            if chance() or how == "mean_with_sample_weight":
                ins["sample_weight"] = rand(dims if chance() else dims[:1]).abs()
            ignore = given(ids and chance(), ignore_class=dim(0, ins["y_pred"].shape[-1] - 1))
            if ignore:  # the mean of nothing is no number
                ins["y_true"].view(-1)[0] = (ignore["ignore_class"] + 1) % ins["y_pred"].shape[-1]
            make("loss_" + op, ins, frozen=("sample_weight",), **given(how != "sum_over_batch_size" or chance(),
                                                                       reduction=how), **ignore,
                 **given(logits, from_logits=True), **given(share, label_smoothing=share),
                 **given(op == "huber" and chance(), delta=0.7))


def cases():
    all_recurrent()
    feed_forward()
    all_attention()
    normalisation()
    losses()
    keras_optimizers()
    keras_schedules()


if __name__ == "__main__":
    check(sys.argv[2]) if sys.argv[1] == "--check" else write(cases, "keras")
