"""The table of merge methods, as rows and as markdown; without torch."""

from __future__ import annotations

from dataclasses import dataclass

from search_spaces import METHOD_SIGNATURES, MethodSignature
from search_spaces.method_signature import BaseRole
from service.methods.parity_record import ParityRecord

HEADINGS = ("method", "mergekit", "parity", "differentiable", "searched", "models", "reference")


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One method.

    Args:
        method: its name.
        mergekit: the version that has it too and was merged beside; empty for none.
        parity: how the two agree; empty where there is no other.
        differentiable: merged weights are differentiable in the coefficients almost everywhere.
        searched: parameter → where it is searched.
        on_demand: the same, of those that are searched only where a specification bounds them; else at their default.
        models: how many it merges, the base included where it takes part.
        reference: the paper.
    """

    method: str
    mergekit: str
    parity: str
    differentiable: bool
    searched: dict[str, tuple[float, float]]
    on_demand: dict[str, tuple[float, float]]
    models: str
    reference: str

    def cells(self) -> tuple[str, ...]:
        """As text, in the order of `HEADINGS`."""
        answer = "yes" if self.differentiable else "no"
        searched = "; on demand ".join(filter(None, (_told(self.searched), _told(self.on_demand))))
        if self.on_demand and not self.searched:
            searched = f"on demand {searched}"
        return (self.method, self.mergekit, self.parity, answer, searched, self.models, self.reference)


def method_rows(record: ParityRecord) -> list[MethodRow]:
    """Every registered method, beside what was found of it."""
    return [_row(signature, record) for signature in METHOD_SIGNATURES.values()]


def _row(signature: MethodSignature, record: ParityRecord) -> MethodRow:
    return MethodRow(
        method=signature.name,
        mergekit=record.mergekit if signature.name in record.mergekit_methods else "",
        parity=_parity(signature.name, record),
        differentiable=signature.differentiable,
        searched=_bounds(signature, searched=True),
        on_demand=_bounds(signature, searched=False),
        models=_models(signature),
        reference=signature.reference,
    )


def _bounds(signature: MethodSignature, searched: bool) -> dict[str, tuple[float, float]]:
    parameters = (parameter for parameter in signature.all_parameters if parameter.searched is searched)
    return {parameter.name: (parameter.low, parameter.high) for parameter in parameters}


def _told(bounds: dict[str, tuple[float, float]]) -> str:
    return ", ".join(f"{name} [{low:g}, {high:g}]" for name, (low, high) in bounds.items())


def _models(signature: MethodSignature) -> str:
    if signature.merges_a_pair:
        return "2"
    base = 0 if signature.base is BaseRole.ABSENT else 1
    fewest = signature.min_experts + base
    if signature.min_experts == signature.max_experts:
        return f"{fewest}"
    return f"{fewest} or more"


def _parity(method: str, record: ParityRecord) -> str:
    if method not in record.mergekit_methods:
        return ""
    if method not in record.methods:
        return "not compared"
    found = record.methods[method]
    cases = f"{found.n_cases} cases" if found.kept else f"{found.n_kept} of {found.n_cases} cases"
    return f"{cases}, {100 * found.share_within_1_ulp:.4f} % ≤ 1 ulp, max {found.max_ulps}"


def as_markdown(rows: list[MethodRow]) -> str:
    """The table as it stands in the documents."""
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
