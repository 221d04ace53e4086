#!/usr/bin/env python3
"""make_training_fixtures.py FOLDER SEED...: whole trainings of random models, data and optimizers: Keras' fit, what its
callbacks decide, and PyTorch's loops.
make_training_fixtures.py --check FOLDER: computes the cases of a folder that are Keras' or PyTorch's own, and compares.

Keras' part is written once more here, from its documentation; PyTorch's modules and optimizers are the real ones."""
import re
import sys
import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pack_padded_sequence
from fixture_optim import keras_stepper
from fixture_writer import chance, dim, given, rand, random, read, record, text, uniform, write
from make_keras_fixtures import ACTIVATIONS, STATES, binary, cell_pars, classified, dense_pars, run, step_of, zeros
from make_metric_fixtures import METRICS

# ---- Keras' fit


def words_of(model):
    """Cut at '-' outside of parentheses."""
    out, depth = [""], 0
    for c in model:
        depth += (c == "(") - (c == ")")
        if c == "-" and not depth:
            out.append("")
        else:
            out[-1] += c
    return out


def kind_of(word):
    return next((kind for kind in STATES if kind in word.lower()), None)


def forward(words, p, x):
    """What a sequential model predicts, and the mask of steps that arrives there."""
    mask = None
    for k, word in enumerate(words):
        L, kind, whole = f"L{k}.", kind_of(word), "seq" in word
        one_way = lambda way, back: run(step_of(kind, {}, p, way), x, zeros(kind, p, way, x), mask, back,
                                        whole and word[:3] == "Bi(")[0]
        if word.startswith("Embedding"):
            mask = x != 0 if "mask_zero" in word else None
            x = p[L + "embeddings"][x]
        elif word.startswith("Bi("):
            a, b = one_way(L + "forward.", False), one_way(L + "backward.", True)
            x = torch.cat((a, b.flip(1)) if whole else (a[:, -1], b[:, -1]), -1)
        elif kind:
            y = one_way(L, False)
            x = y if whole else y[:, -1]
        elif "Dense" in word:
            inner = L + ("dense." if "TimeDistributed" in word else "")
            x = x @ p[inner + "kernel"] + p[inner + "bias"]
        mask = mask if whole or not kind else None
        if not kind:
            x = next((ACTIVATIONS[a](x) for a in ("softmax", "sigmoid") if a in word), x)
    return x, mask


def penalty(words, p):
    """"SimpleRNN(l2 .01 kernel, l1 .005 recurrent, l1l2 .002/.003 bias)" """
    total = 0
    for k, word in enumerate(words):
        for kind, a, b, what in re.findall(r"(l1l2|l1|l2) ([\d.e-]+)(?:/([\d.e-]+))? (kernel|recurrent|bias)", word):
            w = p[f"L{k}." + what.replace("recurrent", "recurrent_kernel")]
            l1, l2 = {"l1l2": (a, b), "l1": (a, 0), "l2": (0, a)}[kind]
            total = total + float(l1) * w.abs().sum() + float(l2) * (w * w).sum()
    return total


def loss_of(words, y, target, mask, weights):
    if "softmax" in words[-1]:
        losses, _ = classified({}, target, y)
    elif "sigmoid" in words[-1]:
        losses = binary({}, target.reshape(y.shape), y)
    else:
        losses = ((target.reshape(y.shape) - y)**2).mean(-1)
    if weights is not None:
        losses = losses * weights.reshape(weights.shape + (1,) * (losses.ndim - weights.ndim))
    return losses.mean() if mask is None else (losses * mask).sum() / mask.sum()


def metric_of(name, seen):
    """Of all batches of an epoch: (target, prediction, mask)."""
    t, p = torch.cat([s[0] for s in seen]), torch.cat([s[1] for s in seen])
    w = None if seen[0][2] is None else torch.cat([s[2] for s in seen]).double()
    which = "meanabsoluteerror" if name == "mae" else "binaryaccuracy" if p.shape[-1] == 1 else \
        "categoricalaccuracy" if t.ndim == p.ndim else "sparsecategoricalaccuracy"
    return METRICS[which]({}, t, p, w)


def keras_optimizer(words):
    """"SGD(.1, momentum .9)", "Adam default" """
    name = re.match(r"\w+", words)[0].lower()
    a = {"learning_rate": {"sgd": 0.01}.get(name, 0.001), "momentum": 0, "nesterov": 0, "rho": 0.9, "epsilon": 1e-7,
         "centered": 0, "beta_1": 0.9, "beta_2": 0.999, "initial_accumulator_value": 0.1}
    inside = re.findall(r"\((.*)\)", words)
    for option in inside[0].split(",") if inside else []:
        key, value = ("learning_rate " + option).split()[-2:]
        a[key] = value
    return keras_stepper(name, a)


def fit(attrs, ins, start, names):
    """The history, the trained weights, predictions and results of evaluate; names are those of metrics."""
    words, p = words_of(attrs["model"]), {k: v.clone().requires_grad_() for k, v in start.items()}
    step = keras_optimizer(attrs.get("optimizer", "RMSprop" if "text" in attrs else "Adam"))
    size, n = int(attrs.get("batch_size", 32)), len(ins["X"])
    n_train = int(n * (1 - float(attrs.get("validation_split", 0))))
    by_class = dict(map(float, c.split(":")) for c in attrs.get("class_weight", "").split(",") if c)
    masked = int(attrs.get("mask_propagates", 1))
    history = {}

    def batch(rows, weights):
        y, mask = forward(words, p, ins["X"][rows])
        mask = mask if masked else None
        target = ins["Y"][rows]
        loss = loss_of(words, y, target, mask, weights) + penalty(words, p)
        return loss, (target, y.detach(), mask)

    def epoch(first, last, weights, learn, prefix=""):
        total, seen, samples = 0, [], 0
        for at in range(first, last, size):
            rows = slice(at, min(at + size, last))
            w = weights[rows] if weights is not None else None
            loss, result = batch(rows, w)
            if learn:
                grads = torch.autograd.grad(loss, list(p.values()))
                with torch.no_grad():
                    step(list(p.values()), list(grads))
            count = rows.stop - at
            total, samples = total + float(loss) * count, samples + count
            seen.append(result)
        return [total / samples] + [float(metric_of(name, seen)) for name in names]

    weights = ins.get("sample_weight")
    trained = torch.tensor([by_class[int(c)] for c in ins["Y"]]) if by_class else weights
    for _ in range(int(attrs["epochs"])):
        logs = dict(zip(["loss", *names], epoch(0, n_train, trained, True)))
        if n_train < n:
            logs.update(zip(["val_loss", *("val_" + name for name in names)], epoch(n_train, n, weights, False)))
        for key, value in logs.items():
            history.setdefault(key, []).append(value)
    traj = {key: torch.tensor(values) for key, values in history.items()}
    evaluated = torch.tensor(epoch(0, n, None, False))
    with torch.no_grad():
        return {"traj": traj, "exp": {**p, "predict": forward(words, p, ins["X"])[0], "evaluate": evaluated}}


# ---- Keras' callbacks


def is_higher(attrs):
    mode, name = attrs.get("mode", "auto"), attrs["monitor"]
    return mode == "max" or (mode == "auto" and any(part in name for part in ("acc", "auc")))


def early_stopping(attrs, ins):
    sign, delta = -1 if is_higher(attrs) else 1, float(attrs.get("min_delta", 0))
    better = lambda x, than: than is None or sign * x + delta < sign * than
    best, wait, best_epoch, stopped, kept = None, 0, 0, 0, None
    values = ins["metric"].tolist()
    for epoch, x in enumerate(values):
        if epoch < int(attrs.get("start_from_epoch", 0)):
            continue
        wait += 1
        if kept is None:
            kept = epoch
        if better(x, best):
            best, best_epoch, kept = x, epoch, epoch
            if better(x, float(attrs["baseline"]) if "baseline" in attrs else None):
                wait = 0
        elif wait >= int(attrs["patience"]) and epoch > 0:
            stopped = epoch
            break
    restored = int(attrs.get("restore_best_weights", 0)) and kept is not None
    found = {"epochs_run": epoch + 1, "stopped_epoch": stopped, "best_epoch": best_epoch,
             "weights_of_epoch": kept if restored else epoch}
    return {"exp": {key: torch.tensor(value) for key, value in found.items()}}


def plateau(attrs, ins):
    sign, delta = -1 if is_higher(attrs) else 1, float(attrs.get("min_delta", 1e-4))
    factor, least = float(attrs.get("factor", 0.1)), float(attrs.get("min_lr", 0))
    lr, best, wait, cooling, rates = float(attrs["lr"]), float("inf"), 0, 0, []
    for x in ins["metric"].tolist():
        if cooling:
            cooling, wait = cooling - 1, 0
        if sign * x < best - delta:
            best, wait = sign * x, 0
        elif not cooling:
            wait += 1
            if wait >= int(attrs.get("patience", 10)) and lr > least:
                lr, cooling, wait = max(lr * factor, least), int(attrs.get("cooldown", 0)), 0
        rates.append(lr)
    return {"traj": {"lr_after_epoch": torch.tensor(rates)}}


# ---- PyTorch's loops


def torch_optimizer(words, pars):
    """"RMSprop lr 1e-2 alpha .9 eps 1e-7" """
    name, *rest = words.split()
    kw = {{"wd": "weight_decay"}.get(k, k): float(v) for k, v in zip(rest[::2], rest[1::2])}
    if "beta1" in kw or "beta2" in kw:
        kw["betas"] = (kw.pop("beta1", 0.9), kw.pop("beta2", 0.999))
    return getattr(torch.optim, name)(pars, **kw)


def module_of(p, prefix=""):
    """A recurrent module with the parameters of that prefix, and these; None if there are none."""
    own = {k[len(prefix):]: v for k, v in p.items() if re.match(prefix + "(weight|bias)_[ih]h_l", k)}
    ih, hh = own["weight_ih_l0"], own["weight_hh_l0"]
    kind = {1: torch.nn.RNN, 3: torch.nn.GRU, 4: torch.nn.LSTM}[len(ih) // hh.shape[1]]
    net = kind(ih.shape[1], hh.shape[1], sum(re.fullmatch(r"weight_ih_l\d", k) is not None for k in own),
               batch_first=True, bidirectional="weight_ih_l0_reverse" in own)
    net.load_state_dict(own)
    return net, {prefix + k: v for k, v in net.named_parameters()}


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def train(op, attrs, ins, start):
    """Losses, norms of gradients, the first gradients, and the parameters in the end."""
    prefix = "enc_" if "Wq" in start else ""
    net, p = module_of(start, prefix)
    p = {k: p.get(k, v.clone().requires_grad_()) for k, v in start.items()}
    padding = int(attrs["padding_idx"]) if "padding_idx" in attrs else None
    embed = lambda ids: F.embedding(ids, p["emb"], padding) if "emb" in p else ids
    out = lambda h: h @ p["fc_w"].T + p["fc_b"]
    state = [None]

    def classify(k):
        return F.cross_entropy(out(net(embed(ins["x"]))[0][:, -1]), ins["y"])

    def adding(k):
        return F.mse_loss(out(net(embed(ins["x"]))[0][:, -1])[:, 0], ins["y"])

    def packed(k):
        h = net(pack_padded_sequence(embed(ins["ids"]), ins["lengths"], True, enforce_sorted=False))[1]
        h = h[0] if isinstance(h, tuple) else h
        h = torch.cat((h[-2], h[-1]), -1) if net.bidirectional else h[-1]
        return F.binary_cross_entropy_with_logits(out(h)[:, 0], ins["y"])

    def language(k):
        n = int(attrs["chunk"])
        y, last = net(embed(ins["stream"][:, k * n:k * n + n]), state[0])
        state[0] = detached(last)
        return F.cross_entropy(out(y).flatten(0, 1), ins["stream"][:, k * n + 1:k * n + n + 1].flatten())

    def translate(k):
        keys, h = net(embed(ins["src"]))
        h, loss = h[0], 0
        cell = [p["dec_" + name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        for t in range(ins["tgt"].shape[1] - 1):
            scores = torch.tanh((h @ p["Wq"])[:, None] + keys @ p["Wk"]) @ p["v"]
            context = (scores.softmax(-1)[..., None] * keys).sum(1)
            h = torch.gru_cell(torch.cat((embed(ins["tgt"][:, t]), context), -1), h, *cell)
            loss = loss + F.cross_entropy(out(torch.cat((h, context), -1)), ins["tgt"][:, t + 1])
        return loss / (ins["tgt"].shape[1] - 1)

    loss_fn = {"e2e_adding": adding, "e2e_bilstm": packed, "e2e_lm_tbptt": language, "e2e_seq2seq": translate}
    optimizer, first, path, norms = torch_optimizer(attrs["optimizer"], list(p.values())), {}, [], []
    for k in range(int(attrs["steps"])):
        optimizer.zero_grad()
        loss = loss_fn.get(op, classify)(k)
        loss.backward()
        first = first or {name: v.grad.clone() for name, v in p.items()}
        if "clip_norm" in attrs:
            norms.append(torch.nn.utils.clip_grad_norm_(list(p.values()), float(attrs["clip_norm"])))
        path.append(loss.detach())
        optimizer.step()
    traj = {"loss": torch.stack(path), **given(norms, grad_norm=torch.stack(norms) if norms else None)}
    return {"gpar": first, "traj": traj, "exp": {k: v.detach() for k, v in p.items()}}


# ---- all of them


def results(op, attrs, ins, pars, names=()):
    if op.startswith("keras_fit_"):
        return fit(attrs, ins, pars, names)
    if op == "keras_callback_earlystopping":
        return early_stopping(attrs, ins)
    if op == "keras_callback_reducelronplateau":
        return plateau(attrs, ins)
    return train(op, attrs, ins, pars)


def check(root):
    """Are the trainings here those of the folder? Prints what differs by more than 1e-9, of trajectories 1e-7."""
    n, bad = 0, 0
    for name, op, attrs, t in read(root):
        if not op.startswith(("keras_fit_", "keras_callback_", "e2e_")):
            continue
        names = [k for k in t["traj"] if k != "loss" and not k.startswith("val_")]
        got = results(op, attrs, t["in"], t["par"], names)
        off = lambda a, b: float(((a - b).abs() / (1e-10 + 1e-7 * b.abs())).max()) if a.shape == b.shape else 1e99
        worst = max((off(got[role][k].double(), v.double()), k) for role in got for k, v in t[role].items())
        n, bad = n + 1, bad + (worst[0] > 1)
        if worst[0] > 1:
            print(f"{name} ({op}): {worst[1]} by {worst[0]:.2g} times 1e-7")
    print(f"{n} cases, {bad} differ")
    sys.exit(bad > 0 or not n)


def is_steady(got, op, attrs, ins, pars, names):
    """Does a difference of 1e-6 in the beginning stay small? Where a gradient is next to none, Adam's step is not."""
    other = results(op, attrs, ins, {k: v * (1 + 1e-6 * rand(v.shape)) for k, v in pars.items()}, names)
    off = lambda a, b: float(((a - b).abs() / (1e-3 + b.abs())).max())
    return all(off(other[role][k], v.detach()) < 5e-5 for role in ("traj", "exp") for k, v in got[role].items())


def make(op, ins, pars={}, names=(), **attrs):
    attrs = {k: text(v) for k, v in attrs.items()}
    got = results(op, attrs, ins, pars, names)
    if pars and not is_steady(got, op, attrs, ins, pars, names):
        return
    record(op, [("in", k, v) for k, v in ins.items()] + [("par", k, v) for k, v in pars.items()] +
           [(role, k, v) for role in got for k, v in got[role].items()], **attrs)


# ---- random cases of Keras


def random_keras_optimizer(model):
    """Clips where a kernel is one parameter here, too: the library has a parameter for each gate."""
    lr = f"{10**uniform(-2.5, -0.7):.3g}"
    clip = random.choice(["", "", f", global_clipnorm {uniform(0.05, 1):.2g}", f", clipnorm {uniform(0.05, 1):.2g}"])
    clip = "" if " clipnorm" in clip and ("LSTM" in model or "GRU" in model) else clip
    momentum = f"momentum {uniform(0.5, 0.95):.2g}"
    return random.choice([f"SGD({lr}{clip})", f"SGD({lr}, {momentum}{clip})", f"Adam({lr}{clip})",
                          f"Adamax({lr}{clip})", f"Adagrad({lr})", f"Nadam({lr})",
                          f"RMSprop({lr}{clip})", "Adam default"])


def recurrent_layers(pars, k, D, sequences=False, regularized=False):
    """One to three recurrent layers from layer k on, their parameters into pars; returns their words and the width."""
    words = []
    n = dim(1, 2) if not regularized else 1
    for i in range(n):
        kind, H, both = random.choice(["SimpleRNN", "LSTM", "GRU"]), dim(1, 5), chance(4) and not regularized
        options = (["seq"] if sequences or i + 1 < n else []) + (regularized or [])
        for way in ("forward.", "backward.") if both else ("",):
            pars.update(cell_pars(kind.lower(), D, H, f"L{k}.{way}", scale=0.5))
        D = 2 * H if both else H
        one = kind + (f"({', '.join(options)})" if options else "")
        words.append(f"Bi({','.join([kind, *options])})" if both else one)
        k += 1
    return words, D


def sequential(x, head, units, masked=False, sequences=False, regularized=None):
    """A random model of inputs like x: its words and parameters."""
    pars, words, D = {}, [], x.shape[-1]
    if not x.is_floating_point():
        D = dim(1, 5)
        pars["L0.embeddings"] = rand(int(x.max()) + dim(1, 3), D)
        words = ["Embedding(mask_zero)" if masked else "Embedding"]
    more, D = recurrent_layers(pars, len(words), D, sequences, regularized)
    words += more
    pars.update(dense_pars(f"L{len(words)}." + ("dense." if sequences else ""), D, units))
    return "-".join([*words, head]), pars


def keras_fits():
    for kind in "charrnn", "qa", "charrnn_onehot", "imdb", "class_weight", "sample_weight", "tagger", "reg":
        n, T, D, C = dim(3, 24), dim(2, 6), dim(1, 4), dim(2, 5)
        attrs = {"epochs": dim(1, 5), "batch_size": dim(2, n + 2),
                 **given(chance() and n > 4, validation_split=round(uniform(0.1, 0.6), 2))}
        ids = lambda *shape: torch.randint(0, C, shape)
        text_ids, vectors = torch.randint(0, 9, (n, T)), rand(n, T, D)
        x = text_ids if kind in ("charrnn", "imdb", "tagger") or chance(3) else vectors
        masked = kind in ("imdb", "tagger") and chance()
        ins, names, head, units = {"X": x, "Y": ids(n)}, ["accuracy"], f"Dense({C},softmax)", C
        regularized = None
        if kind == "charrnn_onehot":
            ins["Y"], head = F.one_hot(ids(n), C).double(), "Dense(C)-softmax"
        if kind == "imdb":
            ins["Y"], head, units = torch.randint(0, 2, (n,)).double(), "Dense(1,sigmoid)", 1
        if kind == "class_weight":
            attrs["class_weight"] = ",".join(f"{c}:{uniform(0.1, 3):.2g}" for c in range(C))
        if kind == "sample_weight" or kind == "reg":
            ins["Y"], names, head, units = rand(n, C), random.choice([["mae"], []]), f"Dense({C})", C
        if kind == "sample_weight":
            ins["sample_weight"] = torch.rand(n) * torch.randint(0, 3, (n,))
        if kind == "reg":
            regularized = random.sample([f"l2 {uniform(0, 0.1):.2g} kernel", f"l1 {uniform(0, 0.1):.2g} recurrent",
                                         f"l1l2 {uniform(0, 0.1):.2g}/{uniform(0, 0.1):.2g} bias"], dim(1, 3))
        if kind == "tagger":
            text_ids[:, 0] = torch.randint(1, 9, (n,))  # the mean of nothing is no number
            if masked:
                text_ids *= torch.arange(T) < torch.randint(1, T + 1, (n, 1))
            ins["Y"], head = ids(n, T), f"TimeDistributed(Dense({C},softmax))"
            attrs["mask_propagates"] = masked
        attrs["model"], pars = sequential(x, head, units, masked, kind == "tagger", regularized)
        make("keras_fit_" + kind, ins, pars, names, optimizer=random_keras_optimizer(attrs["model"]), **attrs)


def keras_callbacks():
    for _ in range(10):
        n = dim(1, 20)
        fall = torch.linspace(1, uniform(0.2, 1.5), n) + uniform(0, 0.3) * rand(n)
        values = {"metric": (fall * random.choice([1, 1, 10])).round(decimals=random.choice([1, 2, 8]))}  # with ties
        higher = chance(3)
        attrs = {"monitor": random.choice(["accuracy", "auc", "val_acc"] if higher else ["loss", "val_loss", "mae"]),
                 "patience": dim(0, 4), **given(chance(), mode="max" if higher else "min"),
                 **given(chance(), min_delta=random.choice([0, 0.1, round(uniform(0, 0.2), 3)]))}
        make("keras_callback_earlystopping", values, **attrs, **given(chance(), restore_best_weights=1),
             **given(chance(3), baseline=round(uniform(0.3, 1.2), 2)), **given(chance(3), start_from_epoch=dim(0, 5)))
        make("keras_callback_reducelronplateau", values, **attrs, lr=random.choice([0.1, 0.01]),
             **given(chance(), factor=round(uniform(0.1, 0.9), 2)), **given(chance(), cooldown=dim(0, 4)),
             **given(chance(), min_lr=random.choice([0.001, 0.02, 0.5])))


# ---- random cases of PyTorch


def random_torch_optimizer():
    lr = f"lr {10**uniform(-3, -1):.3g}"
    return random.choice([f"SGD {lr}", f"SGD {lr} momentum {uniform(0.5, 0.95):.2g}", f"Adam {lr} eps 1e-7",
                          f"AdamW {lr} wd {uniform(0, 0.1):.2g}", f"Adagrad {lr}", f"Adamax {lr}", f"RAdam {lr}",
                          f"Adam {lr} beta1 {uniform(0.5, 0.95):.2g} beta2 {uniform(0.9, 0.999):.3g}",
                          f"Adadelta {lr}", f"RMSprop {lr} alpha {uniform(0.5, 0.99):.2g} eps 1e-6"])


def module_pars(D, H, kind=None, prefix="", **kw):
    net = (kind or random.choice([torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU]))(D, H, **kw)
    return {prefix + k: v.detach().clone() for k, v in net.named_parameters()}


def torch_loops():
    head = lambda C, H: {"fc_w": 0.5 * rand(C, H), "fc_b": 0.5 * rand(C)}
    for _ in range(2):
        B, T, D, H, V, L = dim(1, 5), dim(1, 6), dim(1, 5), dim(1, 6), dim(3, 9), dim(1, 2)
        attrs = lambda low=2, high=12: {"steps": dim(low, high), "optimizer": random_torch_optimizer(),
                                        **given(chance(3), clip_norm=round(uniform(0.05, 1), 2))}
        make("e2e_charrnn", {"x": torch.randint(0, V, (B, T)), "y": torch.randint(0, V, (B,))},
             {"emb": rand(V, D), **module_pars(D, H, num_layers=L), **head(V, H)}, **attrs())
        make("e2e_seed003", {"x": rand(B, T, D), "y": torch.randint(0, V, (B,))},
             {**module_pars(D, H, num_layers=L), **head(V, H)}, **attrs())
        make("e2e_adding", {"x": rand(B, T, D), "y": rand(B)}, {**module_pars(D, H, num_layers=L), **head(1, H)},
             **attrs())
        lengths = torch.tensor([T] + [dim(1, T) for _ in range(B - 1)])
        ids = torch.randint(1, V, (B, T)) * (torch.arange(T) < lengths[:, None])
        make("e2e_bilstm", {"ids": ids, "lengths": lengths, "y": torch.randint(0, 2, (B,)).double()},
             {"emb": rand(V, D), **module_pars(D, H, bidirectional=True, num_layers=L), **head(1, 2 * H)},
             **given(chance(), padding_idx=0), **attrs())
        a, chunk = attrs(), dim(1, 5)
        make("e2e_lm_tbptt", {"stream": torch.randint(0, V, (B, a["steps"] * chunk + 1))},
             {"emb": rand(V, D), **module_pars(D, H, num_layers=L), **head(V, H)}, chunk=chunk, **a)
        cell = {k.replace("_l0", ""): v for k, v in module_pars(D + H, H, torch.nn.GRU, "dec_").items()}
        make("e2e_seq2seq", {"src": torch.randint(0, V, (B, T)), "tgt": torch.randint(0, V, (B, dim(2, 6)))},
             {"emb": rand(V, D), **module_pars(D, H, torch.nn.GRU, "enc_"), **cell, "Wq": rand(H, H), "Wk": rand(H, H),
              "v": rand(H), **head(V, 2 * H)}, **attrs())


def cases():
    keras_fits()
    keras_callbacks()
    torch_loops()


if __name__ == "__main__":
    check(sys.argv[2]) if sys.argv[1] == "--check" else write(cases, "training")
