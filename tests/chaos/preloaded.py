"""All that the commands import, so that processes which are forked from here need not wait for it."""

from __future__ import annotations

import alembic.command
import alembic.config
import optuna
import psycopg
import ray
import ray.exceptions
import scipy.stats
import torch
import transformers.models.llama.modeling_llama

import service.cli.app
import service.cli.progress_view
import service.exports
import service.plots
import service.results
import service.search.session
import workers.candidate_worker
import workers.merge_kernels.cpu_kernels
import workers.worker_pools

__all__ = ["alembic", "optuna", "psycopg", "ray", "scipy", "service", "torch", "transformers", "workers"]
