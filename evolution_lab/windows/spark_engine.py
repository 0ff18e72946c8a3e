"""``SparkEngine``: the window aggregation on Spark; needs the extra ``spark`` and Java 17 or newer."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
import polars as pl

from evolution_lab.errors import EngineError, MissingExtraError
from evolution_lab.windows.portable import COLUMNS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL_MASTER: Final = "local[*]"
_TYPES: Final = {
    "op_id": "BIGINT",
    "timestamp": "TIMESTAMP",
    "duration_ns": "BIGINT",
    "success": "BOOLEAN",
    "status_code": "INT",
    "error_code": "STRING",
    "weight": "DOUBLE",
    "kind": "STRING",
    "trace_id": "STRING",
    "span_id": "STRING",
    "parent_span_id": "STRING",
}
_WILDCARDS: Final = str.maketrans({character: f"\\{character}" for character in "{}[]*?\\"})


class SparkEngine:
    """Spark, through a session that somebody opened; see ``spark_engine``.

    Args:
        session: A ``SparkSession``. Its workers must see the lake under the same path.
    """

    def __init__(self, session: SparkSession) -> None:
        self.session = session

    def scan(self, files: Sequence[Path]) -> nw.LazyFrame[Any]:
        """Return the columns of ``portable.COLUMNS`` of some files."""
        from pyspark.sql import functions

        schema = ", ".join(f"{name} {kind}" for name, kind in _TYPES.items())
        # Spark takes names for patterns, and the folders of days for partitions.
        paths = [f"file://{file.resolve()}".translate(_WILDCARDS) for file in files]
        rows = self.session.read.schema(schema).parquet(*paths)
        timed = rows.withColumn("time_us", functions.unix_micros("timestamp"))
        frame: nw.LazyFrame[Any] = nw.from_native(timed.select(*COLUMNS))
        return frame

    def collect(self, frame: nw.LazyFrame[Any]) -> pl.DataFrame:
        """Compute a frame on the cluster and bring it here.

        Raises:
            EngineError: The cluster could not compute it.
        """
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        try:
            # It warns of pandas 3, with which nothing here is done.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                table = frame.to_native().toArrow()
        except (PySparkException, Py4JError) as error:
            raise EngineError(f"Spark failed: {_first_line(error)}") from error
        collected = pl.from_arrow(table)
        assert isinstance(collected, pl.DataFrame)
        return collected


@contextmanager
def spark_engine(master: str = LOCAL_MASTER) -> Iterator[SparkEngine]:
    """Open Spark for a while.

    An open session of this process, as notebooks of clusters have one, is used and left open.

    Args:
        master: ``local[2]``, ``spark://HOST:PORT``, ``yarn``, ``k8s://…``. What else a cluster needs
            stands in its ``spark-defaults.conf`` (``SPARK_CONF_DIR``).

    Raises:
        MissingExtraError: PySpark is not installed.
        EngineError: There is no Java, or the session cannot be opened.
    """
    try:
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ImportError:
        raise MissingExtraError("spark", "windows on Spark") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        if (session := SparkSession.getActiveSession()) is not None:
            yield SparkEngine(session)
            return
        if shutil.which("java") is None and not _java_home():
            raise EngineError(
                "Spark needs Java 17 or newer: put java on the PATH or set JAVA_HOME."
            )
        builder = SparkSession.builder.master(master).appName("evolution-lab")
        for name, value in _settings(master).items():
            builder = builder.config(name, value)
        try:
            session = builder.getOrCreate()
        except (PySparkException, Py4JError) as error:
            raise EngineError(f"master == {master!r}: {_first_line(error)}") from error
    try:
        yield SparkEngine(session)
    finally:
        session.stop()


def _settings(master: str) -> dict[str, str]:
    settings = {"spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
    if master.startswith("local"):
        log = Path(__file__).with_name("log4j2.properties").as_uri()
        settings |= {
            "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={log}",
            "spark.ui.enabled": "false",
            "spark.driver.host": "localhost",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.sql.shuffle.partitions": "16",
        }
    return settings


def _java_home() -> str | None:
    import os

    home = os.environ.get("JAVA_HOME")
    return home if home and (Path(home) / "bin" / "java").is_file() else None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
