"""Inputs and outputs checked by JSON Schema 2020-12; nothing is fetched, no value ends in a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import jsonschema_rs

from evolution_lab.errors import InvalidDocumentError, InvalidPayloadError

MOST_VIOLATIONS: Final = 20
_HIDDEN: Final = "the value"


@dataclass(frozen=True, eq=False)
class InputSchema:
    """A schema, compiled once.

    Formats (``date-time``, ``uuid`` …) are checked. References into the schema itself work, all
    others are refused: checking an input never opens a file or a connection.

    Attributes:
        operation: Whose input it is, for messages.
        schema: JSON Schema 2020-12.
        side: Whether it is the operation's ``input`` or its ``output``.

    Raises:
        InvalidDocumentError: The schema is none.

    Examples:
        >>> carts = InputSchema("cart.add", {"required": ["sku"]})
        >>> carts.check({"sku": "A-1"})
        >>> carts.check({})
        Traceback (most recent call last):
        ...
        evolution_lab.errors.InvalidPayloadError: the input of 'cart.add' is not valid: / "sku" is a required property.
    """

    operation: str
    schema: Mapping[str, Any]
    side: Literal["input", "output"] = "input"
    _validator: jsonschema_rs.Draft202012Validator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            validator = jsonschema_rs.Draft202012Validator(
                dict(self.schema), offline=True, mask=_HIDDEN, validate_formats=True
            )
        except ValueError as error:
            place = getattr(error, "instance_path", None) or ()
            where = "".join(f"/{part}" for part in place) or "/"
            what = getattr(error, "message", str(error))
            raise InvalidDocumentError(
                f"the {self.side} schema of {self.operation!r} is no JSON Schema 2020-12: {where} {what}."
            ) from None
        object.__setattr__(self, "_validator", validator)

    def check(self, value: object) -> None:
        """Do nothing where an input fits.

        Raises:
            InvalidPayloadError: It does not fit, or holds what JSON has not.
        """
        try:
            violations = []
            for error in self._validator.iter_errors(value):
                where = "".join(f"/{part}" for part in error.instance_path) or "/"
                violations.append(f"{where} {error.message}")
                if len(violations) == MOST_VIOLATIONS:
                    break
        except ValueError as error:  # A set, a datetime, a key that is no text.
            raise InvalidPayloadError(
                self.operation, [f"it is no JSON value: {error}"], side=self.side
            ) from None
        if violations:
            raise InvalidPayloadError(self.operation, violations, side=self.side)
