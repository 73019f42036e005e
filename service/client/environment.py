"""The variables by which a person names a service once for many commands."""

from __future__ import annotations

SERVER_VARIABLE = "PARETOMERGE_SERVER"
TOKEN_VARIABLE = "PARETOMERGE_TOKEN"
