"""Approved suggestions on a git branch, one commit each, beside whatever the team works on.

Commits are made from objects and the branch is moved in one step that fails where somebody else moved
it: neither the working tree nor the index is touched, and a process that ends on the way leaves the
branch as it was.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from evolution_lab.display import strip_controls
from evolution_lab.errors import ConfigError, DeliveryError
from evolution_lab.export import FileSystemSuggestionWriter
from evolution_lab.export.envelopes import suggestion_files
from evolution_lab.pipeline.destinations import in_force
from evolution_lab.pipeline.suggestion_events import SuggestionEvent
from evolution_lab.records import SpecSuggestion
from evolution_lab.suggestions import SpecSource

_GIT_SECONDS: Final = 60.0
_TRIES: Final = 5
_SUBJECT: Final = 72
_KEY_TRAILER: Final = "Idempotency-Key"
_PLAIN_FOLDER: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_VERBS: Final[Mapping[str, str]] = {
    "suggestion.approved": "Approve",
    "suggestion.rejected": "Reject",
    "suggestion.superseded": "Supersede",
    "suggestion.expired": "Let expire",
    "suggestion.withdrawn": "Withdraw",
    "suggestion.adopted": "Adopt",
}
_NOBODY: Final = ("evolution_lab", "evolution-lab@localhost")


@dataclass(frozen=True, kw_only=True)
class GitBranchDestination:
    """Commits envelope, overlay and changed document of every approved suggestion to a branch.

    A commit says in its last lines which suggestion and revision it is of, who decided, and the
    event's key: an event is committed once. A suggestion that is taken back later gets a commit that
    takes its overlay and document away. The branch must not be checked out; push or merge it as you
    like.

    Attributes:
        repository: A git repository: its folder, or any folder in it.
        branch: The branch, made where it is missing.
        base: Where a branch that is missing begins.
        directory: The folder of the files in it.
        specs: Knows the documents that overlays are of; None commits no changed documents.

    Raises:
        ConfigError: There is no such repository, or the branch or the folder has no plain name.
    """

    repository: Path
    branch: str = "evolution-lab/suggestions"
    base: str = "HEAD"
    directory: str = "suggestions"
    specs: SpecSource | None = None

    def __post_init__(self) -> None:
        try:
            self._git("rev-parse", "--git-dir")
        except DeliveryError as error:
            raise ConfigError(f"{self.repository} must be a git repository: {error}") from None
        try:
            self._git("check-ref-format", self._ref)
        except DeliveryError:
            raise ConfigError(f"branch == {self.branch!r}, must be a name git takes.") from None
        if self.base.startswith("-"):
            raise ConfigError(f"base == {self.base!r}, must not begin with a hyphen.")
        if not _PLAIN_FOLDER.fullmatch(self.directory):
            raise ConfigError(
                f"directory == {self.directory!r}, must be a folder in the repository of letters, "
                "digits, '.', '_' and '-', none of its parts beginning with '.'."
            )

    @property
    def name(self) -> str:
        """``git:``, the repository as it was given, the branch and the folder."""
        return f"git:{self.repository}:{self.branch}:{self.directory}"

    def wants(self, event: SuggestionEvent) -> bool:
        """Whether the event may change a file: evidence alone does not."""
        return event.type in _VERBS

    def deliver(self, event: SuggestionEvent, current: SpecSuggestion) -> None:
        """Commit the files as they have to be now; nothing where they are so already.

        Raises:
            DeliveryError: git refused, or the branch is checked out.
        """
        for _ in range(_TRIES):
            tip, start = self._resolve(self._ref), self._resolve(self.base)
            parent = tip or start
            if tip is not None and self._committed(event.key, tip, start):
                return
            present = self._present(parent, current)
            if not in_force(current) and not present:
                return
            commit = self._commit(event, current, parent, present)
            if commit is None:
                return
            self._refuse_checked_out()
            moved = self._run("update-ref", "-m", "evolution_lab", self._ref, commit, tip or "")
            if moved.returncode == 0:
                return
        raise DeliveryError(f"{self.branch}: {_said(moved)}")

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def _resolve(self, name: str) -> str | None:
        found = self._run(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"
        )
        return found.stdout.decode().strip() if found.returncode == 0 else None

    def _committed(self, key: str, tip: str, start: str | None) -> bool:
        unmerged = [tip] if start is None else [tip, f"^{start}"]
        told = self._git(
            "log", f"--format=%(trailers:key={_KEY_TRAILER},valueonly,separator=%x0A)", *unmerged
        )
        return key in told.decode("utf-8", "replace").splitlines()

    def _present(self, parent: str | None, suggestion: SpecSuggestion) -> tuple[str, ...]:
        """Return which of the suggestion's files are there, as paths in the repository."""
        if parent is None:
            return ()
        paths = [f"{self.directory}/{name}" for name in suggestion_files(suggestion)]
        listed = self._git("ls-tree", "-z", "--name-only", "--full-tree", parent, "--", *paths)
        return tuple(path for path in listed.decode().split("\0") if path)

    def _commit(
        self,
        event: SuggestionEvent,
        current: SpecSuggestion,
        parent: str | None,
        present: tuple[str, ...],
    ) -> str | None:
        """Make the commit and return its name; None where it would change nothing."""
        with tempfile.TemporaryDirectory(prefix="evolution-lab-") as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            written = Path(folder, "files")
            FileSystemSuggestionWriter(written, specs=self.specs).write_all(current)
            if parent is None:
                self._git("read-tree", "--empty", env=index)
            else:
                self._git("read-tree", parent, env=index)
            lines = [f"0 {'0' * 40}\t{path}" for path in present]
            for file in sorted(written.iterdir()):
                blob = self._git("hash-object", "-w", "--stdin", stdin=file.read_bytes())
                path = PurePosixPath(self.directory, file.name)
                lines.append(f"100644 {blob.decode().strip()}\t{path}")
            listed = "".join(f"{line}\0" for line in lines).encode()
            self._git("update-index", "-z", "--index-info", stdin=listed, env=index)
            tree = self._git("write-tree", env=index).decode().strip()
        if (
            parent is not None
            and tree == self._git("rev-parse", f"{parent}^{{tree}}").decode().strip()
        ):
            return None
        parents = () if parent is None else ("-p", parent)
        message = commit_message(event).encode("utf-8", "replace")
        made = self._git("commit-tree", tree, *parents, stdin=message, env=self._people(event))
        return made.decode().strip()

    def _people(self, event: SuggestionEvent) -> dict[str, str]:
        """Return author and committer: git's own where it knows one; at the time of the decision."""
        at = f"{int(event.at.timestamp())} +0000"
        dates = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
        if self._run("var", "GIT_COMMITTER_IDENT").returncode == 0:
            return dates
        name, email = _NOBODY
        return {
            **dates,
            **{f"GIT_{role}_NAME": name for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": email for role in ("AUTHOR", "COMMITTER")},
        }

    def _refuse_checked_out(self) -> None:
        listed = self._git("worktree", "list", "--porcelain").decode("utf-8", "replace")
        if f"branch {self._ref}" in listed.splitlines():
            raise DeliveryError(
                f"{self.branch} is checked out, must not be: check out another branch."
            )

    def _git(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> bytes:
        done = self._run(*arguments, stdin=stdin, env=env)
        if done.returncode != 0:
            raise DeliveryError(f"git {arguments[0]}: {_said(done)}")
        return done.stdout

    def _run(
        self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        # A service that git itself has started (a hook) would name another repository.
        outer = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _KEPT}
        try:
            return subprocess.run(  # noqa: S603 - arguments are one each, no shell reads them
                ["git", "-C", str(self.repository), *arguments],  # noqa: S607 - the user's git
                input=stdin,
                env={**outer, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(env or {})},
                capture_output=True,
                check=False,
                timeout=_GIT_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeliveryError(f"git cannot be run: {type(error).__name__}.") from None


_KEPT: Final = frozenset(
    f"GIT_{name}"
    for name in (
        "AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL", "EXEC_PATH",
        "CONFIG_GLOBAL", "CONFIG_SYSTEM", "CONFIG_NOSYSTEM", "CEILING_DIRECTORIES",
    )
)  # fmt: skip


def commit_message(event: SuggestionEvent) -> str:
    """Return the message of the commit for an event.

    Names and notes come from strangers: each is one line, without what terminals obey, so that none
    of them reads as one of the last lines, which tools read.
    """
    suggestion, decision = event.suggestion, event.decision
    subject = f"{_VERBS[event.type]}: {_line(suggestion.proposal.summary)}"
    parts = [textwrap.shorten(subject, _SUBJECT, placeholder=" …")]
    paragraphs = [suggestion.proposal.rationale]
    if decision is not None and decision.notes:
        paragraphs.append(f"{decision.reviewer}: {decision.notes}")
    parts += [
        textwrap.fill(_line(text), _SUBJECT, break_long_words=False) for text in paragraphs if text
    ]
    trailers = [f"Suggestion-Id: {suggestion.id}"]
    if decision is not None:
        trailers += [f"Suggestion-Revision: {decision.revision}"]
        trailers += [f"Decided-by: {_line(decision.reviewer)}"]
    trailers.append(f"{_KEY_TRAILER}: {event.key}")
    return "\n\n".join([*filter(None, parts), "\n".join(trailers)]) + "\n"


def _line(text: str) -> str:
    return " ".join(strip_controls(text).split())


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the last line git said, without what a terminal obeys."""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return strip_controls(lines[-1]) if lines else f"it ended with {done.returncode}."
