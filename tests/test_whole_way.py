"""The whole way of one change: signal, suggestion, approval, rollout, adopted, golden suite."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from evolution_lab.cli import main
from evolution_lab.demo.walkthrough import walk_through
from evolution_lab.errors import EvolutionLabError
from evolution_lab.experiments import (
    InForce,
    SpecExperiment,
    SpecExperimentAdapter,
    SpecExperimentRunner,
    file_source,
)
from evolution_lab.experiments.in_force import STATE_IN_FORCE
from evolution_lab.lab import Lab

pytestmark = pytest.mark.slow
"""The whole demo is its beginning: a minute and a half."""
SETTINGS = {
    "unit": "request",
    "stages": [
        {"share": 0.5, "minimumDwell": timedelta(0)},
        {"share": 1.0, "minimumDwell": timedelta(0)},
    ],
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    folder = tmp_path_factory.mktemp("whole")
    walk_through(folder / "data", folder / "reports")
    return Lab(folder / "data", reports=folder / "reports")


def drafted(lab: Lab) -> SpecExperiment:
    """Approve what can be tried, until one is: not all that is asked changes a spec."""
    for suggestion in lab.suggestions("pending"):
        if suggestion.target.operation is None or suggestion.overlay is None:
            continue
        lab.approve(suggestion.id, reviewer="ada", notes="let us try it")
        try:
            return lab.draft_experiment(suggestion.id, settings=SETTINGS)
        except EvolutionLabError:
            lab.reopen(suggestion.id, reviewer="ada", why="cannot be tried")
    raise AssertionError("no suggestion of the sample can be tried")


def served(lab: Lab, definition: SpecExperiment, stage: int, calls: int) -> None:
    """Count calls as a service would that assigns by the state in force."""
    in_force = InForce(file_source(lab.data / STATE_IN_FORCE), background=False)
    in_force.refresh()
    (runner,) = in_force.runners(definition.operation)
    assert runner == SpecExperimentRunner(definition, stage)
    adapter = SpecExperimentAdapter(in_force, lab.data)
    for number in range(calls):
        assignment = runner.assign(f"request-{stage}-{number}")
        adapter.track_outcome(
            definition,
            assignment,
            execution_id=f"{stage}-{number}",
            duration_ns=5_000_000,
            success=bool(number % 200),
        )
    adapter.close()


def test_a_signal_becomes_a_spec_that_is_in_force_and_guarded(lab: Lab, tmp_path: Path) -> None:
    definition = drafted(lab)
    suggestion = lab.suggestion(str(definition.suggestion_id))
    assert suggestion.signal_ids
    lab.register_experiment(definition, actor="ada", reason="try it")
    lab.experiments.start(definition.key, actor="ada")
    controller, release = lab.rollout_controller(interval=timedelta(minutes=1))
    served(lab, definition, 0, 5000)
    assert [d.action for d in controller.look()] == ["advance"]
    served(lab, definition, 1, 2500)
    assert [d.action for d in controller.look()] == ["complete"]
    release()

    adopted = lab.suggestion(suggestion.id)
    assert adopted.status == "adopted"
    effect = adopted.proposal.metadata["realisedEffect"]
    low, high = effect["errorRate"]["interval"]
    assert low < 0 < high
    history = lab.experiments.history(definition.key)
    assert [entry.action for entry in history] == [
        "register",
        "start",
        "advance",
        "complete",
        "adopt",
    ]
    assert lab.experiments.get(definition.key).status == "completed"
    assert len(lab.rollout_decisions(definition.key)) == 2

    suite = tmp_path / "test_guarded.py"
    asked = ["test", "generate", "--for-suggestion", suggestion.id[:8], "--output", str(suite)]
    target = ["--runner", "http", "--base-url", "http://127.0.0.1:9", "--data", str(lab.data)]
    assert main([*asked, *target]) == 0
    assert "def test_" in suite.read_text()
    operation = suggestion.target.operation
    assert operation is not None
    assert operation.key in suite.read_text()
    assert main([*asked, *target, "--operation", operation.key]) == 2


def test_what_the_commands_say_of_it(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = lab.experiments.list("completed")
    key, data = found.definition.key, ["--data", str(lab.data)]
    assert main(["experiment", "status", key, *data]) == 0
    shown = capsys.readouterr().out
    assert "completed, stage 2 of 2" in shown
    assert "complete: " in shown
    assert main(["experiment", "evaluate", key, "--json", *data]) == 0
    assert '"guardrails"' in capsys.readouterr().out
    assert main(["experiment", "evaluate", key, "--from-telemetry", *data]) == 0
    assert "No request of the variant was counted" in capsys.readouterr().out
    assert lab.harmful_experiments() == ()
    assert main(["experiment", "run", "--once", *data]) == 0
    assert main(["experiment", "advance", key, "--by", "ada", *data]) == 2
    assert "--why" in capsys.readouterr().err
    assert main(["experiment", "rollback", key, "--by", "ada", "--why", "no", *data]) == 2
    assert "completed" in capsys.readouterr().err


def test_the_report_tells_of_it(lab: Lab) -> None:
    (found,) = lab.experiments.list("completed")
    files = lab.report()
    for path in files.paths:
        text = path.read_text(encoding="utf-8")
        assert found.definition.key in text
        assert "Rollouts" in text or '"rollouts"' in text
        assert "Every guardrail is shown to lie within its boundary" in text


def test_a_configuration_is_simulated_at_the_traffic_of_the_lab(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = lab.experiments.list("completed")
    figure = tmp_path / "told.html"
    asked = ["experiment", "simulate", found.definition.key, "--rollouts", "20"]
    assert main([*asked, "--figure", str(figure), "--data", str(lab.data)]) == 0
    assert "as good as the control" in capsys.readouterr().out
    assert figure.stat().st_size > 10_000
