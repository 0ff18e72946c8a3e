from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from evolution_lab.errors import InputError
from evolution_lab.windows.engines import engine_name


def test_names_the_engine_that_was_meant():
    with pytest.raises(InputError, match=r"must be one of polars, spark.*Did you mean 'spark'"):
        engine_name("sparc")


def test_refuses_histograms_on_spark():
    with pytest.raises(InputError, match="no latency histograms"):
        engine_name("spark", latency_bins=True)


def test_an_installed_spark_costs_nobody_else_anything(tmp_path: Path):
    """pandera would import it, warn, and bind a cluster's driver to an address of this machine."""
    (tmp_path / "pyspark").mkdir()
    (tmp_path / "pyspark" / "__init__.py").write_text("raise RuntimeError('imported')")
    program = """
        import os, sys, warnings
        sys.path.insert(0, sys.argv[1])
        warnings.simplefilter("error")
        import evolution_lab.lab
        assert "SPARK_LOCAL_IP" not in os.environ
        try:
            import pyspark
        except RuntimeError:
            print("left alone")
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "left alone\n", done.stderr
