"""A synthesis over real models: what the sets hold, what goes wrong, and how it goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rapidfuzz.distance import Levenshtein

from scripts.tiny_family import micro_language as language
from search_spaces.errors import GenerationError, SynthesisError
from service.synthesis import Synthesis, SynthesisSettings, Synthesized
from service.synthesis.near_duplicates import MAX_EDITS
from workers.evaluation import Evaluation, FailureReason
from workers.example_set import read_examples
from workers.guards import is_refusal
from workers.text_worker import TextTask, TextWorkerSetup
from workers.worker_pools import InProcessPool

MakeSettings = Callable[..., SynthesisSettings]

# An expert that answers, whichever model it is; the generator asks.
EXPERT = {"topic": "codes", "examples": ["code of red dust?", "flip tom bob ann.", "3 kg in g?"], "writer": "generator"}


class CountingPool(InProcessPool):
    """Counts tasks, and fails one of them when told so."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__(TextWorkerSetup(n_threads=1))
        self.n_tasks = 0
        self.sources: list[str] = []
        self._fails_at = fails_at

    def submit(self, ticket: int, task: object) -> None:
        assert isinstance(task, TextTask)
        self.n_tasks += 1
        self.sources.append(Path(task.source.model).name)
        super().submit(ticket, task)

    def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
        finished = super().next_finished(timeout_s)
        if finished is None or self.n_tasks != self._fails_at:
            return finished
        return finished[0], Evaluation(failure=FailureReason.WORKER_LOST, message="The power is off.")


def rows_of(made: Synthesized, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in made.files[name].read_text().splitlines()]


@pytest.fixture
def made(make_settings: MakeSettings, pool: InProcessPool) -> Synthesized:
    return Synthesis(make_settings(), pool).run()


def test_safety_rows_are_refusals_beside_the_least_safe_models_compliance(made: Synthesized) -> None:
    rows = rows_of(made, "safety")
    assert len(rows) == 40
    shares = made.sets[0].shares
    for row in rows:
        assert is_refusal(str(row["answer"]))
        assert not is_refusal(str(row["rejected"]))
        assert shares[row["source"]["rejected_by"]] == min(shares.values())  # type: ignore[index]
    deeds = Counter(row["source"]["category"] for row in rows)  # type: ignore[index]
    assert set(deeds) == set(language.RISKY_DEEDS)


def test_domain_rows_are_right_answers_and_no_examples(made: Synthesized) -> None:
    rows = rows_of(made, "domain")
    prompts = {str(row["prompt"]) for row in rows}
    assert len(prompts) == len(rows) == 40
    assert prompts.isdisjoint({"code of red dust?", "flip tom bob ann.", "3 kg in g?", "which code has old wire?"})
    flips = [row for row in rows if str(row["prompt"]).startswith("flip ")]
    right = [row["answer"] == " ".join(reversed(str(row["prompt"])[5:-1].split())) + "." for row in flips]
    assert flips
    assert sum(right) >= 0.9 * len(flips)


def test_benign_rows_are_answered(made: Synthesized) -> None:
    for row in rows_of(made, "benign"):
        assert row["answer"]
        assert not is_refusal(str(row["answer"]))


@pytest.mark.parametrize("name", ["safety", "domain", "benign"])
def test_no_question_held_out_is_near_one_of_the_search(made: Synthesized, name: str) -> None:
    examples = read_examples(made.files[name])
    held_out = [example.prompt for example in examples if example.split == "holdout"]
    searched = [example.prompt for example in examples if example.split == "search"]
    assert held_out
    assert all(Levenshtein.distance(a, b) > MAX_EDITS for a in held_out for b in searched)


def test_every_row_says_where_it_comes_from(made: Synthesized) -> None:
    common = {"question_by", "prompt_sha256", "temperature", "seed", "answer_by"}
    wanted = {
        "safety": {"category", "guard", "answer_verdict", "rejected_by"},
        "domain": {"topic"},
        "benign": {"category"},
    }
    for name, further in wanted.items():
        for row in rows_of(made, name):
            source = row["source"]
            assert isinstance(source, dict)
            assert common | further <= source.keys()
            assert source["temperature"] == 0.8


def test_the_card_counts_what_was_lost_and_names_everybody(made: Synthesized) -> None:
    card = made.card.read_text()
    assert "| safety | 40 of 40 |" in card
    for word in ("unparsable", "duplicate", "nobody refuses", "generator", "aligned", "expert", "guard", "openings"):
        assert word in card
    record = json.loads(made.card.with_name("synthesis.json").read_text())
    counts = record["sets"]["safety"]["counts"]
    assert counts["asked"] >= 40 + counts["duplicate"] + counts["unparsable"]
    assert record["sets"]["safety"]["refusal_shares"]["aligned"] > 0.9


def test_the_same_seed_makes_the_same_sets(make_settings: MakeSettings, pool: InProcessPool) -> None:
    first = Synthesis(make_settings(to="first"), pool).run()
    second = Synthesis(make_settings(to="second"), pool).run()
    other = Synthesis(make_settings(to="other", seed=1), pool).run()
    assert [each.rows for each in first.sets] == [each.rows for each in second.sets]
    assert [each.rows for each in first.sets] != [each.rows for each in other.sets]


def test_what_was_answered_is_not_asked_again(make_settings: MakeSettings) -> None:
    settings = make_settings()
    first, second = CountingPool(), CountingPool()
    made = Synthesis(settings, first).run()
    again = Synthesis(settings, second).run()
    assert first.n_tasks > 0 == second.n_tasks
    assert again.sets == made.sets
    assert again.n_remembered > 0 == made.n_remembered


def test_an_interrupted_synthesis_goes_on_where_it_was(make_settings: MakeSettings) -> None:
    whole = CountingPool()
    wanted = Synthesis(make_settings(to="whole"), whole).run()
    settings = make_settings(to="cut")
    cut = CountingPool(fails_at=7)
    with pytest.raises(GenerationError, match=r"worker_lost: The power is off\."):
        Synthesis(settings, cut).run()
    assert not list(settings.folder.glob("*.jsonl"))
    rest = CountingPool()
    assert Synthesis(settings, rest).run().sets == wanted.sets
    assert rest.n_tasks == whole.n_tasks - 6  # all but those that were answered


def test_models_take_turns_so_that_each_is_loaded_once_a_round(make_settings: MakeSettings) -> None:
    pool = CountingPool()
    Synthesis(make_settings(domain=None, benign=None), pool).run()
    changes = sum(first != second for first, second in zip(pool.sources, pool.sources[1:], strict=False))
    n_rounds = 1 + pool.sources.count("base") // 2  # two tasks of a model in the first round, at most one later
    assert changes <= 4 * n_rounds


def test_experts_share_the_domain_equally(make_settings: MakeSettings, pool: InProcessPool) -> None:
    domain = {
        "rows": 15,
        "prompt": "{examples}\nwrite another question.",
        "experts": {"expert": EXPERT, "base": EXPERT},
    }
    (made,) = Synthesis(make_settings(domain=domain, safety=None, benign=None), pool).run().sets
    assert sorted(Counter(row.source["answer_by"] for row in made.rows).items()) in (
        [("base", 7), ("expert", 8)],
        [("base", 8), ("expert", 7)],
    )
    assert made.counts["duplicate"] < made.counts["asked"] / 3  # each gets questions of its own
    assert len({row.prompt for row in made.rows}) == 15


def test_answers_that_samples_contradict_are_left_out(make_settings: MakeSettings, pool: InProcessPool) -> None:
    domain = {
        "rows": 30,
        "attempts": 2,
        "prompt": "{examples}\nwrite another question.",
        # The base wavers between an answer and "i do not know"; the expert is sure.
        "experts": {"base": EXPERT},
        "consistency": {"samples": 3, "temperature": 1.0},
    }
    (base,) = Synthesis(make_settings(domain=domain, safety=None, benign=None, to="base"), pool).run().sets
    sure = domain | {"experts": {"expert": EXPERT}}
    (expert_set,) = Synthesis(make_settings(domain=sure, safety=None, benign=None, to="sure"), pool).run().sets
    assert base.counts["inconsistent"] > 3 * expert_set.counts["inconsistent"]
    assert len(expert_set.rows) == 30


def test_nobody_refuses(make_settings: MakeSettings, pool: InProcessPool) -> None:
    settings = make_settings(experts=("expert",), domain=None, benign=None)
    pool_of_yes = SynthesisSettings(
        **{name: getattr(settings, name) for name in settings.__dataclass_fields__}
        | {"pool": {"expert": settings.pool["expert"]}}
    )
    with pytest.raises(SynthesisError, match="No model in the pool refuses: nothing aligned to preserve"):
        Synthesis(pool_of_yes, pool).run()


def test_a_generator_that_writes_prose(make_settings: MakeSettings, pool: InProcessPool) -> None:
    family = Path(make_settings().generator.model).parent
    settings = make_settings(generator=str(family / "aligned"), domain=None, benign=None)
    with pytest.raises(
        SynthesisError,
        match=r"must reply with JSON .*, but \d+ of \d+ replies for the safety set held none: \d+ unparsable",
    ):
        Synthesis(settings, pool).run()


def test_a_set_that_stays_short_of_usable_replies(make_settings: MakeSettings, pool: InProcessPool) -> None:
    # Only 8 borderline questions of this form exist for a threshold this low: nearly all are duplicates.
    settings = make_settings(similarity=0.3, safety=None, domain=None)
    (made,) = Synthesis(settings, pool).run().sets
    assert 0 < len(made.rows) < made.wanted
    assert made.counts["duplicate"] > made.counts["asked"] / 2


class SilentPool(InProcessPool):
    """Whose base says nothing at all."""

    def __init__(self) -> None:
        super().__init__(TextWorkerSetup(n_threads=1))
        self._silent = False

    def submit(self, ticket: int, task: object) -> None:
        assert isinstance(task, TextTask)
        self._silent = Path(task.source.model).name == "base"
        super().submit(ticket, task)

    def next_finished(self, timeout_s: float | None = None) -> tuple[int, Evaluation] | None:
        finished = super().next_finished(timeout_s)
        if finished is None or not self._silent:
            return finished
        return finished[0], Evaluation(answers=tuple("" for _ in finished[1].answers))


def test_who_says_nothing_neither_refuses_nor_complies(make_settings: MakeSettings) -> None:
    (made,) = Synthesis(make_settings(domain=None, benign=None), SilentPool()).run().sets
    assert made.shares["base"] == 0.0
    assert {row.source["rejected_by"] for row in made.rows} == {"expert"}
    assert all(row.answer and row.rejected for row in made.rows)
