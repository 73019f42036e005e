"""The process that answers calls loads neither torch nor ray nor transformers, whatever is asked of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
CALLS = """
import json, sys
from pathlib import Path
from starlette.testclient import TestClient
from service.api.app import create_app
from service.database.connection import connect
from service.settings import ServiceSettings

url, roots, specification = json.loads(sys.argv[1])
roots = Path(roots)
engine = connect(url)
models, sets = (roots / "models",), (roots / "sets",)
settings = ServiceSettings(database_url=url, exports=roots / "merges", models=models, sets=sets)
client = TestClient(create_app(settings, engine), base_url="http://localhost")
name = specification["name"]
launched = client.post("/v1/searches", json=specification)
assert launched.status_code == 201, launched.text
for path in ("", f"/{name}", f"/{name}/front", f"/{name}/trials", f"/{name}/hypervolume", f"/{name}/points"):
    answer = client.get(f"/v1/searches{path}")
    assert answer.status_code == 200, answer.text
for path in ("/v1/choices", "/metrics", "/readyz", "/dashboard", "/api/studies", "/openapi.json"):
    assert client.get(path).status_code in (200, 503)
assert client.post(f"/v1/searches/{name}/exports", json={}).status_code == 422
print(json.dumps([module for module in ("torch", "ray", "transformers") if module in sys.modules]))
engine.dispose()
"""


@pytest.mark.parametrize("scorer", ["refusal", "guard", "classifier", "llm_judge"])
def test_nothing_heavy_is_loaded(database_url: str, roots: Path, specification: dict[str, Any], scorer: str) -> None:
    family = REPOSITORY / "service" / "demo" / "tiny_family"
    options = {
        "guard": {"guard": {"llama_guard": str(family / "guard")}},
        "classifier": {"model": str(family / "classifier")},
        "llm_judge": {"judge": str(family / "guard")},
    }
    specification["objectives"]["alignment"] |= {"scorer": scorer, "options": options.get(scorer, {})}
    arguments = json.dumps([database_url, str(roots), specification])
    done = subprocess.run(
        [sys.executable, "-c", CALLS, arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
