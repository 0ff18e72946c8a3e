"""One contract for every place where experiments are kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from evolution_lab.errors import CorruptFileError, ExperimentStateError, FormatVersionError
from evolution_lab.experiments import (
    Binding,
    DuckDBExperimentRepository,
    ExperimentRepository,
    Guardrail,
    HistoryEntry,
    InMemoryExperimentRepository,
    Namespace,
    PostgresExperimentRepository,
    RegisteredExperiment,
    SpecExperiment,
    SpecExperimentRegistry,
    Stage,
    repository_outcomes,
)
from evolution_lab.experiments.counters import ArmCounts, RolloutCounts, StageCounts
from evolution_lab.experiments.decisions import CountedOutcomes, Look, RolloutDecision, decide
from evolution_lab.experiments.postgres_repository import MIGRATIONS
from evolution_lab.telemetry.postgres import PostgresPart
from evolution_lab.telemetry.state import open_state

NOW = datetime(2026, 3, 2, 10, 15, 0, 123456, tzinfo=UTC)
ARM = {"operation": "checkout"}
DEFINITION = SpecExperiment(
    key="try",
    operation="checkout",
    control=Binding(version="1", **ARM),
    variant=Binding(version="2", handler="näw", **ARM),
    stages=(Stage(share=0.05, minimum_dwell=timedelta(minutes=3)), Stage(share=1.0)),
    guardrails=(Guardrail(metric="error_rate", boundary=0.1, relative_margin=0.25),),
    namespace=Namespace(name="pricing", start=0.25, end=0.75),
    targeting={"country": {"$in": ["NL", "BE"]}, "age": {"$gte": 18}},
    forced={"'; DROP TABLE spec_experiments; --": "variant"},
    hold_out=0.05,
)
DRAFT = RegisteredExperiment(definition=DEFINITION, created_at=NOW, updated_at=NOW)


def counts(requests: int, failed: int = 0) -> CountedOutcomes:
    variant = ArmCounts(requests=requests, failed=failed)
    stages = (StageCounts(0.05, variant=variant), StageCounts(1.0))
    newest = NOW + timedelta(seconds=requests)
    return CountedOutcomes(counts=RolloutCounts(stages), newest=newest)


def look(number: int) -> tuple[Look, RolloutDecision]:
    at = NOW + number * timedelta(minutes=1)
    seen = Look(
        number=number, at=at, stage=0, entered_at=NOW, outcomes=counts(100 * number, number)
    )
    return seen, decide(DEFINITION, seen)


@pytest.fixture(params=["memory", "duckdb", "postgres"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> ExperimentRepository:
    if request.param == "memory":
        return InMemoryExperimentRepository()
    if request.param == "postgres":
        return PostgresExperimentRepository(request.getfixturevalue("postgres"))
    return DuckDBExperimentRepository(tmp_path)


def test_an_experiment_comes_back_as_it_was_saved(repository: ExperimentRepository) -> None:
    later = replace(DRAFT, status="running", stage=1, stage_since=NOW + timedelta(hours=1))
    with repository.transaction() as table:
        assert table.get("try", 1) is None
        table.save(DRAFT)
    with repository.transaction() as table:
        assert table.get("try", 1) == DRAFT
        table.save(later)
        assert table.get("try", 1) == later
        assert table.get("try", 2) is None


def test_they_are_sorted_by_key_and_version_and_chosen_by_state(
    repository: ExperimentRepository,
) -> None:
    def of(key: str, version: int, status: str) -> RegisteredExperiment:
        definition = replace(DEFINITION, key=key, version=version)
        return replace(DRAFT, definition=definition, status=status)

    wanted = [of("B", 1, "draft"), of("a", 2, "running"), of("a", 10, "draft"), of("b", 1, "draft")]
    with repository.transaction() as table:
        for experiment in reversed(wanted):
            table.save(experiment)
    with repository.transaction() as table:
        assert list(table.select()) == wanted
        assert list(table.select("running")) == wanted[1:2]


def test_history_is_appended_and_numbered(repository: ExperimentRepository) -> None:
    entry = HistoryEntry(
        key="try", version=1, at=NOW, actor="ada", action="hold", reason="it's early",
        payload={"logE": -1.25, "evidence": [{"kind": "errors", "n": 3}], "ключ": None},
    )  # fmt: skip
    with repository.transaction() as table:
        assert table.append(entry).sequence == 1
        assert table.append(replace(entry, version=2)).sequence == 1
    with repository.transaction() as table:
        assert table.append(replace(entry, action="advance")).sequence == 2
        first, second = table.history("try", 1)
    assert first == replace(entry, sequence=1)
    assert (second.sequence, second.action) == (2, "advance")


def test_a_writer_rewrites_its_own_counts_and_no_others(repository: ExperimentRepository) -> None:
    with repository.transaction() as table:
        assert table.counts("try", 1) == {}
        assert table.put_counts("try", 1, "b", 1, counts(5))
        assert table.put_counts("try", 1, "a", 1, counts(7, 2))
        assert table.put_counts("try", 2, "a", 1, counts(100))
    with repository.transaction() as table:
        assert table.put_counts("try", 1, "b", 2, counts(6))
        assert not table.put_counts("try", 1, "b", 2, counts(1))  # A late one
        assert not table.put_counts("try", 1, "b", 1, counts(1))
        found = table.counts("try", 1)
    assert list(found) == ["a", "b"]
    assert found == {"a": counts(7, 2), "b": counts(6)}
    together = repository_outcomes(repository)(DEFINITION)
    assert together == replace(counts(13, 2), newest=counts(7).newest)
    nothing = repository_outcomes(repository)(replace(DEFINITION, version=9))
    assert (nothing.counts, nothing.newest) == (counts(0).counts, None)


def test_looks_are_read_back_in_order_and_follow_one_another(
    repository: ExperimentRepository,
) -> None:
    looks = [look(number) for number in (1, 2, 3)]
    with repository.transaction() as table:
        assert table.last_look("try", 1) == 0
        assert table.decision("try", 1, 1) is None
        for seen, decision in looks:
            table.append_look(seen, decision)
    with (
        pytest.raises(ExperimentStateError, match="look 3 was to follow look 3"),
        repository.transaction() as table,
    ):
        table.append_look(*looks[2])
    with repository.transaction() as table:
        assert list(table.looks("try", 1)) == [seen for seen, _ in looks]
        assert list(table.looks("try", 1, after=2)) == [looks[2][0]]
        assert table.looks("try", 2) == ()
        assert table.last_look("try", 1) == 3
        assert table.decision("try", 1, 2) == looks[1][1]


def test_one_holds_the_lease_until_it_runs_out(repository: ExperimentRepository) -> None:
    def take(holder: str, minute: int) -> tuple[str, datetime]:
        now = NOW + timedelta(minutes=minute)
        with repository.transaction() as table:
            lease = table.take_lease(holder, now=now, until=now + timedelta(minutes=3))
        return lease.holder, lease.until

    assert take("a", 0) == ("a", NOW + timedelta(minutes=3))
    assert take("b", 1) == ("a", NOW + timedelta(minutes=3))
    assert take("a", 2) == ("a", NOW + timedelta(minutes=5))
    assert take("b", 5) == ("b", NOW + timedelta(minutes=8))
    assert take("a", 6)[0] == "b"
    with repository.transaction() as table:
        table.release_lease("a")
    assert take("a", 6)[0] == "b"
    with repository.transaction() as table:
        table.release_lease("b")
    assert take("a", 6)[0] == "a"


def test_the_state_in_force_is_one_document(repository: ExperimentRepository) -> None:
    with repository.transaction() as table:
        assert table.state() is None
        table.put_state(1, b'{"revision":1}')
    with repository.transaction() as table:
        table.put_state(2, '{"wer":"Ü"}'.encode())
        assert table.state() == (2, '{"wer":"Ü"}'.encode())


def test_what_raises_changes_nothing(repository: ExperimentRepository) -> None:
    with repository.transaction() as table:
        table.put_counts("try", 1, "a", 1, counts(7))

    def change_everything() -> None:
        with repository.transaction() as table:
            table.save(DRAFT)
            table.append(HistoryEntry(key="try", version=1, at=NOW, actor="a", action="x"))
            table.put_counts("try", 1, "a", 2, counts(8))
            table.append_look(*look(1))
            table.take_lease("a", now=NOW, until=NOW + timedelta(minutes=1))
            table.put_state(1, b"{}")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_everything()
    with repository.transaction() as table:
        assert table.select() == ()
        assert table.history("try", 1) == ()
        assert table.counts("try", 1) == {"a": counts(7)}
        assert table.looks("try", 1) == ()
        assert table.state() is None
        assert table.take_lease("b", now=NOW, until=NOW + timedelta(minutes=1)).holder == "b"


def test_rows_of_a_newer_version_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    repository = DuckDBExperimentRepository(tmp_path)
    with repository.transaction() as table:
        table.save(DRAFT)
    with open_state(tmp_path) as state:
        state.execute("UPDATE spec_experiments SET format_version = 2")
    with (
        pytest.raises(FormatVersionError, match="reads up to 1"),
        repository.transaction() as table,
    ):
        table.select()
    with open_state(tmp_path) as state:
        state.execute(
            """UPDATE spec_experiments SET format_version = 1, definition = '{"key": 1}'"""
        )
    with (
        pytest.raises(CorruptFileError, match="an experiment's row"),
        repository.transaction() as table,
    ):
        table.select()


def test_a_newer_schema_in_postgresql_is_refused(postgres: str) -> None:
    newer = PostgresPart(postgres, "experiments", (*MIGRATIONS, ("SELECT 1",)))
    with newer.transaction():
        pass
    repository = PostgresExperimentRepository(postgres)
    with pytest.raises(FormatVersionError, match="reads up to 1"), repository.transaction():
        pass


@pytest.mark.parametrize(
    "text", ["nul \0 in it", "'; DROP TABLE spec_experiments; --", ":key ?", "😀"]
)
def test_hostile_text_harms_no_repository(repository: ExperimentRepository, text: str) -> None:
    entry = HistoryEntry(
        key="try", version=1, at=NOW, actor=text, action="hold", reason=text, payload={text: text}
    )
    with repository.transaction() as table:
        table.save(DRAFT)
        table.append(entry)
        assert table.put_counts("try", 1, text, 1, counts(1))
    with repository.transaction() as table:
        (found,) = table.history("try", 1)
        assert table.select() == (DRAFT,)
        assert len(table.counts("try", 1)) == 1
    assert found.payload == {text: text}
    assert found.actor in {text, text.replace("\0", "\ufffd")}


def controlled(registry: SpecExperimentRegistry, names: list[str]) -> list[str]:
    """Have several threads ask for the lease at once; the names of those that got it."""
    now = NOW
    with ThreadPoolExecutor(len(names)) as pool:
        given = pool.map(
            lambda name: registry.lease(name, until=now + timedelta(minutes=3), at=now), names
        )
        return [name for name, got in zip(names, given, strict=True) if got]


def test_of_controllers_that_come_at_once_one_leads(repository: ExperimentRepository) -> None:
    names = [f"controller-{number}" for number in range(6)]
    assert len(controlled(SpecExperimentRegistry(repository), names)) == 1


def test_writers_at_once_lose_nothing(repository: ExperimentRepository) -> None:
    def write(writer: int) -> None:
        for sequence in range(1, 4):
            with repository.transaction() as table:
                table.put_counts("try", 1, f"web-{writer}", sequence, counts(10 * sequence))
                table.append(HistoryEntry(key="try", version=1, at=NOW, actor="w", action="note"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert repository_outcomes(repository)(DEFINITION).counts == counts(4 * 30).counts
    with repository.transaction() as table:
        assert [e.sequence for e in table.history("try", 1)] == list(range(1, 13))
