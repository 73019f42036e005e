"""Orders of magnitudes: each element once, sorted, and as mergekit's sort has them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from search_spaces.errors import CheckpointError
from search_spaces.method_signature import Ranking
from workers.merge_methods import SourceTensors
from workers.merge_methods.magnitude_ranking import rank_all, ranking_of
from workers.merge_methods.ranking_files import RankingFiles

SHAPES = [(1,), (500,), (33, 65), (3, 5, 7)]


def sources(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> SourceTensors:
    base, expert = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    return SourceTensors("a.weight", base, (expert,))


def magnitudes(tensors: SourceTensors) -> Tensor:
    return (tensors.experts[0].float() - tensors.base.float()).abs()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("ranking", "sign"), [(Ranking.ASCENDING, 1), (Ranking.DESCENDING, -1)])
def test_orders_are_permutations_that_sort(
    shape: tuple[int, ...], dtype: torch.dtype, ranking: Ranking, sign: int
) -> None:
    tensors = sources(shape, dtype)
    found = ranking_of(tensors, 0, ranking).reshape(-1).long()
    assert sorted(found.tolist()) == list(range(tensors.base.numel()))
    assert (sign * magnitudes(tensors).reshape(-1)[found].diff() >= 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_have_ranks_of_their_own(shape: tuple[int, ...]) -> None:
    tensors = sources(shape)
    found = ranking_of(tensors, 0, Ranking.ROWS).long()
    assert torch.equal(found.sort(dim=-1).values, torch.arange(shape[-1]).expand(shape))
    in_order = torch.empty(shape).scatter_(-1, found, magnitudes(tensors))
    assert (in_order.diff(dim=-1) >= 0).all()


def test_equal_magnitudes_stand_as_torch_sorts_them() -> None:
    # So does mergekit, on which of them it keeps: sorts that keep their order would keep others.
    expert = torch.randint(-3, 4, (5000,), generator=torch.Generator().manual_seed(0)).float()
    tensors = SourceTensors("a.weight", torch.zeros(5000), (expert,))
    assert torch.equal(ranking_of(tensors, 0, Ranking.DESCENDING).long(), torch.argsort(expert.abs(), descending=True))


def test_orders_are_made_once() -> None:
    tensors = sources((100,))
    assert ranking_of(tensors, 0, Ranking.DESCENDING) is ranking_of(tensors, 0, Ranking.DESCENDING)


@pytest.mark.parametrize("ranking", Ranking)
@pytest.mark.parametrize("shape", [(), *SHAPES])
def test_rankings_have_the_bytes_that_are_planned(ranking: Ranking, shape: tuple[int, ...]) -> None:
    tensors = sources(shape)
    n, row_length = tensors.base.numel(), shape[-1] if shape else 1
    assert ranking_of(tensors, 0, ranking).nbytes == n * ranking.element_bytes(n, row_length)


@pytest.mark.parametrize("ranking", Ranking)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_file_holds_the_ranking_that_memory_would(ranking: Ranking, dtype: torch.dtype, tmp_path: Path) -> None:
    in_memory, in_file = sources((33, 65), dtype), sources((33, 65), dtype)
    in_file.ranking_files = RankingFiles(tmp_path, 10_000)
    assert torch.equal(ranking_of(in_memory, 0, ranking), ranking_of(in_file, 0, ranking))
    assert len(list(tmp_path.glob("*.ranking"))) == 1


def test_a_ranking_is_found_again(tmp_path: Path) -> None:
    for expert_shift in (0, 0, 1):
        tensors = sources((500,))
        tensors.experts[0][7] += expert_shift
        tensors.ranking_files = RankingFiles(tmp_path, 2000)
        ranking_of(tensors, 0, Ranking.DESCENDING)
    # Of two contents; a name and a place decide nothing.
    assert len(list(tmp_path.glob("*.ranking"))) == 2


def test_what_nobody_uses_goes(tmp_path: Path) -> None:
    old, new = tmp_path / "old.ranking", tmp_path / "new.ranking"
    for path in (old, new):
        path.write_bytes(b"0")
    os.utime(old, (0, 0))
    RankingFiles(tmp_path, 0)
    assert list(tmp_path.iterdir()) == [new]


def test_a_disk_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"need 1073741824\.0 GiB, .* `PARETOMERGE_CACHE_DIR`, .*`workers.cache_gib`"
    ):
        RankingFiles(tmp_path, 2**60)


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"must be kept in .*file.*, but cannot be: "):
        RankingFiles(tmp_path / "file" / "folder", 1)


@pytest.mark.parametrize("ranking", Ranking)
def test_many_tensors_are_ranked_together(ranking: Ranking) -> None:
    many = [sources((n, 3)) for n in (1, 500, 7)]
    rank_all(many, ranking)
    assert all(tensors.has_ranking(ranking.value) for tensors in many)
    assert all(torch.equal(ranking_of(t, 0, ranking), ranking_of(sources((len(t.base), 3)), 0, ranking)) for t in many)
