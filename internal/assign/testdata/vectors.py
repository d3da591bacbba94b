#!/usr/bin/env python3
"""Writes vectors.json: the assignment of units to arms, computed without any code of Sluice.

The hash is the reference implementation's command line (xxhsum -H3, XXH3-64 with seed 0; 0.8.1 of
Debian's package xxhash). Intervals and arms are computed here with Python's integers.

    python3 vectors.py > vectors.json
"""
import json
import subprocess
import tempfile
import os

WHOLE, CIRCLE = 10**6, 2**64


def xxh3(data: bytes) -> int:
    with tempfile.NamedTemporaryFile(delete=False) as f:
        f.write(data)
    try:
        out = subprocess.run(["xxhsum", "-H3", f.name], check=True, capture_output=True, text=True).stdout
    finally:
        os.unlink(f.name)
    return int(out.strip().split("= ")[1], 16)


def unit_hash(salt: bytes, unit: bytes) -> int:
    return xxh3(salt + b"\0" + unit)


def want(shares):
    """Hash values per arm: the floor for each; the rest is live's, or the last non-empty arm's."""
    sizes = [s * CIRCLE // WHOLE for s in shares]
    taker = 0 if shares[0] else max(i for i, s in enumerate(shares) if s)
    sizes[taker] += CIRCLE - sum(sizes)
    return sizes


def reshape(cuts, shares):
    """cuts: list of (first, end, arm), end exclusive. The obvious way: free, then hand out."""
    left, kept, freed = want(shares) + [0] * 8, [], []
    for first, end, arm in cuts:
        if arm:
            n = min(left[arm], end - first)
            left[arm] -= n
            kept.append((first, first + n, arm))
            freed.append((first + n, end))
    for first, end, arm in reversed(cuts):
        if not arm:
            n = min(left[0], end - first)
            left[0] -= n
            kept.append((end - n, end, 0))
            freed.append((first, end - n))
    freed = sorted(f for f in freed if f[0] < f[1])
    for arm in list(range(1, len(left))) + [0]:
        while left[arm]:
            first, end = freed.pop(0)
            n = min(left[arm], end - first)
            left[arm] -= n
            kept.append((first, first + n, arm))
            if first + n < end:
                freed.insert(0, (first + n, end))
    merged = []
    for first, end, arm in sorted(k for k in kept if k[0] < k[1]):
        if merged and merged[-1][2] == arm:
            merged[-1] = (merged[-1][0], end, arm)
        else:
            merged.append((first, end, arm))
    return merged


def intervals(cuts):
    return [{"last": str(end - 1), "arm": arm} for _, end, arm in cuts]


def arm_of(cuts, h):
    return next(arm for first, end, arm in cuts if first <= h < end)


SALTS = ["credit/1/5d1f0c", "s", "", "模型/7"]
UNITS = [b"", b"a", b"user-1", b"42", "用户-八".encode(), b"\x00\xff\x00", b"3f2a9c1e-6f7b-4b57-9f5e-0d3b8a1c2e4f",
         b"x" * 16, b"x" * 17, b"y" * 128, b"y" * 129, b"z" * 240, b"z" * 241, b"w" * 1024, b"w" * 5000]
STEPS = [[[800000, 200000], [500000, 500000], [50000, 950000], [1000000, 0]],
         [[999999, 1], [0, 1000000], [750001, 249999]],
         [[900000, 50000, 50000], [600000, 250000, 150000], [700000, 50000, 250000]],
         [[0, 333333, 333333, 333334], [100000, 300000, 300000, 300000]]]


def main():
    tables = []
    for steps in STEPS:
        cuts = [(0, CIRCLE, 0)]
        for shares in steps:
            before, cuts = cuts, reshape(cuts, shares)
            tables.append({"from": intervals(before), "shares": shares, "intervals": intervals(cuts), "cuts": cuts})
    units = []
    for salt in SALTS:
        for unit in UNITS:
            h = unit_hash(salt.encode(), unit)
            units.append({"salt": salt, "unit": unit.hex(), "hash": str(h),
                          "bin": unit_hash(b"sluice/bin", unit) >> 54,
                          "mirrorHash": str(unit_hash(salt.encode() + b"/mirror", unit)),
                          "arms": [arm_of(t["cuts"], h) for t in tables]})
    for t in tables:
        del t["cuts"]
    head = {"hash": "XXH3-64, seed 0, of salt + 0x00 + unit; unit in hex; numbers above 2^53 are strings",
            "madeWith": "vectors.py, xxhsum 0.8.1"}
    rows = lambda xs: "[\n  " + ",\n  ".join(json.dumps(x, ensure_ascii=False) for x in xs) + "\n ]"
    print("{%s,\n \"tables\": %s,\n \"units\": %s\n}" % (json.dumps(head)[1:-1], rows(tables), rows(units)))


if __name__ == "__main__":
    main()
