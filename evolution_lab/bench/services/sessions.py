"""Sign-in: random tokens, times of expiry, counters of what is left, errors that say which."""

from __future__ import annotations

from typing import Any

from evolution_lab.bench.services.world import Request, Response, World

MEMBERS: dict[str, dict[str, Any]] = {
    "kim": {"pin": "4711", "role": "admin", "quota": 50},
    "lou": {"pin": "1234", "role": "editor", "quota": 20},
    "max": {"pin": "9999", "role": "reader", "quota": 5},
}
LIFETIME = 3600


class Service:
    """Signs members in and out."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[str, str] = {}
        self._sign_ins = 0

    def call(self, request: Request) -> Response:
        """Return the answer to a request."""
        if request.method == "POST" and request.path == "/sessions":
            return self._sign_in(request.body or {})
        parts = request.path.strip("/").split("/")
        if parts[0] != "sessions" or len(parts) != 2:
            return 404, {"type": "about:blank", "title": "Not found", "status": 404}
        member = self._open.get(parts[1])
        if member is None:
            return 401, {"type": "/problems/session", "title": "No such session", "status": 401}
        if request.method == "DELETE":
            del self._open[parts[1]]
            return 200, {"ended": True, "member": member}
        return 200, self._profile(member)

    def _sign_in(self, body: dict[str, Any]) -> Response:
        member, pin = body.get("member"), body.get("pin")
        if not member or not pin:
            return 422, {"type": "/problems/input", "title": "member and pin", "status": 422}
        if member not in MEMBERS or MEMBERS[member]["pin"] != pin:
            return 403, {"type": "/problems/pin", "title": "Wrong pin", "status": 403}
        self._sign_ins = self._sign_ins + 1
        token = self._world.token(32)
        self._open[token] = member
        now = int(self._world.now())
        remember = 24 if body.get("remember") else 1
        return 201, {
            "session": token,
            "issued": now,
            "expires": now + LIFETIME * remember,
            "lifetime": LIFETIME * remember,
            "attempt": self._sign_ins,
            "profileUrl": f"/sessions/{token}",
            "member": self._profile(member),
        }

    def _profile(self, member: str) -> dict[str, Any]:
        known = MEMBERS[member]
        rights = ["read"]
        if known["role"] != "reader":
            rights.append("write")
        if known["role"] == "admin":
            rights.append("grant")
        return {
            "name": member,
            "role": known["role"],
            "rights": self._world.shuffled(rights),
            "quota": {"limit": known["quota"], "low": known["quota"] <= 5},
        }
