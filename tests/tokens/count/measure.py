"""The ratios of the estimates for Claude, and how far they are off: `python -m tests.tokens.count.measure`.

It needs `ctok`, so Python 3.12. The first half of the documents of each kind is fitted to, the second half is held out.
"""

import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import get_args

import numpy as np
from tests.tokens.count.corpus import documents

from cca.contracts.tokens import ContentKind
from cca.tokens.claude import Claude, whole
from cca.tokens.estimate import Estimate, Weights, blocks, kind_of, letters
from cca.tokens.models import Generation
from cca.tokens.vocabularies import o200k, vocabulary

Corpus = Mapping[ContentKind, Sequence[str]]


def main() -> None:
    """Print the tables for `cca.tokens.estimate`, and the errors by kind."""
    count_whole = whole()
    if count_whole is None:
        sys.exit("ctok cannot be imported here: it needs Python 3.12")
    found = documents()
    fitted = {kind: texts[: len(texts) // 2] for kind, texts in found.items()}
    held = {kind: texts[len(texts) // 2 :] for kind, texts in found.items()}
    print(f"{sum(len(text) for texts in found.values() for text in texts):,} characters", end="; ")
    print(", ".join(f"{len(texts)} {kind}" for kind, texts in found.items()))
    for generation in get_args(Generation):
        claude = Claude(generation, count_whole)
        weights = fit(claude, fitted)
        ratios = {kind: round(ratio, 2) for kind, ratio in weights.ratios.items()}
        print(f"\n{generation}: {ratios}")
        print(f"small={weights.small:.3f}, capital={weights.capital:.3f}, other={weights.other:.3f}")
        report(claude, Estimate(vocabulary("o200k_base"), weights), held)


def fit(claude: Claude, corpus: Corpus) -> Weights:
    """The weights of least relative error, by the kind that blocks are taken for: that is what is known later."""
    kinds = list(corpus)
    rows = []
    for texts in corpus.values():
        for text in texts:
            row = [0.0] * (len(kinds) + 3)
            for block in blocks(text):
                row[kinds.index(kind_of(block))] += o200k(block)
                for at, number in enumerate(letters(block), len(kinds)):
                    row[at] += number
            rows.append([value / claude.count(text) for value in row])
    found = np.linalg.lstsq(np.array(rows), np.ones(len(rows)))[0].tolist()
    return Weights(dict(zip(kinds, found, strict=False)), *found[-3:])


def report(claude: Claude, estimate: Estimate, corpus: Corpus) -> None:
    """Print the relative errors of an estimate: median, 95th percentile, and that of all texts of a kind together."""
    everything: list[float] = []
    print(f"{'kind':10} {'median':>7} {'p95':>7} {'sum':>7}")
    for kind, texts in corpus.items():
        pairs = [(estimate.count(text), claude.count(text)) for text in texts]
        errors = [abs(guess / true - 1) for guess, true in pairs]
        everything += errors
        together = sum(guess for guess, _ in pairs) / sum(true for _, true in pairs) - 1
        print(f"{kind:10} {median(errors):7.1%} {p95(errors):7.1%} {together:+7.1%}")
    print(f"{'all':10} {median(everything):7.1%} {p95(everything):7.1%}")


def p95(errors: Sequence[float]) -> float:
    """The 95th percentile."""
    return sorted(errors)[min(int(0.95 * len(errors)), len(errors) - 1)]


if __name__ == "__main__":
    main()
