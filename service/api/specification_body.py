"""A specification as the body of a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from search_spaces.errors import SpecificationError
from service.specification import Specification, check_specification

JSON_TYPE = "application/json"
# The registered one, and those in use before.
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")


@dataclass(frozen=True, slots=True)
class SpecificationBody:
    """What was sent.

    Args:
        content: as it came.
        is_json: by its media type.
    """

    content: bytes
    is_json: bool

    def __bool__(self) -> bool:
        return bool(self.content.strip())

    def read(self) -> Specification:
        """Check its text; its paths are the client's own.

        Raises:
            SpecificationError: it is none.
        """
        try:
            text = self.content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise SpecificationError(f"A specification must be text in UTF-8, but is not: {error}.") from None
        return check_specification(text, is_json=self.is_json)


async def read_body(request: Request) -> SpecificationBody:
    """Read it raw: FastAPI would parse JSON alone, and forget keys that are given twice."""
    media_type = request.headers.get("content-type", JSON_TYPE).partition(";")[0].strip().lower()
    return SpecificationBody(await request.body(), is_json=media_type not in YAML_TYPES)


# As a parameter of a route: `body: SpecificationSent`.
SpecificationSent = Annotated[SpecificationBody, Depends(read_body)]


def described(*, required: bool) -> dict[str, Any]:
    """The body's part of OpenAPI; see `service.api.openapi` for the schema that it refers to."""
    schema = {"$ref": "#/components/schemas/Specification"}
    examples = {"demo": {"summary": "A search over models and sets below the roots", "value": EXAMPLE}}
    content = {"schema": schema, "examples": examples}
    return {"requestBody": {"required": required, "content": dict.fromkeys((JSON_TYPE, YAML_TYPES[0]), content)}}


EXAMPLE: dict[str, Any] = {
    "name": "llama3-biomed",
    "models": {"base": "llama3-8b", "experts": {"chat": "llama3-8b-instruct", "medical": "llama3-8b-medical"}},
    "space": {"method": "dare_ties", "granularity": "layer", "weight": [0.0, 1.5], "density": [0.2, 1.0]},
    "objectives": {
        "alignment": {"set": "safety.jsonl", "scorer": "refusal_margin"},
        "expertise": {"set": "medical.jsonl", "scorer": "answer_likelihood"},
        "restraint": {"set": "benign.jsonl", "scorer": "compliance"},
    },
    "report": {"exact_match": {"set": "medical.jsonl", "scorer": "exact_match"}},
    "search": {"sampler": "auto", "evaluations": 300, "seed": 0},
    "workers": {"count": 8, "gpus_per_worker": 1, "dtype": "bfloat16"},
}
