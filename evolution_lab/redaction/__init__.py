"""Any text or value in; the same without personal data or secrets out.

Takes what strangers wrote: messages, codes, names, attributes, lines that could not be read. Gives
them back with masks such as ``[email]`` in place of what recognisers found, and keyed pseudonyms for
people (``actor_3f9c…``) that stay equal within one lab and mean nothing outside it. ``LabKey`` is
that lab's key, ``Redactor`` does the work, ``Finding`` says where something was found.
"""

from __future__ import annotations

from evolution_lab.redaction.pseudonyms import LabKey
from evolution_lab.redaction.recognisers import Finding
from evolution_lab.redaction.redactor import Redactor

__all__ = ["Finding", "LabKey", "Redactor"]
