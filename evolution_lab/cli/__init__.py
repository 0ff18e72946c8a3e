"""The command line ``evolution-lab``: thin, in the order of the line.

Exit codes: 0 done, whatever was found; 1 a check asked for failed; 2 it could not run. Results go to
stdout (with ``--json`` one JSON document and nothing else), messages and progress to stderr.
"""

from evolution_lab.cli.app import main

__all__ = ["main"]
