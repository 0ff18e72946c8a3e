"""``python -m evolution_lab`` is the command ``evolution-lab``."""

from __future__ import annotations

import sys

from evolution_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
