"""Paths by which a client might try to get out of the roots, and the links and pipes that they need."""

from __future__ import annotations

import os
from pathlib import Path

# Each names a file or folder that is there, outside; or would wait, crash or mislead.
TRAVERSALS = {
    "dots": "../outside/secret.jsonl",
    "dots inside": "sub/../../outside/secret.jsonl",
    "dots at the end": "sub/..",
    "two dots": "..",
    "absolute": "{outside}/secret.jsonl",
    "absolute with dots": "{sets}/../outside/secret.jsonl",
    "doubled slashes": "//{outside}/secret.jsonl",
    "a sibling that begins alike": "{sets}-not/secret.jsonl",
    "the system's": "/etc/passwd",
    "the process's own": "/proc/self/environ",
    "by a descriptor": "/proc/self/fd/0",
    "by the process's root": "/proc/self/root{outside}/secret.jsonl",
    "a device": "/dev/zero",
    "standard input": "/dev/stdin",
    "home": "~/secret.jsonl",
    "somebody's home": "~root/.bashrc",
    "encoded": "..%2foutside%2fsecret.jsonl",
    "encoded twice": "..%252foutside%252fsecret.jsonl",
    "encoded dots": "%2e%2e/outside/secret.jsonl",
    "backslashes": "..\\outside\\secret.jsonl",
    "a drive": "C:/outside/secret.jsonl",
    "a share": "\\\\host\\share\\secret.jsonl",
    "NUL": "safety.jsonl\0.txt",
    "a line end": "safety.jsonl\n",
    "a URL": "file://{outside}/secret.jsonl",
    "overlong": "a/" * 5000,
    "an overlong name": "x" * 300,
    "half a surrogate": "\ud800",
    "fullwidth dots": "\uff0e\uff0e/outside/secret.jsonl",
    "a link to a file": "link.jsonl",
    "a link in the middle": "linked/secret.jsonl",
    "a link to a link": "twice/secret.jsonl",
    "a link around itself": "loop/secret.jsonl",
    "a link to nowhere": "dangling.jsonl",
    "a pipe": "pipe.jsonl",
}


def filled(path: str, folder: Path) -> str:
    """A path of `TRAVERSALS` in the folder where the traps were laid."""
    return path.replace("{outside}", str(folder / "outside")).replace("{sets}", str(folder / "sets"))


def lay_traps(folder: Path) -> None:
    """Make `sets` and `models`, which are roots, and `outside`, to which links in them lead."""
    for name in ("sets/sub", "models", "outside", "sets-not"):
        (folder / name).mkdir(parents=True)
    for name in ("sets/safety.jsonl", "sets/sub/deep.jsonl", "outside/secret.jsonl", "sets-not/secret.jsonl"):
        (folder / name).write_text('{"prompt": "secret"}\n')
    sets = folder / "sets"
    (sets / "link.jsonl").symlink_to(folder / "outside" / "secret.jsonl")
    (sets / "linked").symlink_to(folder / "outside")
    (sets / "twice").symlink_to("linked")
    (sets / "loop").symlink_to("loop")
    (sets / "dangling.jsonl").symlink_to(folder / "outside" / "nothing")
    (sets / "inner.jsonl").symlink_to("sub/deep.jsonl")
    os.mkfifo(sets / "pipe.jsonl")
