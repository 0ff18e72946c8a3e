"""A missing program skips a test, and fails it where it is required."""

import pytest


def test_missing_program_skips_with_the_reason(require_or_skip, monkeypatch):
    monkeypatch.delenv("EVOLUTION_LAB_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match="node is not on the PATH"):
        require_or_skip("node", "node is not on the PATH")


def test_missing_program_fails_where_it_is_required(require_or_skip, monkeypatch):
    monkeypatch.setenv("EVOLUTION_LAB_REQUIRE", "java, browser")
    with pytest.raises(pytest.fail.Exception, match="names 'browser', but it is not there"):
        require_or_skip("browser", "it is not there")
    with pytest.raises(pytest.skip.Exception):
        require_or_skip("node", "it is not there")


def test_names_are_checked(require_or_skip):
    with pytest.raises(AssertionError, match="must be one of"):
        require_or_skip("crome", "a slip of the pen")
