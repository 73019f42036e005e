"""A cache of the hub as `huggingface_hub` lays it out, filled by hand."""

from __future__ import annotations

import hashlib
from pathlib import Path


class HubCache:
    """Models by id, without a network.

    Args:
        home: what HF_HOME says.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "hub"

    def add(self, hub_id: str, model: Path, revision: str = "main") -> str:
        """Put a folder's files under an id; returns the commit."""
        files = sorted(path for path in model.iterdir() if path.is_file())
        digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        commit = hashlib.sha1("".join(digests.values()).encode()).hexdigest()
        repository = self.folder / f"models--{hub_id.replace('/', '--')}"
        snapshot = repository / "snapshots" / commit
        for folder in (snapshot, repository / "refs", repository / "blobs"):
            folder.mkdir(parents=True, exist_ok=True)
        (repository / "refs" / revision).write_text(commit)
        for path, digest in digests.items():
            (repository / "blobs" / digest).write_bytes(path.read_bytes())
            (snapshot / path.name).symlink_to(Path("../../blobs") / digest)
        return commit
