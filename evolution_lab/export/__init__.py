"""Export: takes signals, suggestions and decisions, gives files for people and for tools."""

from evolution_lab.export.envelopes import FileSystemSuggestionWriter

__all__ = ["FileSystemSuggestionWriter"]
