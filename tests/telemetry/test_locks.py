"""Locks are shared fairly enough that nobody waits in vain."""

from __future__ import annotations

import itertools
import threading
import time

from evolution_lab.telemetry.locks import file_lock


def test_who_takes_a_lock_again_and_again_lets_others_have_it(tmp_path):
    """Eight threads that are greedy each get their turns, none waits for all the others to end."""
    path, turns = tmp_path / "busy.lock", []

    def work(name: int) -> None:
        for _ in range(12):
            with file_lock(path, wait_seconds=20.0):
                turns.append(name)
                time.sleep(0.002)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 96
    alone = max(len(list(run)) for _, run in itertools.groupby(turns[:48]))
    assert alone <= 3
