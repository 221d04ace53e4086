"""Optimizers and learning rates for the makers of reference values: random options and gradients, and Keras' rules from
their formulas."""
import math
import torch
from fixture_writer import chance, dim, given, rand, random, record, uniform


def gradients():
    """Gradients of some parameters over some steps: of all magnitudes, with an element that never has any and steps in
    which all are zero."""
    n = dim(3, 12)
    shapes = [[dim(1, 5) for _ in range(dim(1, 3))] for _ in range(dim(1, 3))]
    grads = [rand(n, *s) * 10**uniform(-3, 2) for s in shapes]
    for g in grads:
        g[(slice(None),) + (0,) * (g.ndim - 1)] = 0
        g[dim(0, n - 1)] *= dim(0, 1)
    return [rand(s) for s in shapes], grads


def trajectory(op, start, grads, step, **attrs):
    """step(ws, gs) makes one step in place."""
    w = [s.clone() for s in start]
    path = [[p.clone()] for p in w]
    for t in range(len(grads[0])):
        step(w, [g[t].clone() for g in grads])
        for k, p in enumerate(w):
            path[k].append(p.clone())
    names = [f"q{k}" for k in range(len(w))]
    record(op, [("in", "grad_" + n, g) for n, g in zip(names, grads)] +
           [("traj", n, torch.stack(p)) for n, p in zip(names, path)], **attrs)


# ---- Keras: attributes -> a step


def keras_rate(a, i):
    """The learning rate of iteration i."""
    if "learning_rate_schedule" in a:
        lr, steps, rate = map(float, a["learning_rate_schedule"].split("(")[1].split(")")[0].split(","))
        return lr * rate**(i / steps)
    return float(a["learning_rate"])


def keras_clip(a, gs):
    norm = lambda ts: math.sqrt(sum(float((t * t).sum()) for t in ts))
    if "clipnorm" in a:
        c = float(a["clipnorm"])
        return [g * c / max(norm([g]), c) for g in gs]
    if "global_clipnorm" in a:
        c = float(a["global_clipnorm"])
        return [g * c / max(norm(gs), c) for g in gs]
    return [g.clamp(-float(a["clipvalue"]), float(a["clipvalue"])) for g in gs] if "clipvalue" in a else gs


def sgd(a, s, w, g, lr, t):
    m = float(a["momentum"])
    if not m:
        return -lr * g
    s["m"] = m * s.get("m", 0) - lr * g
    return m * s["m"] - lr * g if int(a["nesterov"]) else s["m"]


def rmsprop(a, s, w, g, lr, t):
    rho, m = float(a["rho"]), float(a["momentum"])
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    s["a"] = rho * s.get("a", 0) + (1 - rho) * g
    d = lr * g / (s["v"] - (s["a"]**2 if int(a["centered"]) else 0) + float(a["epsilon"])).sqrt()
    s["m"] = m * s.get("m", 0) + d
    return -s["m"] if m else -d


def betas(a, s, g, t):
    b1, b2 = float(a["beta_1"]), float(a["beta_2"])
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    return b1, b2


def adam(a, s, w, g, lr, t):
    b1, b2 = betas(a, s, g, t)
    s["top"] = torch.maximum(s["v"], s.get("top", torch.zeros(())))
    v = s["top"] if int(a.get("amsgrad", 0)) else s["v"]
    return -lr * math.sqrt(1 - b2**t) / (1 - b1**t) * s["m"] / (v.sqrt() + float(a["epsilon"]))


def nadam(a, s, w, g, lr, t):
    b1, b2 = betas(a, s, g, t)
    u = lambda k: b1 * (1 - 0.5 * 0.96**k)
    p = math.prod(u(k) for k in range(1, t + 1))
    m = u(t + 1) * s["m"] / (1 - p * u(t + 1)) + (1 - u(t)) * g / (1 - p)
    return -lr * m / ((s["v"] / (1 - b2**t)).sqrt() + float(a["epsilon"]))


def adamax(a, s, w, g, lr, t):
    b1, b2 = betas(a, s, g, t)
    s["u"] = torch.maximum(b2 * s.get("u", torch.zeros(())), g.abs())
    return -lr / (1 - b1**t) * s["m"] / (s["u"] + float(a["epsilon"]))


def adagrad(a, s, w, g, lr, t):
    s["v"] = s.get("v", float(a["initial_accumulator_value"])) + g * g
    return -lr * g / (s["v"] + float(a["epsilon"])).sqrt()


def adadelta(a, s, w, g, lr, t):
    rho, e = float(a["rho"]), float(a["epsilon"])
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    d = -torch.sqrt(torch.as_tensor(s.get("u", 0.)) + e) * g / (s["v"] + e).sqrt()
    s["u"] = rho * s.get("u", 0) + (1 - rho) * d * d
    return lr * d


def lion(a, s, w, g, lr, t):
    b1, b2, m = float(a["beta_1"]), float(a["beta_2"]), s.get("m", 0)
    s["m"] = b2 * m + (1 - b2) * g
    return -lr * torch.sign(b1 * m + (1 - b1) * g)


def ftrl(a, s, w, g, lr, t):
    power, l1 = -float(a["learning_rate_power"]), float(a["l1_regularization_strength"])
    v = s.get("v", torch.full_like(w, float(a["initial_accumulator_value"])))
    s["v"] = v + g * g
    s["z"] = s.get("z", 0) + g + 2 * float(a["l2_shrinkage_regularization_strength"]) * w \
        - (s["v"]**power - v**power) / lr * w
    quadratic = s["v"]**power / lr + 2 * float(a["l2_regularization_strength"]) + float(a["beta"]) / lr
    return (s["z"].clamp(-l1, l1) - s["z"]) / quadratic - w


KERAS = {f.__name__: f for f in (sgd, rmsprop, adam, nadam, adamax, adagrad, adadelta, lion, ftrl)}
KERAS["adamw"] = adam


def keras_stepper(op, a):
    """A function that makes the optimizer's steps, with attributes as texts."""
    rule, state, mean, waiting, count = KERAS[op], {}, {}, {}, [0, 0]

    def step(ws, gs):
        count[0] += 1
        n = int(a.get("gradient_accumulation_steps", 1))
        gs = [waiting.get(k, 0) + g for k, g in enumerate(gs)]
        waiting.update(enumerate(gs))
        if count[0] % n:
            return
        waiting.clear()
        lr = keras_rate(a, count[1])
        count[1] += 1
        for k, (w, g) in enumerate(zip(ws, keras_clip(a, [g / n for g in gs]))):
            w -= lr * float(a.get("weight_decay", 0)) * w
            w += rule(a, state.setdefault(k, {}), w.clone(), g, lr, count[1])
            if int(a.get("use_ema", 0)):
                m = float(a["ema_momentum"]) if count[1] > 1 else 0
                mean[k] = m * mean.get(k, 0) + (1 - m) * w
                if count[1] % int(a.get("ema_overwrite_frequency", 0) or 1e9) == 0:
                    w.copy_(mean[k])

    return step


def keras_check(op, a, t):
    """The trajectories that the formulas give in a case's place."""
    names = list(t["traj"])
    w, step = [t["traj"][n][0].clone() for n in names], keras_stepper(op, a)
    path = {n: [p.clone()] for n, p in zip(names, w)}
    for i in range(len(t["in"]["grad_" + names[0]])):
        step(w, [t["in"]["grad_" + n][i] for n in names])
        for n, p in zip(names, w):
            path[n].append(p.clone())
    return {n: torch.stack(p) for n, p in path.items()}


def keras_options(op):
    b = lambda: uniform(0.5, 0.999)
    a = {"learning_rate": 10**uniform(-3, -0.5)}
    if op in ("adam", "adamw", "nadam", "adamax"):
        a.update(beta_1=b(), beta_2=b(), epsilon=10**uniform(-8, -2))
    if op in ("adam", "adamw"):
        a.update(amsgrad=chance())
    if op == "lion":
        a.update(beta_1=b(), beta_2=b())
    if op == "sgd":
        a.update(momentum=random.choice([0, b()]))
        a.update(nesterov=bool(a["momentum"]) and chance())
    if op == "rmsprop":
        a.update(rho=b(), momentum=random.choice([0, b()]), epsilon=10**uniform(-7, -2), centered=chance())
    if op == "adagrad":
        a.update(initial_accumulator_value=random.choice([0, uniform(0, 1)]), epsilon=10**uniform(-7, -2))
    if op == "adadelta":
        a.update(rho=b(), epsilon=10**uniform(-7, -2))
    if op == "ftrl":
        a.update(learning_rate_power=-random.choice([0.5, uniform(0.3, 0.9)]), initial_accumulator_value=uniform(0.1, 1),
                 l1_regularization_strength=random.choice([0, uniform(0, 0.5)]),
                 l2_regularization_strength=random.choice([0, uniform(0, 0.5)]),
                 l2_shrinkage_regularization_strength=random.choice([0, uniform(0, 0.5)]),
                 beta=random.choice([0, uniform(0, 0.5)]))
    if op == "adamw" or chance(3):
        a.update(weight_decay=10**uniform(-3, 0))
    a.update(**given(chance(3), **{random.choice(["clipnorm", "global_clipnorm", "clipvalue"]): 10**uniform(-1, 1)}))
    one = dim(1, 6)
    if one == 1:
        a.update(use_ema=True, ema_momentum=b(), **given(chance(), ema_overwrite_frequency=dim(1, 4)))
    elif one == 2:
        a.update(gradient_accumulation_steps=dim(2, 4))
    elif one == 3:
        a["learning_rate_schedule"] = f"ExponentialDecay({a.pop('learning_rate'):.6g},{dim(1, 5)},{uniform(0.3, 1):.4g})"
    return a


def keras_schedule(kind, lr, i, a):
    if kind in ("exponential", "inverse_time"):
        x = i / a["decay_steps"]
        x = math.floor(x) if a["staircase"] else x
        return lr * a["decay_rate"]**x if kind == "exponential" else lr / (1 + a["decay_rate"] * x)
    if kind == "polynomial":
        n = a["decay_steps"] * (max(1, math.ceil(i / a["decay_steps"])) if a["cycle"] else 1)
        end = a["end_learning_rate"]
        return (lr - end) * (1 - min(i, n) / n)**a["power"] + end
    if kind == "piecewise":
        return a["values"][sum(i > b for b in a["boundaries"])]
    if kind == "cosine":
        if a["warmup_steps"] and i < a["warmup_steps"]:
            return lr + (a["warmup_target"] - lr) * i / a["warmup_steps"]
        top = a["warmup_target"] if a["warmup_steps"] else lr
        x = min(i - a["warmup_steps"], a["decay_steps"]) / a["decay_steps"]
        return top * ((1 - a["alpha"]) * 0.5 * (1 + math.cos(math.pi * x)) + a["alpha"])
    n, at, top = a["first_decay_steps"], i, 1
    while at >= n:
        at, n, top = at - n, n * a["t_mul"], top * a["m_mul"]
    return lr * ((1 - a["alpha"]) * 0.5 * top * (1 + math.cos(math.pi * at / n)) + a["alpha"])


def keras_schedules():
    for kind in "exponential", "inverse_time", "polynomial", "piecewise", "cosine", "cosine_restarts":
        n, steps, a = dim(5, 60), dim(1, 20), {}
        if kind in ("exponential", "inverse_time"):
            a = {"decay_steps": steps, "decay_rate": uniform(0.1, 1.5), "staircase": chance()}
        if kind == "polynomial":
            a = {"decay_steps": steps, "end_learning_rate": uniform(0, 0.1), "power": uniform(0.3, 3), "cycle": chance()}
        if kind == "piecewise":
            at = sorted(random.sample(range(1, 60), dim(1, 5)))
            a = {"boundaries": at, "values": [uniform(0, 1) for _ in range(len(at) + 1)]}
        if kind == "cosine":
            warm = chance()
            a = {"decay_steps": steps, "alpha": random.choice([0, uniform(0, 1)]),
                 "warmup_target": uniform(0.1, 1) if warm else "none", "warmup_steps": dim(1, 10) if warm else 0}
        if kind == "cosine_restarts":
            a = {"first_decay_steps": steps, "t_mul": random.choice([1., 2., 1.5]), "m_mul": uniform(0.5, 1),
                 "alpha": uniform(0, 0.5)}
        lr = uniform(0.001, 0.5)
        rates = torch.tensor([keras_schedule(kind, lr, i, a) for i in range(n)])
        record("keras_schedule_" + kind, [("traj", "lr", rates)], **a,
               **given(kind != "piecewise", initial_learning_rate=lr))


def keras_optimizers():
    for op in list(KERAS) * 2:
        start, grads = gradients()
        a = {k: str(int(v) if isinstance(v, bool) else v) for k, v in keras_options(op).items()}
        trajectory("keras_optim_" + op, start, grads, keras_stepper(op, a), **a)


# ---- PyTorch


class NAdam(torch.optim.Optimizer):
    """PyTorch's documented formula, of which 1.13's code has one momentum too many."""

    def __init__(self, params, **kw):
        super().__init__(params, kw)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            (b1, b2), psi = group["betas"], group["momentum_decay"]
            u = lambda t: b1 * (1 - 0.5 * 0.96**(t * psi))
            for p in group["params"]:
                s, g = self.state[p], p.grad + group["weight_decay"] * p
                t = s["t"] = s.get("t", 0) + 1
                s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
                s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
                product = math.prod(u(k) for k in range(1, t + 1))
                m = u(t + 1) * s["m"] / (1 - product * u(t + 1)) + (1 - u(t)) * g / (1 - product)
                p -= group["lr"] * m / ((s["v"] / (1 - b2**t)).sqrt() + group["eps"])


TORCH = {"sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
         "nadam": NAdam, "radam": torch.optim.RAdam, "adamax": torch.optim.Adamax, "adagrad": torch.optim.Adagrad,
         "adadelta": torch.optim.Adadelta, "asgd": torch.optim.ASGD, "rprop": torch.optim.Rprop}


def torch_options(op):
    b = lambda: uniform(0.5, 0.999)
    a = {"lr": 10**uniform(-3, -0.5)}
    if op in ("adam", "adamw", "nadam", "radam", "adamax"):
        a.update(betas=[b(), b()], eps=10**uniform(-9, -2))
    if op in ("adam", "adamw"):
        a.update(amsgrad=chance())
    if op == "nadam":
        a.update(momentum_decay=10**uniform(-3, 0))
    if op == "sgd":
        a.update(momentum=random.choice([0, b()]))
        a.update(nesterov=bool(a["momentum"]) and chance())
        a.update(dampening=0 if a["nesterov"] else random.choice([0, uniform(0, 1)]))
    if op == "rmsprop":
        a.update(alpha=b(), momentum=random.choice([0, b()]), eps=10**uniform(-8, -2), centered=chance())
    if op == "adagrad":
        a.update(lr_decay=random.choice([0, uniform(0, 1)]), initial_accumulator_value=random.choice([0, uniform(0, 1)]),
                 eps=10**uniform(-8, -2))
    if op == "adadelta":
        a.update(rho=b(), eps=10**uniform(-7, -2))
    if op == "rprop":
        a.update(etas=[uniform(0.1, 0.9), uniform(1.05, 2)], step_sizes=[10**uniform(-6, -3), 10**uniform(-1, 2)])
    if op == "asgd":
        a.update(lambd=10**uniform(-4, -1), alpha=uniform(0.5, 1), t0=random.choice([1e6, dim(1, 5)]))
    if op != "rprop":
        a.update(weight_decay=random.choice([0, 10**uniform(-3, 0)]))
    return a if op in ("nadam", "radam") else {**a, "maximize": chance()}


def torch_optimizers():
    for op in list(TORCH) * 2:
        start, grads = gradients()
        a, made = torch_options(op), []

        def step(ws, gs):
            if not made:
                made.append(TORCH[op](ws, **a))
            for w, g in zip(ws, gs):
                w.grad = g
            made[0].step()

        trajectory("optim_" + op, start, grads, step, **a)


def torch_schedules():
    from torch.optim import lr_scheduler as of
    steps, lr, n = dim(1, 20), round(uniform(0.01, 1), 3), dim(5, 60)
    gamma, low = round(uniform(0.1, 1), 2), round(uniform(0, 0.01), 4)
    at, grow, total = sorted(random.sample(range(1, 50), 3)), dim(1, 3), dim(10, 60)
    kinds = {
        "step": (f"step_size {steps}, gamma {gamma}", lambda o: of.StepLR(o, steps, gamma)),
        "multistep": (f"milestones {at[0]},{at[1]},{at[2]} gamma {gamma}", lambda o: of.MultiStepLR(o, at, gamma)),
        "exponential": (f"gamma {gamma}", lambda o: of.ExponentialLR(o, gamma)),
        "cosine": (f"T_max {steps}, eta_min {low}", lambda o: of.CosineAnnealingLR(o, steps, low)),
        "cosine_restarts": (f"T_0 {steps}, T_mult {grow}, eta_min {low}",
                            lambda o: of.CosineAnnealingWarmRestarts(o, steps, grow, low)),
        "linear": (f"start_factor {gamma} -> {low} over {steps}", lambda o: of.LinearLR(o, gamma, low, steps)),
        "lambda_invsqrt": ("lr/sqrt(i+1)", lambda o: of.LambdaLR(o, lambda i: 1 / math.sqrt(i + 1))),
        "polynomial_like": (f"lr*max(0,1-i/{steps})^{grow}",
                            lambda o: of.LambdaLR(o, lambda i: max(0, 1 - i / steps)**grow)),
        "constant_factor": (f"factor {gamma} for {steps + 1}", lambda o: of.ConstantLR(o, gamma, steps + 1)),
        "cyclic_tri": (f"base {low} max {lr} step_size_up {steps} triangular",
                       lambda o: of.CyclicLR(o, low, lr, steps, cycle_momentum=False)),
        "onecycle": (f"max_lr {lr}, total_steps {total}, pct_start {gamma}, cos, div_factor {grow + 1}, final_div 100",
                     lambda o: of.OneCycleLR(o, lr, total, pct_start=gamma, cycle_momentum=False, div_factor=grow + 1,
                                             final_div_factor=100)),
    }
    for kind, (args, make) in kinds.items():
        o = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr)
        s, rates = make(o), []
        for i in range(total if kind == "onecycle" else n):
            rates.append(o.param_groups[0]["lr"])
            o.step()
            if i + 1 < total or kind != "onecycle":
                s.step()
        record("scheduler_" + kind, [("traj", "lr", torch.tensor(rates))], base_lr=lr, args=args)
    for mode in "rel", "abs":
        a = {"factor": uniform(0.1, 0.9), "patience": dim(0, 4), "threshold": 10**uniform(-3, -1), "threshold_mode": mode,
             "cooldown": dim(0, 4), "min_lr": random.choice([0, lr / 20]), "mode": random.choice(["min", "max"])}
        metric = 1 + (torch.arange(40) * -0.02 + rand(40) * 0.1) * (-1 if a["mode"] == "max" else 1)
        o = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr)
        s, rates = of.ReduceLROnPlateau(o, **a), []
        for m in metric:
            s.step(float(m))
            rates.append(o.param_groups[0]["lr"])
        record("scheduler_plateau", [("in", "metric", metric), ("traj", "lr", torch.tensor(rates))], base_lr=lr, **a)


def torch_clipping():
    for kind, order in ("norm2", 2.), ("norm1", 1.), ("norminf", math.inf), ("value", None), ("global_norm_tf", 2.):
        gs = [rand([dim(1, 5) for _ in range(dim(1, 3))]) for _ in range(dim(1, 4))]
        cap, ps = 10**uniform(-1, 1.5), []
        for g in gs:
            ps.append(torch.zeros_like(g, requires_grad=True))
            ps[-1].grad = g.clone()
        norm = torch.stack([g.norm(order) for g in gs]).norm(order) if order else None
        if kind == "value":
            torch.nn.utils.clip_grad_value_(ps, cap)
        elif kind == "global_norm_tf":
            for p in ps:
                p.grad *= cap / max(float(norm), cap)
        else:
            torch.nn.utils.clip_grad_norm_(ps, cap, order)
        record("clip_" + kind, [("in", f"g{k}", g) for k, g in enumerate(gs)] +
               [("exp", f"clipped{k}", p.grad) for k, p in enumerate(ps)] +
               ([("exp", "total_norm", norm)] if order else []), max=cap)
