"""Scores of the credit models by a second, independent implementation. Standard library only."""

import csv
import json
import math
import pathlib
import struct

DATA = pathlib.Path(__file__).parent / "../../data"
MODELS = {
    "v1": "credit_v1_logistic.json",
    "v2": "credit_v2_gbt.json",
    "v3": "credit_v3_skewed_gbt.json",
}
TEXT = {"home", "marital", "records", "job"}


def single(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def leaf(tree, at, x):
    """The value that a tree gives x (None where missing), found by recursion."""
    if len(tree[at]) == 1:
        return tree[at][0]
    feature, threshold, left, right, missing_left = tree[at]
    v = x[feature]
    go_left = missing_left == 1 if v is None else single(v) < single(threshold)
    return leaf(tree, left if go_left else right, x)


def score(model, applicant):
    x = []
    for name in model["features"]:
        v = applicant[name]
        known = model["categories"].get(name)
        if known is not None:
            v = known.index(v) if v in known else None
        x.append(v)
    if model["kind"] == "logistic":
        margin = model["bias"]
        for v, fill, mean, scale, weight in zip(
            x, model["fill"], model["mean"], model["scale"], model["weights"]
        ):
            margin += weight * ((fill if v is None else v) - mean) / scale
    else:
        margin = model["base_margin"]
        for tree in model["trees"]:
            margin += leaf(tree, 0, x)
    return 1 / (1 + math.exp(-margin))


def applicants():
    with open(DATA / "credit_test.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    parsed = []
    for row in rows:
        del row["status"]
        parsed.append(
            {k: (v or None) if k in TEXT else (float(v) if v else None) for k, v in row.items()}
        )
    def missing(name):
        return next(i for i, r in enumerate(parsed) if r[name] is None)

    for i in [0, 1, 17, 500, 1199, missing("income"), missing("assets"), missing("debt")]:
        yield f"row {i}", parsed[i]
    yield "nothing known", {k: None for k in parsed[0]}
    strange = dict(parsed[0])
    strange.update({k: "never seen" for k in TEXT})
    yield "unknown categories", strange
    edge = dict(parsed[0])
    edge.update(assets=7499.99999999, amount=1014.99999999, expenses=90.99999999, income=73.49999999)
    yield "just below thresholds", edge


def main():
    models = {k: json.loads((DATA / v).read_text()) for k, v in MODELS.items()}
    out = [
        {
            "name": name,
            "applicant": a,
            "p_bad": {version: score(m, a) for version, m in models.items()},
        }
        for name, a in applicants()
    ]
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
