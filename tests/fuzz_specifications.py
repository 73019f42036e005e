"""Mutated specifications, each of which the service must take or refuse: `python -m tests.fuzz_specifications`."""

from __future__ import annotations

import argparse
import copy
import json
import random
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from starlette.testclient import TestClient

from service.api.app import create_app
from service.database.connection import connect
from service.database.embedded_postgres import EmbeddedPostgres
from service.demo import FAMILY
from service.settings import ServiceSettings

ENDPOINT = "http://127.0.0.1:9/v1"
JSON, YAML = "application/json", "application/yaml"

# What parsers, databases and file systems have stumbled over.
NASTY_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 10**400, 0.5, -0.0, 1e308, 5e-324, float("inf"), float("nan"),
    "", " ", "0", "null", "~", "..", "/", "/etc/passwd", "/dev/zero", "/proc/self/mem", "x" * 5000, "\0", "\ud800",
    "\ufeff", "\u202e", "é", "e\u0301", "🙂", "%s%n", "{}", "${PATH}", "'; DROP TABLE studies; --", "<script>", "a\nb",
    "(" * 3000, "a{9999999999}", "(a+)+$", "blocks:0", "blocks:-1", "blocks:99999999999999999999",
    "blocks:" + "9" * 5000,
    [], {}, [[]], [None], [0, 1], [1, 0], [0, 0], ["a", "b"], {"": ""}, {"a": {"a": {"a": {}}}}, [1] * 500,
    {"model": "m", "endpoint": ENDPOINT}, {"model": "m", "endpoint": ENDPOINT, "n_parallel": -1},
    {"llama_guard": "guard"}, {"classifier": "classifier", "safe_labels": ["x"]}, {"openings": None},
    "openings", "guard", "classifier", "base", "expert", "safety.jsonl", "benign.jsonl", "domain.jsonl",
    "linear", "slerp", "ties", "dare_ties", "model", "layer", "module", "tensor", "tpe", "nsga2", "nsga3", "cmaes",
    "cmaes_sweep", "map", "grid", "gp", "random", "exact_match", "guard", "llm_judge", "classifier", "compliance",
    "multiple_choice", "regex", "boxed", "last_number", "vllm", "ray", "in_process", "float16", "bfloat16",
)  # fmt: skip
NASTY_TOKENS = (
    "{", "}", "[", "]", ":", ",", "-", "?", "&a", "*a", "&a [*a]", "<<", "<<: *a", "!!python/object:os.system",
    "!!binary", "!!timestamp", "!x", "|", ">", "|9", "%YAML 1.2", "---", "...", "#", "'", '"', "\\", "\t", "\r", "\0",
    "\x7f", "\x85", "\u2028", "=", "~", "null", "yes", "on", "0x1F", "0b1", "1_000", "190:20:30", ".inf", "-.inf",
    ".nan", "NaN", "Infinity", "1e999", "2024-13-45", "2024-01-01", "9" * 5000, "[" * 200, "{a: " * 200, "\\ud800",
    "\\u0000", "\\x00",
)  # fmt: skip
_TOKEN = re.compile(r"\s+|\w+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """What is sent.

    Args:
        content: of the body.
        media_type: of it.
    """

    content: bytes
    media_type: str


def valid_specifications() -> list[dict[str, Any]]:
    """Specifications that the service takes, which together name most of what there is."""
    models = {"base": "base", "experts": {"aligned": "aligned", "expert": "expert"}}
    alignment = {"set": "safety.jsonl", "scorer": "refusal_margin"}
    expertise = {"set": "domain.jsonl", "scorer": "answer_likelihood"}
    judge = {"model": "m", "endpoint": ENDPOINT, "api_key_env": "X_API_KEY", "timeout_s": 5.0, "max_retries": 0}
    rich = {
        "guard": {"set": "safety.jsonl", "scorer": "guard", "options": {"guard": {"llama_guard": "guard"}}},
        "label": {"set": "safety.jsonl", "scorer": "classifier", "options": {"model": "classifier"}},
        "judge": {"set": "domain.jsonl", "scorer": "llm_judge", "options": {"judge": judge, "rubric": "10: good."}},
        "match": {"set": "domain.jsonl", "scorer": "exact_match", "options": {"extract": "regex", "pattern": "(.*)"}},
        "comply": {"set": "benign.jsonl", "scorer": "compliance", "options": {"guard": "openings"}},
    }
    bounds = [{"expert": "expert", "filter": "block.*", "weight": [0.1, 0.9]}, {"density": 0.5}]
    return [
        {"models": models, "objectives": {"alignment": alignment, "expertise": expertise}},
        {
            "models": models,
            "space": {"method": "dare_ties", "granularity": "blocks:2", "density": [0.2, 1.0], "bounds": bounds},
            "objectives": {"alignment": alignment, "match": rich["match"], "comply": rich["comply"]},
            "report": {"refusal": {"set": "safety.jsonl", "scorer": "refusal"}},
            "search": {"sampler": "nsga2", "evaluations": 30, "seed": 7, "landmarks": True, "racing": True},
            "workers": {"count": 2, "cpus_per_worker": 0.5, "dtype": "float32", "timeout_s": 60.0},
        },
        {
            "models": {"base": "base", "experts": {"expert": "expert"}},
            "space": {"method": "slerp", "granularity": "module", "t": [0, 1]},
            "objectives": {name: rich[name] for name in ("guard", "label", "judge")},
        },
    ]


def documents(n_documents: int, seed: int) -> Iterator[Document]:
    """Mutated specifications, the same for the same seed."""
    randomness = random.Random(seed)
    bases = valid_specifications()
    for number in range(n_documents):
        values = {"name": f"fuzz-{seed}-{number}", **copy.deepcopy(randomness.choice(bases))}
        media_type = randomness.choice((JSON, YAML))
        level = randomness.choice((_tree, _tree, _tree, _tokens, _bytes))
        for _ in range(randomness.choice((1, 1, 1, 2, 4))):
            values = _tree(values, randomness) if level is _tree else values
        content = _written(values, media_type).encode("utf-8", "surrogatepass")
        if level is not _tree:
            content = _mutated_text(content, level, randomness)
        yield Document(content, randomness.choice((media_type,) * 9 + (JSON, YAML)))


def _written(values: Any, media_type: str) -> str:
    # By JSON first: YAML anchors what is shared.
    content = json.dumps(values)
    return content if media_type == JSON else yaml.safe_dump(json.loads(content), sort_keys=False)


def _mutated_text(content: bytes, level: Callable[..., Any], randomness: random.Random) -> bytes:
    for _ in range(randomness.choice((1, 1, 2, 8))):
        content = level(content, randomness)
    return content


def _bytes(content: bytes, randomness: random.Random) -> bytes:
    """Flip, drop, insert or repeat some bytes."""
    start = randomness.randrange(len(content) + 1)
    end = min(len(content), start + randomness.choice((1, 1, 2, 16, 256)))
    between = randomness.choice(
        (
            # The eighth bit would make most of them something else than UTF-8.
            bytes(byte ^ (1 << randomness.randrange(7)) for byte in content[start:end]),
            b"",
            bytes(randomness.randrange(32, 127) for _ in range(randomness.choice((1, 4, 64)))),
            randomness.randbytes(randomness.choice((1, 4))),
            content[start:end] * randomness.choice((2, 3, 100)),
        )
    )
    return content[:start] + between + content[end:]


def _tokens(content: bytes, randomness: random.Random) -> bytes:
    """Exchange, drop, repeat or replace words and marks."""
    tokens = _TOKEN.findall(content.decode("utf-8", "replace")) or [""]
    one, other = randomness.randrange(len(tokens)), randomness.randrange(len(tokens))
    match randomness.randrange(4):
        case 0:
            tokens[one], tokens[other] = tokens[other], tokens[one]
        case 1:
            del tokens[min(one, other) : min(one, other) + randomness.choice((1, 1, 5))]
        case 2:
            tokens[one:one] = tokens[min(one, other) : max(one, other)][:50]
        case _:
            tokens[one] = randomness.choice(NASTY_TOKENS)
    return "".join(tokens).encode("utf-8", "surrogatepass")


def _tree(values: Any, randomness: random.Random) -> Any:
    """Replace, drop, move or wrap a value, or give it another key."""
    places = list(_places(values))
    if not places:  # of several mutations, one has dropped all
        return randomness.choice(NASTY_VALUES)
    holder, key = randomness.choice(places)
    match randomness.randrange(8):
        case 0:
            del holder[key]
        case 1:
            other_holder, other_key = randomness.choice(places)
            holder[key] = copy.deepcopy(other_holder[other_key])
        case 2 if isinstance(holder, dict):
            holder[str(randomness.choice(NASTY_VALUES))[:300]] = holder.pop(key)
        case 3:
            for _ in range(randomness.choice((1, 2, 50))):
                holder[key] = randomness.choice(([holder[key]], {"a": holder[key]}))
        case 4 | 5 | 6:
            holder[key] = _alike(holder[key], randomness)
        case _:
            holder[key] = copy.deepcopy(randomness.choice(NASTY_VALUES))
    return values


def _alike(value: Any, randomness: random.Random) -> Any:
    """Another value of the same kind, which is more often taken."""
    match value:
        case bool():
            return not value
        case int() | float() if abs(value) < 2**64:
            return randomness.choice((-value, 0, value + 1, value / 2, value * 1000, value * 1e300))
        case str():
            return randomness.choice((value.upper(), value[:-1], value * 2, f" {value}", f"./{value}", f"{value}/"))
        case list():
            return randomness.choice((value[::-1], value[:1], value * 2, sorted(value, key=str)))
        case dict():
            return dict(list(value.items())[: randomness.randrange(len(value) + 1)])
    return value


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    """Every mapping or list in a tree, with every key of it."""
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        yield values, key
        yield from _places(value)


def send(client: TestClient, document: Document) -> int:
    """Launch a search by a document; the status of the answer."""
    answer = client.post("/v1/searches", content=document.content, headers={"Content-Type": document.media_type})
    return int(answer.status_code)


def count(client: TestClient, sent: Iterator[Document]) -> tuple[Counter[int], list[Document]]:
    """Statuses and how often each came, and the documents that made the service fail."""
    statuses: Counter[int] = Counter()
    failed = []
    for document in sent:
        status = send(client, document)
        statuses[status] += 1
        if status >= 500:
            failed.append(document)
    return statuses, failed


@contextmanager
def service() -> Iterator[TestClient]:
    """A service over a database of its own, whose roots hold the bundled family."""
    folder = Path(tempfile.mkdtemp(prefix="paretomerge-fuzz-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres")
    url = server.start()
    engine = connect(url)
    settings = ServiceSettings(
        database_url=url, exports=folder / "merges", models=(FAMILY,), sets=(FAMILY,), endpoints=(ENDPOINT,)
    )
    try:
        client = TestClient(
            create_app(settings, engine), base_url="http://127.0.0.1:8008", raise_server_exceptions=False
        )
        with client:
            yield client
    finally:
        engine.dispose()
        server.stop()
        shutil.rmtree(folder)


def main() -> int:
    """Send documents and print what came of them; 1 if any made the service fail."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with service() as client:
        started = time.monotonic()
        statuses, failed = count(client, documents(given.documents, given.seed))
        took_s = time.monotonic() - started
    for document in failed[:10]:
        print(f"failed ({document.media_type}): {document.content[:2000]!r}", file=sys.stderr)
    print(f"{statuses.total()} documents in {took_s:.0f} s, seed {given.seed}")
    for status, n_documents in sorted(statuses.items()):
        print(f"{status}  {n_documents:6}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
