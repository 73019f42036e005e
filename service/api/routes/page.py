"""The page and what it is made of."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

router = APIRouter(include_in_schema=False)

PAGE = Path(__file__).parents[2] / "page"
# What the page consists of; other files of its folder, such as Python's, are not served.
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_PACKED = frozenset({".css", ".html", ".js", ".svg"})
# Better ratios cost seconds of plotly's five megabytes, and save little.
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent.

    Args:
        content: of the file.
        packed: the same by gzip; empty where that gains nothing.
        tag: changes with the content.
        media_type: of it.
    """

    content: bytes
    packed: bytes
    tag: str
    media_type: str


@router.get("/")
def page(request: Request) -> Response:
    """The page, which asks the API for all that it shows."""
    return _answer(request, PAGE / "index.html")


@router.get("/assets/{path:path}")
def asset(path: str, request: Request) -> Response:
    """What the page loads: its own files, and plotly.js of the installed wheel."""
    found = _plotly() if path == "plotly.min.js" else _own(path)
    if found is None:
        raise HTTPException(404)
    return _answer(request, found)


def _own(path: str) -> Path | None:
    if "\0" in path:
        return None
    found = (PAGE / path).resolve()
    is_ours = found.is_relative_to(PAGE.resolve()) and found.suffix in _TYPES
    return found if is_ours and found.is_file() else None


@cache
def _plotly() -> Path:
    return Path(str(files("plotly") / "package_data" / "plotly.min.js"))


def pack_plotly() -> None:
    """Read and pack the one large file before it is asked for."""
    _load(_plotly(), _plotly().stat().st_mtime_ns)


def _answer(request: Request, path: Path) -> Response:
    loaded = _load(path, path.stat().st_mtime_ns)
    # Asked for again each time, and answered by 304: a new version is never mixed with an old one.
    headers = {"ETag": loaded.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if loaded.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if loaded.packed and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(loaded.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=loaded.media_type)
    return Response(loaded.content, headers=headers, media_type=loaded.media_type)


@lru_cache(maxsize=128)
def _load(path: Path, modified_ns: int) -> Asset:
    """Read and pack a file once for each time that it is modified."""
    content = path.read_bytes()
    packed = gzip.compress(content, _LEVEL, mtime=0) if path.suffix in _PACKED else b""
    # Weak: packed and plain have one tag.
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content, packed, tag, _TYPES[path.suffix])
