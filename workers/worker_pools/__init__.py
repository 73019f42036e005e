"""Worker pools: candidates in, finished evaluations out; one contract, in this process or on Ray."""

from __future__ import annotations

from workers.worker_pools._base import WorkerPool
from workers.worker_pools.in_process import InProcessPool
from workers.worker_pools.ray_connection import CONNECTED, LOCAL
from workers.worker_pools.ray_options import RayOptions
from workers.worker_pools.ray_pool import RayPool

__all__ = ["CONNECTED", "LOCAL", "InProcessPool", "RayOptions", "RayPool", "WorkerPool"]
