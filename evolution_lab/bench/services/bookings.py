"""Bookings of rooms: codes, conflicts, seasons, links built from ids, pages. Kept for judging."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from evolution_lab.bench.services.world import Request, Response, World

ROOMS: dict[str, dict[str, Any]] = {
    "attic": {"beds": 1, "rate": 59.0, "extras": ["view", "desk"]},
    "garden": {"beds": 2, "rate": 89.5, "extras": ["terrace", "bath", "view"]},
    "suite": {"beds": 4, "rate": 189.0, "extras": ["bath", "kitchen", "terrace", "sauna"]},
}
LONGEST_STAY = 21
WEEKLY_FROM = 7


class Service:
    """Books rooms."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._bookings: dict[str, dict[str, Any]] = {}
        self._taken: list[tuple[str, date, date]] = [("suite", date(2027, 8, 1), date(2027, 8, 15))]
        self._serial = 0

    def call(self, request: Request) -> Response:
        """Return the answer to a request."""
        parts = request.path.strip("/").split("/")
        if parts[0] == "rooms" and request.method == "GET":
            return self._rooms(request.query) if len(parts) == 1 else self._room(parts[1])
        if parts[0] == "quotes" and request.method == "POST":
            return self._quote(request.body or {})
        if parts[0] == "bookings":
            if request.method == "POST" and len(parts) == 1:
                return self._book(request.body or {})
            if len(parts) == 2 and parts[1] in self._bookings:
                booking = self._bookings[parts[1]]
                if request.method == "DELETE":
                    booking["state"] = "released"
                    return 200, {"code": booking["code"], "state": "released"}
                return 200, booking
            return 404, {"error": "booking_unknown"}
        return 404, {"error": "path_unknown"}

    def _rooms(self, query: dict[str, str]) -> Response:
        beds = int(query.get("beds", "1"))
        size = int(query.get("size", "2"))
        start = int(query.get("from", "0"))
        fitting = [name for name in sorted(ROOMS) if ROOMS[name]["beds"] >= beds]
        page = fitting[start : start + size]
        following = start + size
        return 200, {
            "rooms": [self._shown(name) for name in page],
            "matches": len(fitting),
            "page": {
                "size": size,
                "token": f"{following}.{self._world.token(8)}"
                if following < len(fitting)
                else None,
            },
            "servedBy": f"node-{self._world.token(4)}",
        }

    def _room(self, name: str) -> Response:
        if name not in ROOMS:
            return 404, {"error": "room_unknown", "room": name}
        return 200, self._shown(name)

    def _shown(self, name: str) -> dict[str, Any]:
        room = ROOMS[name]
        return {
            "name": name,
            "beds": room["beds"],
            "rate": room["rate"],
            "extras": self._world.shuffled(room["extras"]),
            "photo": f"https://img.rooms.test/{name}.jpg",
        }

    def _price(self, name: str, arrival: date, nights: int, guests: int) -> dict[str, Any]:
        base = 0.0
        for night in range(nights):
            day = arrival + timedelta(days=night)
            season = 1.25 if day.month in (7, 8) else 1.0
            weekend = 1.1 if day.weekday() >= 4 else 1.0
            base = base + ROOMS[name]["rate"] * season * weekend
        rebate = base * 0.12 if nights >= WEEKLY_FROM else 0.0
        tax = 2.5 * guests * nights
        return {
            "nights": nights,
            "base": round(base, 2),
            "rebate": round(rebate, 2),
            "tax": tax,
            "total": round(base - rebate + tax, 2),
            "perNight": (base - rebate + tax) / nights,
        }

    def _checked(self, body: dict[str, Any]) -> tuple[Response | None, date, int]:
        arrival = date.min
        if body.get("room") not in ROOMS:
            return (422, {"error": "room_unknown", "room": body.get("room")}), arrival, 0
        nights = body.get("nights", 0)
        if nights < 1 or nights > LONGEST_STAY:
            return (422, {"error": "nights_invalid", "most": LONGEST_STAY}), arrival, 0
        if body.get("guests", 1) > ROOMS[body["room"]]["beds"]:
            return (
                (422, {"error": "too_many_guests", "beds": ROOMS[body["room"]]["beds"]}),
                arrival,
                0,
            )
        return None, date.fromisoformat(body["arrival"]), nights

    def _quote(self, body: dict[str, Any]) -> Response:
        wrong, arrival, nights = self._checked(body)
        if wrong is not None:
            return wrong
        now = self._world.now()
        return 200, {
            "quoteId": f"qt_{self._world.token(20)}",
            "price": self._price(body["room"], arrival, nights, body.get("guests", 1)),
            "validUntil": int((now + 900) * 1000),
            "leaves": (arrival + timedelta(days=nights)).isoformat(),
        }

    def _book(self, body: dict[str, Any]) -> Response:
        wrong, arrival, nights = self._checked(body)
        if wrong is not None:
            return wrong
        leaves = arrival + timedelta(days=nights)
        for room, start, end in self._taken:
            if room == body["room"] and arrival < end and leaves > start:
                return 409, {"error": "room_taken", "room": room}
        if body.get("hold"):
            self._taken.append((body["room"], arrival, leaves))
        self._serial = self._serial + 1
        reference = self._world.uuid()
        guests = body.get("guests", 1)
        booking = {
            "reference": reference,
            "code": self._world.token(6).upper(),
            "serial": self._serial,
            "state": "confirmed" if body.get("deposit", 0) > 0 else "pending",
            "room": self._shown(body["room"]),
            "arrival": body["arrival"],
            "leaves": leaves.isoformat(),
            "price": self._price(body["room"], arrival, nights, guests),
            "bookedAt": datetime.fromtimestamp(self._world.now(), UTC).isoformat(),
            "calendar": f"https://rooms.test/ics/{reference}.ics",
        }
        self._bookings[reference] = booking
        return 201, booking
