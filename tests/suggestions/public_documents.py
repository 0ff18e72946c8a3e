"""Public OpenAPI documents: files of installed packages, found without importing these."""

from importlib.util import find_spec
from pathlib import Path

from evolution_lab.contracts import OpenApiDocument

FILES = {
    "jupyterlab-server": ("jupyterlab_server", "rest-api.yml"),
    "localstack-core": ("localstack", "openapi.yaml"),
    "osparc": ("osparc", "data/openapi.json"),
}


def public_document(name: str) -> OpenApiDocument:
    package, file = FILES[name]
    spec = find_spec(package)
    assert spec is not None
    (place,) = spec.submodule_search_locations or ()
    return OpenApiDocument.load(Path(place) / file)
