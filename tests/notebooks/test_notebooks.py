"""The notebooks: paired, parameterised, on the public surface, and usable on other people's data.

Each is run on the bundled sample by nbmake (``make test``).
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import jupytext
import nbformat
import pytest

from evolution_lab.cli import main

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TRAINTICKET = Path(__file__).parents[2].parent / "shared" / "data" / "trainticket"
MAPPING = [
    "operation=OperationName",
    "timestamp=StartTimeUnixNano:ns",
    "duration=Duration:us",
    "trace_id=TraceID",
    "span_id=SpanID",
    "parent=ParentID",
]
STORY = [
    "01_land_telemetry",
    "02_explore_anomalies",
    "03_review_suggestions",
    "04_run_an_experiment",
    "05_generate_golden_tests",
]


def test_the_story_is_whole():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.py")) == STORY
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == STORY


@pytest.mark.parametrize("name", STORY)
def test_text_and_notebook_say_the_same_and_no_output_is_kept(name: str):
    text = jupytext.read(NOTEBOOKS / f"{name}.py")
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    assert [(c.cell_type, c.source) for c in text.cells] == [
        (c.cell_type, c.source) for c in notebook.cells
    ]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assert {"data"} <= {
        target.id
        for node in ast.parse(tagged[0].source).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@pytest.mark.parametrize("name", STORY)
def test_only_the_public_surface_is_used(name: str):
    tree = ast.parse((NOTEBOOKS / f"{name}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("evolution_lab"):
            assert node.module.count(".") <= 1, node.module
            home = __import__(node.module, fromlist=["__all__"])
            # errors, config and display are modules whose every name is public.
            public = getattr(home, "__all__", dir(home))
            assert {alias.name for alias in node.names} <= set(public)
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_") or node.attr.startswith("__")


@pytest.mark.slow
@pytest.mark.parametrize("name", STORY[:2])
def test_another_recording_by_one_parameter(name: str, tmp_path: Path):
    """The notebooks of landing and exploring on a public recording of microservices."""
    if not (TRAINTICKET / "continuous.parquet").is_file():
        pytest.skip("shared/data/trainticket is absent: no other recording to try them on")
    papermill = pytest.importorskip("papermill")
    papermill.execute_notebook(
        NOTEBOOKS / f"{name}.ipynb",
        tmp_path / "out.ipynb",
        parameters={
            "source": str(TRAINTICKET / "continuous.parquet"),
            "mapping": MAPPING,
            "data": str(tmp_path / "data"),
            "every": "1m",
        },
        kernel_name="python3",
        progress_bar=False,
    )
    done = json.loads((tmp_path / "out.ipynb").read_text(encoding="utf-8"))
    said = json.dumps([cell.get("outputs") for cell in done["cells"]])
    assert "805,257" in said if name.startswith("01") else "application/vnd.plotly" in said


def test_notebooks_are_put_where_somebody_works_and_stay_as_they_are_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    hostile = tmp_path / 'a "quoted" lab'
    arguments = [
        "notebook",
        str(tmp_path / "mine"),
        "--data",
        str(hostile),
        "--copy-only",
        "--json",
    ]
    assert main(arguments) == 0
    written = json.loads(capsys.readouterr().out)["notebooks"]
    assert [Path(name).stem for name in written] == STORY
    for name in written:
        cells = nbformat.read(name, as_version=4).cells
        parameters = next(c for c in cells if "parameters" in c.metadata.get("tags", []))
        values: dict[str, object] = {}
        exec(parameters.source, values)
        assert values["data"] == str(hostile.resolve())
    Path(written[0]).write_text("mine")
    assert main(arguments) == 0
    assert Path(written[0]).read_text() == "mine"
    (tmp_path / "file").write_text("")
    assert main(["notebook", str(tmp_path / "file"), "--copy-only"]) == 2
    assert "cannot hold the notebooks" in capsys.readouterr().err
