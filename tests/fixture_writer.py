"""Writes folders of reference values that PyTorch computes, in the format of fixture_reader.h.

What build/tests/conformance replays must not depend on the seeds, shapes and names of the fixtures that it was written
with."""
import os, random, sys
import numpy as np, torch

torch.set_default_dtype(torch.float64)
blob, index = bytearray(), []
dim = random.randint
rand = torch.randn
uniform = random.uniform


def chance(k=2):
    return dim(1, k) == 1


def given(on, **items):
    return items if on else {}


def text(v):
    return ",".join(map(str, v)) if isinstance(v, list) else str(int(v) if isinstance(v, bool) else v)


def tensor(role, name, t):
    a = np.asarray(t.detach())
    a = np.array(a, dtype="<f8" if a.dtype.kind == "f" else "<i8", order="C")
    dims = ",".join(map(str, a.shape)) or "-"
    index.append(f"tensor\t{role}\t{name}\t{a.dtype.str[1:]}\t{a.ndim}\t{dims}\t{len(blob)}\t{a.size}")
    blob.extend(a.tobytes())


def evaluate(fn, tensors, cot):
    """fn of all tensors by name: its results, the loss and the gradients by name. cot is a dict, or gives a result's
    cotangent (None: it is not in the loss) by its name and value. A number "loss" is no result but joins the loss."""
    t = {k: v.detach().clone().requires_grad_(v.is_floating_point()) for k, v in tensors.items()}
    out = fn(**t)
    out = out if isinstance(out, dict) else {"y": out}
    loss = out.pop("loss") if "loss" in out and not out["loss"].ndim else torch.zeros(())
    cot = {k: c for k, v in out.items() for c in [cot.get(k) if isinstance(cot, dict) else cot(k, v)] if c is not None}
    loss = loss + sum((out[k] * c).sum() for k, c in cot.items())
    loss.backward()
    grad = {k: torch.zeros_like(v) if v.grad is None else v.grad for k, v in t.items() if v.requires_grad}
    return out, cot, loss, grad


def case(op, fn, ins={}, pars={}, frozen=(), cot=lambda name, y: torch.randn_like(y), **attrs):
    """Tensors that are `frozen` have no gradient in the case."""
    out, cot, loss, grad = evaluate(fn, {**ins, **pars}, cot)
    index.append(f"case\tc{len(index)}\t{op}\tcore")
    index.extend(f"attr\t{k}\t{text(v)}" for k, v in attrs.items())
    for role, group in ("in", ins), ("par", pars), ("cot", cot), ("out", out), ("loss", {"loss": loss}):
        for k, v in group.items():
            tensor(role, k, v)
    for role, group in ("gin", ins), ("gpar", pars):
        for k in group:
            if k in grad and k not in frozen:
                tensor(role, k, grad[k])
    index.append("end")


def record(op, tensors, **attrs):
    """A case of (role, name, tensor) that are known already."""
    index.append(f"case\tc{len(index)}\t{op}\tcore")
    index.extend(f"attr\t{k}\t{text(v)}" for k, v in attrs.items())
    for role, name, t in tensors:
        tensor(role, name, t)
    index.append("end")


def write(cases, kind):
    """FOLDER SEED...: writes FOLDER/<kind><seed> with what cases() makes for each seed."""
    for seed in sys.argv[2:]:
        root = os.path.join(sys.argv[1], kind + seed)
        torch.manual_seed(int(seed))
        random.seed(int(seed))
        blob[:], index[:] = bytes(8), []  # the reader goes by offsets: a header is not needed
        cases()
        os.makedirs(root)
        with open(os.path.join(root, "fixtures.safetensors"), "wb") as f:
            f.write(blob)
        with open(os.path.join(root, "cases.tsv"), "w") as f:
            f.write("\n".join(index) + "\n")


def read(root):
    """The cases of a folder: (name, op, attributes, {role: {name: tensor}})."""
    raw = open(os.path.join(root, "fixtures.safetensors"), "rb").read()
    for line in open(os.path.join(root, "cases.tsv")):
        f = line.rstrip("\n").split("\t")
        if f[0] == "case":
            name, op, attrs, t = f[1], f[2], {}, {role: {} for role in "in par cot out loss gin gpar traj exp".split()}
        elif f[0] == "attr":
            attrs[f[1]] = f[2]
        elif f[0] == "tensor":
            shape = [int(d) for d in f[5].split(",") if d != "-"]
            a = np.frombuffer(raw, "<" + f[3], int(f[7]), int(f[6])).reshape(shape)
            t[f[1]][f[2]] = torch.tensor(a)
        elif f[0] == "end":
            yield name, op, attrs, t
