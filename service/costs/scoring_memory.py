"""What a batch needs while a candidate is scored, at most: logits, keys and values, one layer's activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What is as wide as the hidden state at one time: two residuals, the normed one, queries, keys and values, the output.
_N_HIDDEN = 7
# Of an MLP: gate, up, and their product.
_N_INTERMEDIATE = 3
_FLOAT32_BYTES = 4
# Chosen names of the same number in configurations of transformers.
_ACTIVE_EXPERTS = ("num_experts_per_tok", "moe_topk")


@dataclass(frozen=True, slots=True)
class ScoringMemory:
    """Bytes of a batch of `max_batch_tokens`.

    Args:
        logits_bytes: where every token is an answer's: in the candidate's dtype, in float32, and once more for their
            sum.
        kv_bytes: where answers are written.
        layer_bytes: of what one layer computes.
    """

    logits_bytes: int
    kv_bytes: int
    layer_bytes: int

    @classmethod
    def of(cls, config: Mapping[str, Any], max_batch_tokens: int, element_bytes: int) -> ScoringMemory:
        """From a configuration as transformers spells it out; what it does not say counts as nothing."""
        hidden, heads = _number(config, "hidden_size"), _number(config, "num_attention_heads") or 1
        head_dim = _number(config, "head_dim") or hidden // heads
        kv_heads = _number(config, "num_key_value_heads") or heads
        n_layers = _number(config, "num_hidden_layers")
        n_active = max((_number(config, name) for name in _ACTIVE_EXPERTS), default=0) or 1
        intermediate = _number(config, "intermediate_size") or 4 * hidden
        # float32 logits are not copied to be widened.
        widened = _FLOAT32_BYTES if element_bytes < _FLOAT32_BYTES else 0
        per_logit = element_bytes + widened + _FLOAT32_BYTES
        per_token = _N_HIDDEN * hidden + _N_INTERMEDIATE * n_active * intermediate
        return cls(
            logits_bytes=max_batch_tokens * _number(config, "vocab_size") * per_logit,
            kv_bytes=max_batch_tokens * 2 * n_layers * kv_heads * head_dim * element_bytes,
            layer_bytes=max_batch_tokens * per_token * element_bytes,
        )

    @property
    def total_bytes(self) -> int:
        """Likelihoods need logits, answers keys and values: never both."""
        return max(self.logits_bytes, self.kv_bytes) + self.layer_bytes


def _number(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    return value if isinstance(value, int) else 0
