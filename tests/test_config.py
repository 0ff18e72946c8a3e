"""Settings: where they come from, what they refuse."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from evolution_lab.config import EvolutionConfig, format_timedelta, load_config, parse_duration
from evolution_lab.errors import ConfigError, PathNotFoundError


def test_flag_wins_over_environment_over_file_over_default(tmp_path: Path):
    (tmp_path / "evolution_lab.toml").write_text('window = "5m"\nalpha = 0.01\n', encoding="utf-8")
    environment = {"EVOLUTION_LAB_WINDOW": "10m"}
    from_file = load_config(data_dir=tmp_path, environment={})
    assert (from_file.window, from_file.alpha) == (timedelta(minutes=5), 0.01)
    assert load_config(data_dir=tmp_path, environment=environment).window == timedelta(minutes=10)
    flag = load_config(data_dir=tmp_path, environment=environment, window="15m")
    assert flag.window == timedelta(minutes=15)
    assert flag.alpha == 0.01


def test_unknown_setting_names_the_nearest(tmp_path: Path):
    (tmp_path / "evolution_lab.toml").write_text('windw = "5m"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"unknown setting 'windw'\. Did you mean 'window'"):
        load_config(data_dir=tmp_path, environment={})


def test_broken_file_is_named(tmp_path: Path):
    (tmp_path / "evolution_lab.toml").write_text("window = \n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"evolution_lab\.toml is not valid TOML"):
        load_config(data_dir=tmp_path, environment={})


def test_a_named_file_must_exist(tmp_path: Path):
    with pytest.raises(PathNotFoundError, match="does not exist"):
        load_config(path=tmp_path / "none.toml", environment={})


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("window", "7m", "divide a day"),
        ("window", "soon", "must be a number and one of"),
        ("window", 900, "must be like the default '15m'"),
        ("traffic_sample_rate", 0.2, "between 0 and 0.05"),
        ("auto_approve_threshold", 0.3, "below 0.3"),
        ("auto_approve_threshold", 0.9, "between 0 and 0.3"),
        ("rollout_stages", "0.5,0.1", "rise strictly"),
        ("throughput_drop", "a lot", "must be like the default 0.3"),
        ("false_incidents_per_week", 0, "must be > 0"),
        ("require_approval", "perhaps", "must be like the default True"),
    ],
)
def test_values_that_break_their_rule(name: str, value: object, rule: str):
    with pytest.raises(ConfigError, match=rule):
        load_config(environment={}, **{name: value})


def test_operations_override_boundaries_only(tmp_path: Path):
    file = tmp_path / "evolution_lab.toml"
    file.write_text('[operations."billing.*"]\nthroughput_drop = 0.5\n', encoding="utf-8")
    config = load_config(path=file, environment={})
    assert config.for_operation("billing.createInvoice").throughput_drop == 0.5
    assert config.for_operation("cart.add").throughput_drop == 0.3
    file.write_text('[operations."billing.*"]\nalpha = 0.5\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="'alpha', which cannot be overridden"):
        load_config(path=file, environment={})


def test_text_values_are_read_by_type():
    environment = {
        "EVOLUTION_LAB_EXCLUDE": "GET /health*, GET /metrics",
        "EVOLUTION_LAB_REQUIRE_APPROVAL": "false",
        "EVOLUTION_LAB_AUTO_APPROVE_THRESHOLD": "none",
        "EVOLUTION_LAB_ROLLOUT_STAGES": "0.05,1",
    }
    config = load_config(environment=environment)
    assert config.exclude == ("GET /health*", "GET /metrics")
    assert config.is_excluded("GET /healthz")
    assert config.require_approval is False
    assert config.auto_approve_threshold is None
    assert config.rollout_stages == (0.05, 1.0)


def test_settings_show_durations_as_they_are_written():
    settings = EvolutionConfig(window=timedelta(hours=1)).to_settings()
    assert settings["window"] == "1h"
    assert parse_duration(settings["session_gap"]) == timedelta(minutes=30)
    assert format_timedelta(timedelta(milliseconds=500)) == "500ms"
