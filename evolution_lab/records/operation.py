"""What identifies an operation: service, key and version together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from evolution_lab.records.json_form import CAMEL_CASE


@dataclass(frozen=True, order=False)
class OperationRef:
    """An operation of a service, in one version.

    Two services' ``GET /health`` are two operations: the service, the key and the version together
    are the identity. Unknown parts are None, never an empty string.

    Attributes:
        key: Method and route template (``GET /users/{id}``), GraphQL or RPC name, or span name.
        service: The service that answers, None where nothing says it.
        version: The service's version, None where nothing says it.
        tenant_id: Set when a finding concerns one tenant only; not part of ``op_id``.

    Examples:
        >>> op = OperationRef("GET /users/{id}", service="accounts", version="1.4.0")
        >>> print(op)
        accounts · GET /users/{id} · 1.4.0
        >>> op.op_id == OperationRef("GET /users/{id}", service="billing").op_id
        False
    """

    __pydantic_config__ = CAMEL_CASE

    key: str
    service: str | None = None
    version: str | None = None
    tenant_id: str | None = None

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("key == '', must not be empty: an operation has a name.")

    @property
    def op_id(self) -> int:
        """A 63-bit id derived from the content alone: equal in every process and on every machine."""
        text = json.dumps([self.service, self.key, self.version], ensure_ascii=False)
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1

    @property
    def sort_key(self) -> tuple[str, str, str, str]:
        """The order in which operations are listed everywhere."""
        return (self.service or "", self.key, self.version or "", self.tenant_id or "")

    def without_tenant(self) -> OperationRef:
        """Return the same operation for all tenants."""
        return replace(self, tenant_id=None)

    def __str__(self) -> str:
        parts = [self.service, self.key, self.version]
        text = " · ".join(part for part in parts if part)
        return f"{text} [tenant {self.tenant_id}]" if self.tenant_id else text
