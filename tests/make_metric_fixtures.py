#!/usr/bin/env python3
"""make_metric_fixtures.py FOLDER SEED...: Keras 3's metrics in random shapes and options.
make_metric_fixtures.py --check FOLDER: computes the cases of a folder that are Keras' own, and compares.

A metric is written here as one formula of all rows that were seen so far, and not as sums that go on."""
import sys
import torch
import torch.nn.functional as F
from fixture_writer import chance, dim, given, index, rand, random, read, tensor, text, write

EPS = 1e-7


def ratio(a, b):
    return torch.where(b == 0, torch.zeros_like(a), a / torch.where(b == 0, torch.ones_like(b), b))


def mean(v, w):
    """Of rows' values; w as long as v, or of the rows' first axes."""
    w = torch.ones(v.shape[:1]) if w is None else w
    v = v.reshape(*w.shape, -1).mean(-1)
    return ratio((v * w).sum(), w.sum())


def top(t, p, k):
    t = t.long() if t.ndim < p.ndim else t.argmax(-1)
    return ((p > p.gather(-1, t[..., None])).sum(-1) < k).double()


def logits(a):
    return bool(int(a.get("from_logits", 0)))


def same_rank(t, p):
    return t.reshape(p.shape).double()


def binary_ce(a, t, p, w):
    t, s = same_rank(t, p), float(a.get("label_smoothing", 0))
    t = t * (1 - s) + s / 2
    if logits(a):
        v = F.binary_cross_entropy_with_logits(p, t, reduction="none")
    else:
        p = p.clamp(EPS, 1 - EPS)
        v = -(t * p.log() + (1 - t) * (1 - p).log())
    return mean(v.mean(-1), w)


def class_ce(a, t, p, w):
    t = F.one_hot(t.long(), p.shape[-1]).double() if t.ndim < p.ndim else t
    s = float(a.get("label_smoothing", 0))
    t = t * (1 - s) + s / p.shape[-1]
    q = p.log_softmax(-1) if logits(a) else (p / p.sum(-1, keepdim=True)).clamp(EPS, 1 - EPS).log()
    return mean(-(t * q).sum(-1), w)


def kl(a, t, p, w):
    t, p = t.clamp(EPS, 1), p.clamp(EPS, 1)
    return mean((t * (t / p).log()).sum(-1), w)


def counts(t, positive, w, axes):
    w = torch.ones(()) if w is None else w.reshape(*w.shape, *[1] * (t.ndim - w.ndim))
    t = (t != 0).double()
    return [(x * w).sum(axes) for x in (t * positive, (1 - t) * positive, t * (1 - positive))]


def prec_rec(which):
    def fn(a, t, p, w):
        t, k = same_rank(t, p), a.get("top_k")
        told = a.get("thresholds")
        if k:
            low = p.topk(int(k), -1).values[..., -1:]
            p = torch.where(p >= low, p, torch.full((), -1e10))
        if a.get("class_id") is not None:
            t, p = t[..., int(a["class_id"])], p[..., int(a["class_id"])]
        out = []
        for th in [float(x) for x in str(told).split(",")] if told is not None else [-1e10 if k else 0.5]:
            tp, fp, fn_ = counts(t, (p > th).double(), w, list(range(t.ndim)))
            out.append(ratio(tp, tp + (fp if which == "precision" else fn_)))
        return torch.stack(out) if len(out) > 1 else out[0]
    return fn


def f_score(a, t, p, w):
    beta, average, th = float(a.get("beta", 1)), a.get("average", "none"), a.get("threshold")
    positive = (p >= p.max(-1, keepdim=True).values) if th is None else p > float(th)
    tp, fp, fn = counts(t, positive.double(), w, [0, 1] if average == "micro" else [0])
    precision, recall = tp / (tp + fp + EPS), tp / (tp + fn + EPS)
    f = (1 + beta**2) * precision * recall / (beta**2 * precision + recall + EPS)
    by_class = (f * (tp + fn)).sum() / ((tp + fn).sum() + EPS)
    return {"none": f, "micro": f, "macro": f.mean(), "weighted": by_class}[average]


def auc(a, t, p, w):
    n, pr, how = int(a.get("num_thresholds", 200)), a.get("curve") == "PR", a.get("summation_method", "interpolation")
    told = a.get("thresholds")
    inner = [float(x) for x in told.split(",")] if told else [(i + 1) / (n - 1) for i in range(n - 2)]
    p, t = p.sigmoid() if logits(a) else p, same_rank(t, p)
    total = 0
    labels = range(p.shape[-1]) if int(a.get("multi_label", 0)) else [None]
    for c in labels:
        tc, pc = (t, p) if c is None else (t[..., c], p[..., c])
        th = torch.tensor([-EPS, *inner, 1 + EPS])
        tp, fp, fn = map(torch.stack, zip(*[counts(tc, (pc > x).double(), w, list(range(tc.ndim))) for x in th]))
        P, N = (tp + fn)[0], fp[0]
        if pr and how == "interpolation":
            both = tp + fp
            slope = ratio(tp[:-1] - tp[1:], both[:-1] - both[1:])
            rest = tp[1:] - slope * both[1:]
            both_there = (both[:-1] > 0) & (both[1:] > 0)
            log = torch.where(both_there, both[:-1] / both[1:].clamp(1e-300), torch.ones(())).log()
            total += ratio(slope * (tp[:-1] - tp[1:] + rest * log), P.expand(len(slope))).sum()
            continue
        x, y = (ratio(tp, P.expand(len(tp))), ratio(tp, tp + fp)) if pr else (ratio(fp, N.expand(len(fp))),
                                                                             ratio(tp, P.expand(len(tp))))
        y0, y1 = y[:-1], y[1:]
        h = {"interpolation": (y0 + y1) / 2, "minoring": torch.minimum(y0, y1), "majoring": torch.maximum(y0, y1)}[how]
        total += ((x[:-1] - x[1:]) * h).sum()
    return total / len(labels)


def r2(a, t, p, w):
    w = torch.ones(len(t)) if w is None else w
    centre = (t * w[:, None]).sum(0) / w.sum()
    total, n, k = ((t - centre)**2 * w[:, None]).sum(0), t.numel(), int(a.get("num_regressors", 0))
    raw = 1 - ((t - p)**2 * w[:, None]).sum(0) / total
    r = (raw * total).sum() / total.sum() if a.get("class_aggregation") == "variance_weighted_average" else raw.mean()
    return 1 - (1 - r) * (n - 1) / (n - k - 1) if k and n > k + 1 else r


def error(f):
    return lambda a, t, p, w: mean(f(same_rank(t, p), p).mean(-1), w)


def unit(x):
    return x / x.norm(dim=-1, keepdim=True).clamp(EPS)


def binary(a, t, p, w):
    return mean((same_rank(t, p) == (p > float(a.get("threshold", 0.5)))).double().mean(-1), w)


METRICS = {
    "binaryaccuracy": binary,
    "sparsecategoricalaccuracy": lambda a, t, p, w: mean((p.argmax(-1) == t.reshape(p.shape[:-1])).double(), w),
    "categoricalaccuracy": lambda a, t, p, w: mean((p.argmax(-1) == t.argmax(-1)).double(), w),
    "topkcategoricalaccuracy": lambda a, t, p, w: mean(top(t, p, int(a.get("k", 5))), w),
    "sparsetopkcategoricalaccuracy": lambda a, t, p, w: mean(top(t, p, int(a.get("k", 5))), w),
    "precision": prec_rec("precision"), "recall": prec_rec("recall"), "f1score": f_score, "fbetascore": f_score,
    "auc": auc, "meansquarederror": error(lambda t, p: (t - p)**2),
    "meanabsoluteerror": error(lambda t, p: (t - p).abs()),
    "rootmeansquarederror": lambda *args: error(lambda t, p: (t - p)**2)(*args).sqrt(), "r2score": r2,
    "cosinesimilarity": lambda a, t, p, w: mean((unit(t) * unit(p)).sum(-1), w),
    "binarycrossentropy": binary_ce, "categoricalcrossentropy": class_ce, "sparsecategoricalcrossentropy": class_ce,
    "kldivergence": kl, "poisson": error(lambda t, p: p - t * (p + EPS).log()),
    "mean": lambda a, t, p, w: mean(p.mean(-1), w),
}


def results(name, attrs, batches):
    """After each of the batches."""
    out = []
    for n in range(1, len(batches) + 1):
        t, p, w = (None if c[0] is None else torch.cat(c[:n]) for c in zip(*batches))
        out.append(METRICS[name](attrs, t, p, w))
    return torch.stack(out)


def batches_of(ins):
    n = sum(name.startswith("y_pred") for name in ins)
    return [(ins[f"y_true{k}"], ins[f"y_pred{k}"], ins.get(f"sw{k}")) for k in range(n)]


def check(root):
    """Are the metrics here those of the folder? Prints what differs by more than 1e-9."""
    n, bad = 0, 0
    for name, op, attrs, t in read(root):
        if not op.startswith("keras_metric_"):
            continue
        got, want = results(op[13:], attrs, batches_of(t["in"])), t["traj"]["result"]
        off = float((got - want).abs().max())
        n, bad = n + 1, bad + (off > 1e-9)
        if off > 1e-9:
            print(f"{name} ({op}): {off:.2g}")
    print(f"{n} cases, {bad} differ")
    sys.exit(bad > 0 or not n)


# ---- random cases


def make(name, target, prediction, shapes, sequence=False, weights=True, **attrs):
    """Batches of one shape, as steps of a sequence weigh less in Keras where there are more of them."""
    attrs = {k: text(v) for k, v in attrs.items()}
    axes = dim(1, 2) if sequence else 1
    B, T = dim(2, 7), dim(1, 5)
    batches = []
    weighted = weights and chance()
    per_step = axes > 1 and chance()
    for _ in range(dim(1, 4)):
        rows = [B, T][:axes] if axes > 1 else [dim(1, 7)]
        w = torch.rand(rows if per_step else rows[:1]) * torch.randint(0, 2, rows if per_step else rows[:1])
        batches.append((target(rows), prediction(rows), w if weighted else None))
    index.append(f"case\tc{len(index)}\tkeras_metric_{name}\tcore")
    index.extend(f"attr\t{k}\t{v}" for k, v in attrs.items())
    for k, b in enumerate(batches):
        for part, x in zip(("y_true", "y_pred", "sw"), b):
            if x is not None:
                tensor("in", f"{part}{k}", x)
    tensor("traj", "result", results(name, attrs, batches))
    index.append("end")


def metrics():
    C = dim(2, 6)
    ids, hot = lambda r: torch.randint(0, C, r), lambda r: F.one_hot(torch.randint(0, C, r), C).double()
    probs, scores = lambda r: rand(*r, C).softmax(-1), lambda r: rand(*r, C)
    unit_interval, bits = lambda r: torch.rand(*r, C), lambda r: torch.randint(0, 2, [*r, C])
    one, one_bit = lambda r: torch.rand(*r, 1), lambda r: torch.randint(0, 2, [*r, 1])
    thresholds = lambda: sorted(round(x, 3) for x in random.sample([i / 17 for i in range(1, 17)], dim(1, 4)))
    for _ in range(2):
        th = given(chance(), threshold=round(random.random(), 2))
        make("binaryaccuracy", bits, unit_interval, C, True, **th)
        make("binaryaccuracy", one_bit, one, C, True, **th)
        make("sparsecategoricalaccuracy", ids, scores, C, True)
        make("categoricalaccuracy", hot, scores, C, True)
        make("topkcategoricalaccuracy", hot, scores, C, True, k=dim(1, C))
        make("sparsetopkcategoricalaccuracy", ids, scores, C, **given(chance(), k=dim(1, C)))
        for name in "precision", "recall":
            make(name, bits, unit_interval, C, **given(chance(), class_id=dim(0, C - 1)),
                 **given(chance(), thresholds=thresholds()))
            make(name, hot, probs, C, top_k=dim(1, C), **given(chance(), class_id=dim(0, C - 1)))
        for average in "micro", "macro", "weighted", "none":
            make("f1score", hot, scores, C, average=average, **given(average == "macro", threshold=0.25))
        beta = round(random.uniform(0.3, 3), 2)
        make("fbetascore", bits, unit_interval, C, average="macro", beta=beta, threshold=0.5)
        for how in "interpolation", "minoring", "majoring":
            for curve in "ROC", "PR":
                options = {**given(chance(), num_thresholds=dim(2, 300)), **given(chance(), multi_label=1)}
                make("auc", bits, scores, C, curve=curve, summation_method=how, from_logits=1, **options)
                make("auc", one_bit, one, C, curve=curve, summation_method=how)
        make("auc", bits, unit_interval, C, thresholds=thresholds())
        for name in "meansquarederror", "meanabsoluteerror", "rootmeansquarederror", "cosinesimilarity":
            make(name, scores, scores, C, True)
        far = lambda r: 100 + rand(r[0] + 2, C)
        make("r2score", far, far, C, weights=False, **given(chance(), num_regressors=dim(1, 3)),
             **given(chance(), class_aggregation="variance_weighted_average"))
        make("mean", one, scores, C, True)
        smooth = given(chance(), label_smoothing=round(random.random() / 2, 2))
        make("binarycrossentropy", bits, unit_interval, C, True, **smooth)
        make("binarycrossentropy", bits, lambda r: 30 * rand(*r, C), C, True, from_logits=1, **smooth)
        make("categoricalcrossentropy", probs, lambda r: torch.rand(*r, C), C, True, **smooth)
        make("categoricalcrossentropy", probs, lambda r: 30 * rand(*r, C), C, True, from_logits=1, **smooth)
        make("sparsecategoricalcrossentropy", ids, lambda r: (9 * rand(*r, C)).softmax(-1), C, True)
        make("sparsecategoricalcrossentropy", ids, scores, C, True, from_logits=1)
        make("kldivergence", probs, probs, C, True)
        make("poisson", unit_interval, unit_interval, C, True)


if __name__ == "__main__":
    check(sys.argv[2]) if sys.argv[1] == "--check" else write(metrics, "metrics")
