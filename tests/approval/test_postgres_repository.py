"""What is particular to PostgreSQL: who creates and migrates, and what is told when it is not there."""

from __future__ import annotations

import psycopg
import pytest

from evolution_lab.approval import PostgresSpecSuggestionRepository, SpecSuggestionOrchestrator
from evolution_lab.approval.postgres_repository import MIGRATIONS
from evolution_lab.config import EvolutionConfig
from evolution_lab.errors import ConfigError, FormatVersionError, LakeError
from evolution_lab.lab import Lab
from evolution_lab.telemetry.postgres import PostgresPart


def test_an_older_schema_is_brought_up_to_date_and_keeps_its_rows(postgres, suggestion):
    old = PostgresPart(postgres, "suggestions", MIGRATIONS[:1])
    with old.transaction():
        pass
    orchestrator = SpecSuggestionOrchestrator(PostgresSpecSuggestionRepository(postgres))
    orchestrator.submit(suggestion())
    assert orchestrator.list() == (suggestion(),)
    with psycopg.connect(postgres) as connection:
        rows = connection.execute("SELECT * FROM evolution_lab_formats").fetchall()
        indices = connection.execute("SELECT indexname FROM pg_indexes").fetchall()
    assert rows == [("suggestions", len(MIGRATIONS))]
    assert ("spec_suggestions_by_status",) in indices


def test_a_newer_schema_is_refused(postgres):
    with PostgresSpecSuggestionRepository(postgres).transaction():
        pass
    with psycopg.connect(postgres) as connection:
        connection.execute("UPDATE evolution_lab_formats SET format_version = 99")
    with (
        pytest.raises(FormatVersionError, match="format_version 99"),
        PostgresSpecSuggestionRepository(postgres).transaction(),
    ):
        pass


def test_a_transaction_that_raises_leaves_nothing(postgres, suggestion):
    repository = PostgresSpecSuggestionRepository(postgres)

    def fail() -> None:
        with repository.transaction() as table:
            table.save(suggestion(), at=suggestion().created_at)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with repository.transaction() as table:
        assert table.select() == ()


@pytest.mark.parametrize("text", ["'; DROP TABLE spec_suggestions; --", "\x1b[31mx", "名前 🎉 :id"])
def test_hostile_text_comes_back_as_it_was(postgres, suggestion, text):
    orchestrator = SpecSuggestionOrchestrator(PostgresSpecSuggestionRepository(postgres))
    made = suggestion(key=text)
    orchestrator.submit(made)
    orchestrator.reject(made.id, reviewer=text, notes=f"{text}\0")
    kept = orchestrator.get(made.id)
    assert kept.target.operation.key == text
    assert kept.approvals[0].notes == f"{text}\N{REPLACEMENT CHARACTER}"


def test_the_password_is_told_nowhere():
    url = "postgresql://ada:s3cret@127.0.0.1:9/lab"
    repository = PostgresSpecSuggestionRepository(url)
    with pytest.raises(LakeError) as caught, repository.transaction():
        pass
    config = EvolutionConfig(state_url=url)
    shown = f"{caught.value}{repository!r}{config!r}{config.to_settings()}"
    assert "s3cret" not in shown
    assert "ada:***@127.0.0.1" in str(caught.value)
    with pytest.raises(ConfigError, match="must be postgresql://"):
        PostgresSpecSuggestionRepository("mysql://ada@db/lab")


def test_a_lab_keeps_its_decisions_where_the_team_does(postgres, suggestion, tmp_path):
    labs = [
        Lab(tmp_path / name, config=EvolutionConfig(state_url=postgres)) for name in ("one", "two")
    ]
    repository = PostgresSpecSuggestionRepository(postgres)
    SpecSuggestionOrchestrator(repository).submit(suggestion())
    labs[0].reject(suggestion().id, reviewer="ada", notes="no")
    assert [each.status for each in labs[1].suggestions()] == ["rejected"]
