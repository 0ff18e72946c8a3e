"""What an emitted suite carries with it to judge and to call: one file a language, one a runner.

The files are plain source: emitters print them below the cases, ``running`` imports the Python ones,
and ``--import`` lets a suite import them instead. They need nothing of this package.
"""

__all__: list[str] = []
