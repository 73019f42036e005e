"""What keeps searches running: one supervisor, and a driver under Ray for each of them."""

from __future__ import annotations

from service.supervision.process import SupervisorProcess

__all__ = ["SupervisorProcess"]
