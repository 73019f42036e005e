"""The client of a remote service: its calls, and its studies in the form in which the database gives them."""

from __future__ import annotations
