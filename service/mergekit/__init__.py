"""What people bring from mergekit: recipe files, and configurations of mergekit-evolve."""

from __future__ import annotations
