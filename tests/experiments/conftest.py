"""Published test vectors beside the checkout, and a definition to change."""

import json
from pathlib import Path

import pytest

VECTORS = Path(__file__).parents[3] / "shared" / "data" / "experiments"


def published(*parts: str) -> Path:
    path = VECTORS.joinpath(*parts)
    if not path.exists():
        pytest.skip("the published vectors are not beside this checkout")
    return path


@pytest.fixture(scope="session")
def growthbook_cases() -> dict[str, list]:
    return json.loads(published("growthbook-sdk-cases", "cases.json").read_text())


@pytest.fixture(scope="session")
def unleash_states() -> dict[str, dict]:
    folder = published("unleash-client-specification", "specifications")
    return {path.name[:2]: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.fixture(scope="session")
def flagd_folder() -> Path:
    return published("flagd-testbed")
