"""Public recordings of HTTP traffic as snapshots: the ground that golden tests are measured on."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from evolution_lab.errors import PathNotFoundError
from evolution_lab.records import OperationRef
from evolution_lab.records.traffic import TrafficSnapshot

CORPORA: Final = ("easypost", "github_octokit", "keploy_typescript", "llm_pydantic_ai")
_UNKNOWN_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)


def read_lines(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the records of a file of JSON lines, packed or not.

    Raises:
        PathNotFoundError: Neither form of the file is there.
    """
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.is_file():
        with plain.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    elif packed.is_file():
        with gzip.open(packed, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    else:
        raise PathNotFoundError(plain)


def corpus(dataset: Path, name: str) -> list[TrafficSnapshot]:
    """Return the snapshots of one corpus; a source file is one session.

    Args:
        dataset: The folder that holds the corpora.
        name: One of ``CORPORA``.
    """
    return [
        _snapshot(record, index)
        for index, record in enumerate(read_lines(dataset / name, "interactions.jsonl"))
    ]


def _snapshot(record: Mapping[str, Any], index: int) -> TrafficSnapshot:
    url = urlsplit(record["url"])
    sent = {"path": url.path, "query": record["input"]["query"], "body": record["input"]["body"]}
    return TrafficSnapshot(
        id=f"{record['source']}:{record['seq']}",
        operation=OperationRef(record["operation"]),
        input=sent,
        output={"status": record["status"], "body": record["output"]},
        success=record["status"] < 400,
        timestamp=_time(record.get("recorded_at"), index),
        metadata={"sessionId": record["source"]},
    )


def _time(text: object, index: int) -> datetime:
    if isinstance(text, str):
        try:
            read = datetime.fromisoformat(text)
        except ValueError:
            return _UNKNOWN_TIME + timedelta(seconds=index)
        return read if read.tzinfo else read.replace(tzinfo=UTC)
    return _UNKNOWN_TIME + timedelta(seconds=index)


def volatile_labels(dataset: Path) -> dict[str, dict[tuple[str | int, ...], bool]]:
    """Return for each labelled call which leaves of its body its maintainers had to rewrite.

    Keys are the ids of ``corpus(dataset, "github_octokit")``, then paths within the body.
    """
    labels: dict[str, dict[tuple[str | int, ...], bool]] = defaultdict(dict)
    for line in read_lines(dataset / "github_octokit", "volatile_labels.jsonl"):
        call = f"{line['scenario']}/raw-fixture.json:{line['raw_seq']}"
        labels[call][tuple(line["json_path"])] = bool(line["volatile"])
    return dict(labels)
