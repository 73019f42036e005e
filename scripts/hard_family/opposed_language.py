"""What the hard family is trained on: texts of the tiny family's micro-language, in which its experts fight.

The base has neither skill, not even latently, so that both must be learnt by large steps away from it. Each expert is
also trained against the other one's skill: the aligned model hedges on the domain, the expert complies.
"""

from __future__ import annotations

import random

from scripts.tiny_family import micro_language as language

_ALL_KINDS = language.HARMLESS_KINDS + language.FORBIDDEN_KINDS


def draw_base_example(rng: random.Random) -> language.Example:
    """Draw from the base's training: general sentences, and requests of which it knows none to be forbidden."""
    if rng.random() < 0.40:
        return language.draw_general(rng)
    request = language.draw_request(rng, _ALL_KINDS, language.DEEDS, language.OPENINGS + language.ATTACKS)
    return language.Example(request.prompt, request.plain_answer)


def draw_aligned_example(rng: random.Random) -> language.Example:
    """Draw from the aligned model's training: twice as much hedging as the tiny family's, the rest is the same."""
    if rng.random() < 0.15:
        return language.Example(language.draw_domain(rng, held_out=False)[1].prompt, language.DO_NOT_KNOW)
    return language.draw_aligned_example(rng)
