"""From what a person names a model by to its files on this machine: a folder, or a hub id by way of the hub's cache."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from search_spaces.errors import CheckpointError
from search_spaces.model_reference import ModelReference, is_hub_id
from workers.checkpoints.adapter import CONFIG_FILE, TENSORS_FILE, adapted_header, read_adapter
from workers.checkpoints.header import CheckpointHeader, read_header
from workers.checkpoints.model_roots import on_this_node

# Weights, configuration, tokenizer; of a model's own folder, not of those below it with other forms of the same.
_MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
_NOT_OF_A_MODEL = ("*/*", "consolidated*")
_ADAPTER_FILES = (CONFIG_FILE, TENSORS_FILE, "tokenizer*", "*.jinja", "special_tokens_map.json", "added_tokens.json")

_COMMIT = re.compile("[0-9a-f]{40}")


def read_model_header(notation: str, *, offline: bool = False) -> CheckpointHeader:
    """Read a model's headers, an adapter folded in; of a hub id, fetch its files first.

    Args:
        notation: see `ModelReference.notation`.
        offline: take what is in the hub's cache, and ask nobody.

    Raises:
        CheckpointError: see `local_folder`, `read_header` and `read_adapter`.
        IncompatibleModelsError: see `adapted_header`.
    """
    reference = reference_of(notation)
    header = read_header(local_folder(reference.model, reference.revision, _MODEL_FILES, offline=offline))
    if reference.adapter is None:
        return header
    folder = local_folder(reference.adapter, reference.adapter_revision, _ADAPTER_FILES, offline=offline)
    return adapted_header(header, read_adapter(folder))


def reference_of(notation: str) -> ModelReference:
    """A reference, or the folder of that very name: its path may hold what stands for something in the notation.

    Relative paths are told from hub ids where the file that names them is known, and not here.
    """
    path = Path(notation)
    return ModelReference(notation) if path.is_absolute() and path.is_dir() else ModelReference.parse(notation)


def seen_from(notation: str, folder: Path) -> str:
    """The same with absolute paths.

    Args:
        notation: as it stands in a file. What has the form of a hub id is one only where no folder is called so.
        folder: of the file.

    Raises:
        SpecificationError: see `ModelReference`.
    """
    whole = folder / os.path.expanduser(notation)
    if whole.is_dir():
        return str(whole)
    reference = ModelReference.parse(notation)
    adapter = reference.adapter
    return replace(
        reference,
        model=_placed(reference.model, reference.revision, folder),
        adapter=adapter and _placed(adapter, reference.adapter_revision, folder),
    ).notation


def _placed(name: str, revision: str | None, folder: Path) -> str:
    path = folder / os.path.expanduser(name)
    is_elsewhere = is_hub_id(name) and (revision is not None or not path.is_dir())
    return name if is_elsewhere else str(path)


def local_folder(name: str, revision: str | None, files: tuple[str, ...], *, offline: bool = False) -> Path:
    """The folder of a model or an adapter on this node; of a hub id, in the hub's cache.

    Args:
        name: hub id, or else a folder; see `on_this_node`.
        revision: of a hub id.
        files: patterns of what is fetched.
        offline: see `read_model_header`; so does HF_HUB_OFFLINE=1.

    Raises:
        CheckpointError: the hub does not give it, and the cache does not hold it.
    """
    if not is_hub_id(name):
        return on_this_node(name)
    from huggingface_hub import constants

    alone = offline or constants.is_offline_mode()
    try:
        return _cached_commit(name, revision) or _snapshot(name, revision, files, alone)
    except (OSError, ValueError) as error:  # of huggingface_hub, all of them
        raise CheckpointError(_not_there(name, revision, error, alone)) from None


def pinned(notation: str, header: CheckpointHeader) -> str:
    """The same with the commits that were read, so that all who follow read them too; folders stay as they are.

    Args:
        notation: of a model.
        header: of it, as `read_model_header` gave it.
    """
    reference = reference_of(notation)
    commit = _commit(header.folder) if is_hub_id(reference.model) else None
    adapter_commit = _commit(header.adapter.folder) if header.adapter and is_hub_id(reference.adapter or "") else None
    return replace(
        reference,
        revision=commit or reference.revision,
        adapter_revision=adapter_commit or reference.adapter_revision,
    ).notation


def _commit(folder: Path) -> str | None:
    return folder.name if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name) else None


def _cached_commit(name: str, revision: str | None) -> Path | None:
    """The cache's folder of a commit, which nobody can change: the hub need not be asked again."""
    if revision is None or not _COMMIT.fullmatch(revision):
        return None
    try:
        found = _snapshot(name, revision, (), alone=True)
    except OSError:
        return None
    # Something may have fetched the tokenizer alone.
    return found if any(found.glob("*.safetensors")) and any(found.glob("*config.json")) else None


def _snapshot(name: str, revision: str | None, files: tuple[str, ...], alone: bool) -> Path:
    from huggingface_hub import snapshot_download

    ignored = list(_NOT_OF_A_MODEL)
    return Path(
        snapshot_download(
            name,
            revision=revision,
            allow_patterns=list(files) or None,
            ignore_patterns=ignored,
            local_files_only=alone,
        )
    )


def _not_there(name: str, revision: str | None, error: Exception, alone: bool) -> str:
    from huggingface_hub import constants

    what = f"'{name}' at revision '{revision or 'main'}'"
    by_hand = f"hf download {name}" + (f" --revision {revision}" if revision else "")
    if alone:
        why = "it is not, and nobody is asked (HF_HUB_OFFLINE)"
        do = f"Run `{by_hand}` where there is a network and the same cache, or name a folder."
    else:
        why = f"the hub does not give it: {(str(error).strip() or repr(error)).splitlines()[0]}"
        do = f"Check id and revision, and `hf auth login` for a closed model; `{by_hand}` says more. Or name a folder."
    return f"{what} is no folder here, so it must be in the hub's cache '{constants.HF_HUB_CACHE}', but {why}. {do}"
