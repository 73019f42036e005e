"""Answers of an OpenAI-compatible endpoint, by chat completions."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from search_spaces.errors import GenerationError
from workers.inference_engines._base import TextGenerator
from workers.inference_engines.conversation import GenerationOptions, Prompt, conversation_of
from workers.inference_engines.model_source import ModelSource

if TYPE_CHECKING:
    from openai import OpenAI

# The client insists on a key; servers of one's own want none and look at none.
_NO_KEY = "none"
# Of what a server says; some say whole pages of HTML.
_MAX_REASON = 300

_FORBIDDEN = (401, 403)


class OpenAIEngine(TextGenerator):
    """A model behind an endpoint: several requests at a time, each tried again while that may help.

    The client of the `openai` package tries again after rate limits (429), 408, 409, errors of the server (5xx),
    timeouts and lost connections, with pauses that grow from half a second to eight, or as long as the
    server's `Retry-After` says (up to two minutes).

    Args:
        source: with `endpoint`. Its key is read from the environment now, and is in no message and no `repr`.

    Raises:
        GenerationError: the endpoint is no address, or the key is none that HTTP can carry.
    """

    def __init__(self, source: ModelSource) -> None:
        _check_address(source.endpoint)
        self._source = source
        self._key = _read_key(source.api_key_env)

    def generate(self, prompts: Sequence[Prompt], options: GenerationOptions) -> list[str]:
        """See `TextGenerator.generate`; a prompt that comes several times is sampled with a seed for each."""
        seeds = _seeds(prompts, options)
        # A client for each call: no connection is left open, and servers drop those that idle while models are merged.
        with self._client() as client, ThreadPoolExecutor(self._source.n_parallel) as pool:
            # Once a request has failed, those that wait are not sent any more.
            return list(pool.map(lambda prompt, seed: self._ask(client, prompt, options, seed), prompts, seeds))

    def _client(self) -> OpenAI:
        from openai import OpenAI

        return OpenAI(
            base_url=self._source.endpoint,
            api_key=self._key,
            timeout=self._source.timeout_s,
            max_retries=self._source.max_retries,
        )

    def _ask(self, client: OpenAI, prompt: Prompt, options: GenerationOptions, seed: int) -> str:
        from openai import OpenAIError

        turns: Any = [{"role": message.role, "content": message.content} for message in conversation_of(prompt)]
        # Some servers refuse an empty list.
        stop: Any = {"stop": list(options.stop)} if options.stop else {}
        try:
            reply: Any = client.chat.completions.create(
                model=self._source.model,
                messages=turns,
                max_tokens=options.max_new_tokens,
                temperature=options.temperature,
                seed=seed,
                **stop,
            )
        except (OpenAIError, ValueError) as error:  # a ValueError: what should be JSON is none
            raise GenerationError(self._told(error)) from None
        return self._content(reply)

    def _content(self, reply: Any) -> str:
        """What was said. The client checks no types: a page of HTML arrives here as a text."""
        if not getattr(reply, "choices", None):
            said = reply if isinstance(reply, str) else getattr(reply, "error", None) or "no choices"
            raise GenerationError(
                f"{self._place} must reply with a chat completion, but replied: {self._shortened(said)}. "
                f"Check that `endpoint` is the address up to `/v1`. {_GO_ON}"
            )
        message = reply.choices[0].message
        return (message and message.content) or ""

    @property
    def _place(self) -> str:
        return f"The endpoint {self._source.endpoint} (model '{self._source.model}')"

    def _told(self, error: Exception) -> str:
        """What came, how often it was tried, what to do."""
        status = getattr(error, "status_code", None)
        reason = self._shortened(_reason(error))
        came = f"{self._place} must answer, but {_n_tries(error)}: {f'status {status}, ' if status else ''}{reason}."
        if status in _FORBIDDEN:
            given = "is set, but to none that it takes" if self._key != _NO_KEY else "is not set"
            return f"{came} The key is read from the environment variable `{self._source.api_key_env}`, which {given}."
        if status == 404:
            return f"{came} Check that it has a `model` of this name, and that `endpoint` is the address up to `/v1`."
        if status is not None and 400 <= status < 500 and status not in (408, 409, 429):
            return f"{came} It will not answer until what it names is changed."
        return f"{came} {_GO_ON}"

    def _shortened(self, text: Any) -> str:
        """In one line, without the key: some servers repeat it."""
        said = str(text).replace(self._key, "***") if self._key != _NO_KEY else str(text)
        line = " ".join(said.split())
        return line if len(line) <= _MAX_REASON else line[: _MAX_REASON - 3] + "..."


_GO_ON = "Nothing is lost: run the same again once it answers."


def _check_address(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        is_address = False
    if not (is_address and endpoint.isprintable()):
        raise GenerationError(
            f"`endpoint` must be an address up to `/v1`, like http://localhost:8000/v1, but got {endpoint!r}."
        )


def _read_key(variable: str) -> str:
    # Often the content of a file, with its line end.
    key = os.environ.get(variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise GenerationError(
            f"The environment variable `{variable}` must hold a key of plain characters, but holds others. "
            "Copy the key again."
        )
    return key or _NO_KEY


def _seeds(prompts: Sequence[Prompt], options: GenerationOptions) -> Iterator[int]:
    """The given seed; when sampling, another one for a prompt's second time and later, or they all got one answer."""
    times: Counter[Prompt] = Counter()
    for prompt in prompts:
        repeated = times[prompt] if options.temperature else 0
        # By the hash that `random` makes of a text: the seeds of one call are not those of the next.
        yield random.Random(f"{options.seed} {repeated}").getrandbits(31) if repeated else options.seed
        times[prompt] += 1


def _reason(error: Exception) -> str:
    """In the server's words, or those of what lies below the client's `Connection error.`."""
    body = getattr(error, "body", None)
    if isinstance(body, dict) and body.get("message"):
        return str(body["message"])
    if isinstance(error.__cause__, Exception) and str(error.__cause__):
        return f"{error} {error.__cause__}"
    return str(error)


def _n_tries(error: Exception) -> str:
    """As the client's last request counts."""
    request = getattr(error, "request", None)
    n = 1 + int(request.headers.get("x-stainless-retry-count", 0)) if request is not None else 1
    return "it was tried once" if n == 1 else f"it was tried {n} times"
