"""The workers that a plan is about, and what they search."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import METHOD_SIGNATURES, MethodSignature
from search_spaces.errors import SpecificationError
from workers.merge_memory import DEFAULT_CACHE_GIB

_GIB = 2**30
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
ENGINES = ("transformers", "vllm")


@dataclass(frozen=True, slots=True)
class PlannedWorkers:
    """What a specification would say of them; see docs/specification.md.

    Args:
        method: of the merges.
        n_experts: beside the base.
        granularity: of the coefficients.
        dtype: of candidates; `auto` as a search has it.
        engine: that scores them.
        count: workers of one node.
        n_threads: of each.
        max_batch_tokens: of a batch.
        cache_gib: None takes what a GPU has left, or a CPU's default.
        gpu_gib: of one GPU; None plans for CPUs.
        node_gib: of a node's main memory; None if it is not known.
    """

    method: str = "task_arithmetic"
    n_experts: int = 2
    granularity: str = "layer"
    dtype: str = "auto"
    engine: str = "transformers"
    count: int = 1
    n_threads: int = 1
    max_batch_tokens: int = 4096
    cache_gib: float | None = None
    gpu_gib: float | None = None
    node_gib: float | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("method", self.method, tuple(METHOD_SIGNATURES)),
            ("dtype", self.dtype, ("auto", *_BYTES)),
            ("engine", self.engine, ENGINES),
        ):
            if value not in known:
                raise SpecificationError(f"`--{name}` must be one of {', '.join(known)}, but got '{value}'.")
        if self.engine == "vllm" and self.gpu_gib is None:
            raise SpecificationError("`--engine vllm` is planned for GPUs: give the memory of one, `--gpu-gib 80`.")

    @property
    def signature(self) -> MethodSignature:
        """The method's."""
        return METHOD_SIGNATURES[self.method]

    @property
    def experts(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"expert{k}" for k in range(1, self.n_experts + 1))

    @property
    def device(self) -> str:
        """Where candidates live."""
        return "cpu" if self.gpu_gib is None else "cuda"

    @property
    def gpu_bytes(self) -> int:
        """Memory of one GPU; 0 where there is none."""
        return int((self.gpu_gib or 0) * _GIB)

    @property
    def node_bytes(self) -> int | None:
        """Memory of a node."""
        return None if self.node_gib is None else int(self.node_gib * _GIB)

    @property
    def default_cache_gib(self) -> float:
        """What a specification that says nothing has."""
        return DEFAULT_CACHE_GIB if self.cache_gib is None else self.cache_gib


def element_bytes(dtype: str) -> int:
    """Bytes of a candidate's element."""
    return _BYTES[dtype]
