#!/usr/bin/env python3
"""make_text_fixtures.py FOLDER SEED...: FOLDER/text_SEED.json as Keras' text utilities would have it, for random texts.
make_text_fixtures.py --check FILE: computes the cases of a file of Keras' own, and compares.

What the utilities say is written once more here; lower case and splitting are Python's own."""
import json
import math
import random
import sys
import unicodedata
from collections import Counter

FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
SYMBOLS = list("aabbcdeeefghiI ABE  \t\n'.,!?-\"\\/") + [
    "\u00e9", "\u00c9", "\u00df", "\u0130", "I", "\u03a3", "\u03a3", "\u03c3", "\u0391", "\u0301", "\u00ad", "\u2019",
    "\u0416", "\u01c5", "\u1e9e", "\u212a", "\u023a", "\u4e2d", "\u00a0", "\u3000", "\U00010400", "\U0001f600", "\u24b6",
    "\u2160", "\ufffd", "\u00aa"]
# All that have another lower case; later versions of Unicode have more than the library that is compared with it.
CAPITALS = "".join(c for c in map(chr, range(0x110000)) if c.lower() != c)
CAPITALS = CAPITALS if unicodedata.unidata_version < "16" else ""


def words(text, filters=FILTERS, lower=True, split=" "):
    text = text.lower() if lower else text
    return [w for w in "".join(split if c in filters else c for c in text).split(split) if w]


class Tokenizer:
    def __init__(self, num_words=None, filters=FILTERS, lower=True, split=" ", char_level=False, oov_token=None):
        self.limit, self.oov, self.texts = num_words or math.inf, oov_token, 0
        if char_level:
            self.cut = lambda text: list(text.lower() if lower else text)
        else:
            self.cut = lambda text: words(text, filters, lower, split)
        self.counts, self.docs = {}, Counter()

    def fit(self, texts):
        for text in texts:
            seq = self.cut(text)
            for w in seq:
                self.counts[w] = self.counts.get(w, 0) + 1
            self.docs.update(set(seq))
            self.texts += 1
        order = sorted(self.counts, key=lambda w: -self.counts[w])
        self.index = {w: i for i, w in enumerate(([] if self.oov is None else [self.oov]) + order, 1)}
        self.word = {i: w for w, i in self.index.items()}

    def id(self, i):
        return i if i and i < self.limit else self.index.get(self.oov)

    def sequences(self, texts):
        return [[i for i in (self.id(self.index.get(w)) for w in self.cut(text)) if i] for text in texts]

    def back(self, sequences):
        ids = [[self.id(i if i in self.word else None) for i in seq] for seq in sequences]
        return [" ".join(self.word[i] for i in seq if i) for seq in ids]

    def matrix(self, texts, mode):
        columns = self.limit if self.limit < math.inf else len(self.index) + 1
        rows = []
        for seq in self.sequences(texts):
            count, row = Counter(seq), [0.0] * columns
            for i, c in count.items():
                if i < columns:
                    found = self.docs[self.word[i]] if i in self.word else 0
                    row[i] = {"binary": 1.0, "count": float(c), "freq": c / len(seq),
                              "tfidf": (1 + math.log(c)) * math.log(1 + self.texts / (1 + found))}[mode]
            rows.append(row)
        return rows


def pad(sequences, maxlen=None, padding="pre", truncating="pre", value=0, dtype="int32"):
    maxlen = maxlen or max(map(len, sequences))
    number = int if dtype.startswith("int") else float

    def fill(x, like):
        return [fill(x, y) for y in like] if isinstance(like, list) else number(x)

    def convert(x):
        return [convert(y) for y in x] if isinstance(x, list) else number(x)
    step = next((s[0] for s in sequences if s), 0)
    out = []
    for s in sequences:
        kept = convert(s[-maxlen:] if truncating == "pre" else s[:maxlen])
        added = [fill(value, step) for _ in range(maxlen - len(kept))]
        out.append(added + kept if padding == "pre" else kept + added)
    return out


def flat(x):
    return [z for y in x for z in flat(y)] if isinstance(x, list) else [x]


def categorical(y, num_classes=None):
    n = num_classes or max(flat(y)) + 1

    def vectors(x):
        return [vectors(z) for z in x] if isinstance(x, list) else [float(k == x) for k in range(n)]

    def shape(x):
        return [len(x)] + shape(x[0]) if isinstance(x, list) else []

    def squeeze(x):
        return x[0] if not isinstance(x[0], list) else [squeeze(z) for z in x]
    return vectors(squeeze(y) if len(shape(y)) > 1 and shape(y)[-1] == 1 else y)


def tokenizer_case(file, args):
    """What Keras is given has `split` for each space; the file does not say so."""
    space = args.get("split", " ")
    texts, new = ([t.replace(" ", space) for t in file[k]] for k in ("texts", "new_texts"))
    t = Tokenizer(**args)
    t.fit(texts)
    seq = t.sequences(texts)
    new_seq = t.sequences(new)
    case = {"args": args, "word_index": t.index, "word_counts": t.counts, "word_docs": dict(t.docs),
            "document_count": t.texts, "sequences": seq, "new_sequences": new_seq, "back_to_text": t.back(new_seq),
            "padded_pre": pad(seq), "padded_post_maxlen4": pad(seq, 4, "post", "post"),
            "padded_pre_maxlen3": pad(seq, 3)}
    if not args.get("char_level"):
        case["matrix"] = {m: t.matrix(texts, m) for m in ("binary", "count", "freq", "tfidf")}
    return case


def windows_case(n, length, stride, sampling_rate, batch_size):
    ends = list(range(length, n, stride))
    rows = [[float(x) for x in range(e - length, e, sampling_rate)] for e in ends]
    cut = range(0, len(ends), batch_size)
    return {"n": n, "length": length, "stride": stride, "sampling_rate": sampling_rate, "batch_size": batch_size,
            "batches": [[rows[i:i + batch_size], [10.0 * e for e in ends[i:i + batch_size]]] for i in cut]}


def random_text():
    return "".join(random.choice(SYMBOLS) for _ in range(random.randint(0, 60)))


def some(**options):
    return {k: random.choice(v) for k, v in options.items() if random.random() < 0.4}


def make(path, seed):
    random.seed(seed)
    file = {"texts": [random_text() for _ in range(random.randint(1, 9))] + ["a\u03a3 \u0391\u0301\u03a3."] +
            [CAPITALS] * (seed % 4 == 1),
            "new_texts": [random_text() for _ in range(3)]}
    file["tokenizer"] = [
        tokenizer_case(file, some(num_words=[None, 1, 2, 5, 10, 400], lower=[True, False], split=[",", "ab", "\u4e2d", "''"],
                                  filters=["", ".,!", "e\u00e9\u03c3\U0001f600", "\ufffd'"], char_level=[True, True, False],
                                  oov_token=[None, "<OOV>", "a", "\u03c3", ""]))
        for _ in range(30)]
    file["word_sequence"] = [{"text": t, "out": words(t)} for t in file["texts"]]
    file["pad_sequences"], file["to_categorical"] = [], []
    for _ in range(20):
        width = random.choice([0, 0, 2])
        number = (lambda: random.randint(-9, 9)) if not width else (lambda: [random.uniform(-9, 9) for _ in range(width)])
        sequences = [[number() for _ in range(random.randint(0, 6))] for _ in range(random.randint(1, 5))] + [[number()]]
        args = some(maxlen=[None, 1, 2, 3, 9], padding=["pre", "post"], truncating=["pre", "post"], value=[-1, 0.5, 2.75])
        args["dtype"] = random.choice(["int32", "float32", "float64"])
        file["pad_sequences"].append({"sequences": sequences, "args": args, "out": pad(sequences, **args)})
        y = [[random.randint(0, 4) for _ in range(3)] for _ in range(2)]
        y = random.choice([y, y[0], [[z] for z in y[0]], [y, y], 3])
        case = {"y": y, "num_classes": random.choice([None, 5, 7])}
        file["to_categorical"].append({**case, "out": categorical(flat(y) if y == 3 else y, case["num_classes"])})
        if y == 3:
            file["to_categorical"][-1]["out"] = file["to_categorical"][-1]["out"][0]
    file["timeseries_generator"] = windows_case(random.randint(12, 40), random.randint(1, 9), random.randint(1, 4),
                                                random.randint(1, 3), random.randint(1, 8))
    with open(path, "w", encoding="utf-8") as f:
        json.dump(file, f, ensure_ascii=random.random() < 0.5)


def check(path):
    file = json.load(open(path, encoding="utf-8"))
    wrong = [("tokenizer", i, k) for i, c in enumerate(file["tokenizer"])
             for k, v in tokenizer_case(file, c["args"]).items() if k != "matrix" and v != c[k]]
    wrong += [("matrix", i, m) for i, c in enumerate(file["tokenizer"]) if "matrix" in c
              for m, v in tokenizer_case(file, c["args"])["matrix"].items()
              if any(abs(a - b) > 1e-12 * abs(b) for a, b in zip(flat(v), flat(c["matrix"][m])))]
    wrong += [("pad", i) for i, c in enumerate(file["pad_sequences"]) if pad(c["sequences"], **c["args"]) != c["out"]]
    wrong += [("categorical", i) for i, c in enumerate(file["to_categorical"])
              if categorical(c["y"], c.get("num_classes")) != c["out"]]
    wrong += [("words", i) for i, c in enumerate(file["word_sequence"]) if words(c["text"]) != c["out"]]
    w = file["timeseries_generator"]
    if windows_case(*(w[k] for k in ("n", "length", "stride", "sampling_rate", "batch_size")))["batches"] != w["batches"]:
        wrong.append("windows")
    print(wrong or "as Keras has it")
    return bool(wrong)


if __name__ == "__main__":
    if sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2]))
    for s in sys.argv[2:]:
        make(f"{sys.argv[1]}/text_{s}.json", int(s))
