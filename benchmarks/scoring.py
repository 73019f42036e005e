"""How much of the speed of bare forward passes is left when likelihoods are scored.

Both loops read the same tokens in the same batches, in turns: the bare one calls `model(input_ids)` and looks at
nothing; the scorers tokenize beforehand, ask for the answers' logits only, and gather likelihoods from them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch
from transformers.utils.logging import disable_progress_bar

from workers.example_set import Example, read_examples
from workers.inference_engines import TokenizedPair
from workers.inference_engines.batching import length_sorted_batches
from workers.inference_engines.opening import load_engine
from workers.inference_engines.transformers_engine import TransformersEngine
from workers.scorers import AnswerLikelihoodScorer, ExactMatch, RefusalMargin, Scorer

# What is promised: the share of the bare loop's tokens per second.
LIMIT = 0.9
SETS = Path(__file__).parents[1] / "scripts" / "real_trio"


def bare_loop(engine: TransformersEngine, pairs: Sequence[TokenizedPair]) -> Callable[[], None]:
    """Forward passes over the same batches, padded on the right."""
    batches = []
    for batch in length_sorted_batches([len(pair) for pair in pairs], engine.max_batch_tokens):
        width = max(len(pairs[i]) for i in batch)
        rows = [(*pairs[i].prompt, *pairs[i].answer, *[0] * (width - len(pairs[i]))) for i in batch]
        batches.append(torch.tensor(rows).to(engine.device))

    @torch.inference_mode()
    def run() -> None:
        for tokens in batches:
            engine.model(input_ids=tokens)

    return run


def tokens_of(engine: TransformersEngine, examples: Sequence[Example], *, with_rejected: bool) -> list[TokenizedPair]:
    """What a likelihood scorer reads of a set."""
    pairs = [engine.tokenize(example.prompt, example.answer) for example in examples]
    rejected = [engine.tokenize(example.prompt, example.rejected) for example in examples] if with_rejected else []
    return [*pairs, *rejected]


def timed_s(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Time every likelihood scorer against the bare loop, and print tokens per second and the share."""
    parser = argparse.ArgumentParser(description="Speed of likelihood scorers as a share of bare forward passes.")
    parser.add_argument("model", type=Path, help="folder of a checkpoint, such as build/real-trio/base")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=48, help="of each set")
    options = parser.parse_args()
    disable_progress_bar()  # type: ignore[no-untyped-call]
    engine = load_engine(str(options.model), "float32", "cpu")
    measured: dict[type[Scorer], tuple[Example, ...]] = {
        AnswerLikelihoodScorer: read_examples(SETS / "domain.jsonl")[: options.examples],
        ExactMatch: read_examples(SETS / "domain.jsonl")[: options.examples],
        RefusalMargin: read_examples(SETS / "safety.jsonl")[: options.examples],
    }
    print(f"{'scorer':20} {'tokens':>7} {'tokens/s':>9} {'bare':>9} {'share':>6}   (limit {LIMIT})")
    shares = []
    for scorer_class, examples in measured.items():
        scorer = scorer_class(examples, engine)
        pairs = tokens_of(engine, examples, with_rejected=scorer_class is RefusalMargin)
        bare = bare_loop(engine, pairs)
        n_tokens = sum(map(len, pairs))
        for work in (scorer.per_example, bare):
            work()
        # In turns: what else the machine does falls on both.
        rounds = [(timed_s(scorer.per_example), timed_s(bare)) for _ in range(options.rounds)]
        scored_s, bare_s = (median(times) for times in zip(*rounds, strict=True))
        share = median(b / s for s, b in rounds)
        shares.append(share)
        print(
            f"{scorer_class.name:20} {n_tokens:7} {n_tokens / scored_s:9.0f} {n_tokens / bare_s:9.0f} {share:6.2f}",
            flush=True,
        )
    print(f"lowest share {min(shares):.2f}: {'kept' if min(shares) >= LIMIT else 'MISSED'}")


if __name__ == "__main__":
    main()
