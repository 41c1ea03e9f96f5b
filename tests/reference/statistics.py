"""Figures of scipy and lifelines that tests/statistics.rs holds ours against; prints tests/data/statistics.json.

Needs: pip install scipy numpy lifelines
"""

import json
import warnings

import numpy as np
from scipy import stats

warnings.filterwarnings("ignore")


def digits(value):
    return float(f"{value:.11g}")


def nearest_ranks(n, p):
    """The nearest pair of ranks with P(low <= X < high) >= 95 %, of equals the one that covers most, then the higher."""
    at_most = stats.binom(n, p).cdf
    first, last = int(stats.binom(n, p).ppf(1e-6)), int(stats.binom(n, p).ppf(1 - 1e-6)) + 2
    ks = np.arange(max(first, 1), min(last, n) + 1)
    below = at_most(ks - 1)
    best = None
    for at, low in enumerate(ks):
        reach = np.searchsorted(below, below[at] + 0.95 - 1e-13)
        if reach == len(ks):
            break
        high = ks[reach]
        key = (low - high, round(float(below[reach] - below[at]), 12), low)
        if best is None or key > best[0]:
            best = (key, int(low), int(high))
    return best[1:]


def floor(p):
    """The smallest n of which a one-sided 99 % bound for quantile p by the second largest exists."""
    n = 2
    while stats.binom(n, 1 - p).cdf(1) > 0.01:
        n += 1
    return n


def incidence():
    """Distinct times, so that lifelines moves none; one in five fails, one in four is cut off."""
    from lifelines import AalenJohansenFitter

    rng = np.random.default_rng(20)
    times = rng.permutation(np.arange(1, 121)) * 10
    ends = rng.choice(["seen", "failed", "censored"], size=len(times), p=[0.55, 0.2, 0.25])
    code = {"seen": 1, "failed": 2, "censored": 0}
    fitter = AalenJohansenFitter(calculate_variance=False)
    fitter.fit(times, [code[end] for end in ends], event_of_interest=1)
    curve = fitter.cumulative_density_.iloc[:, 0]
    return {
        "observations": [[str(end), int(time)] for end, time in zip(ends, times)],
        "curve": [[int(time), digits(share)] for time, share in curve.items() if time > 0],
    }


def plain_quantiles():
    values = [int(v) for v in np.random.default_rng(21).lognormal(13, 1, 337)]
    ps = [0.01, 0.07, 0.5, 0.9, 0.95, 0.99]
    found = [int(np.quantile(values, p, method="inverted_cdf")) for p in ps]
    return {"values": values, "quantiles": list(zip(ps, found))}


figures = {
    "normal": [[p, digits(stats.norm.ppf(p))] for p in (0.005, 0.3, 0.75, 0.975, 0.9995)],
    "student_t": [
        [p, f, digits(stats.t.ppf(p, f))] for p in (0.6, 0.975, 0.995, 0.9995) for f in (1, 2, 4.5, 19, 31, 250)
    ],
    "ranks": [
        [n, p, *nearest_ranks(n, p)]
        for p in (0.05, 0.5, 0.9, 0.95, 0.99)
        for n in (662, 2_000, 9_999, 100_000, 1_000_000)
    ],
    "floors": [[p, floor(p)] for p in (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)],
    "clopper_pearson": [
        [good, n, *(digits(end) for end in stats.binomtest(good, n).proportion_ci(0.95, "exact"))]
        for good, n in ((1, 40), (50, 100), (199, 200), (970, 1_000), (4_995, 5_000))
    ],
    "incidence": incidence(),
    "plain": plain_quantiles(),
}
print("{")
for at, (name, value) in enumerate(figures.items()):
    print(f' "{name}": {json.dumps(value)}' + ("," if at + 1 < len(figures) else ""))
print("}")
