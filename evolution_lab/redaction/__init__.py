"""Personal data and secrets leave here, before anything reaches the disk.

Takes any text, name or attribute, gives the same without what identifies a person or opens a door:
recognisers by value and by name (``find_all``), and pseudonyms keyed per lab (``LabKey``).
"""

from evolution_lab.redaction.pseudonyms import LabKey
from evolution_lab.redaction.recognisers import Finding, find_all
from evolution_lab.redaction.redactor import Redactor

__all__ = ["Finding", "LabKey", "Redactor", "find_all"]
