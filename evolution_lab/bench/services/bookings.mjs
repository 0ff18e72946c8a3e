// bookings.py in JavaScript: the same answers to the same requests. Kept for judging.
import { serve, world } from "./node_world.mjs";

const ROOMS = {
  attic: { beds: 1, rate: 59, extras: ["view", "desk"] },
  garden: { beds: 2, rate: 89.5, extras: ["terrace", "bath", "view"] },
  suite: { beds: 4, rate: 189, extras: ["bath", "kitchen", "terrace", "sauna"] },
};
const DAY = 86_400_000;
const drawn = world(Number(process.argv[2]));
const bookings = new Map();
const taken = [["suite", Date.UTC(2027, 7, 1), Date.UTC(2027, 7, 15)]];
let serial = 0;
const round = (value) => Math.round(value * 100 + 1e-9) / 100;
const day = (moment) => new Date(moment).toISOString().slice(0, 10);

function shown(name) {
  const { beds, rate, extras } = ROOMS[name];
  return { name, beds, rate, extras: drawn.shuffled(extras), photo: `https://img.rooms.test/${name}.jpg` };
}

function price(name, arrival, nights, guests) {
  let base = 0;
  for (let night = 0; night < nights; night++) {
    const date = new Date(arrival + night * DAY);
    const season = [6, 7].includes(date.getUTCMonth()) ? 1.25 : 1;
    const weekend = (date.getUTCDay() + 6) % 7 >= 4 ? 1.1 : 1;
    base += ROOMS[name].rate * season * weekend;
  }
  const rebate = nights >= 7 ? base * 0.12 : 0;
  const tax = 2.5 * guests * nights;
  const sum = base - rebate + tax;
  return { nights, base: round(base), rebate: round(rebate), tax, total: round(sum), perNight: sum / nights };
}

function wrong(body) {
  if (!(body.room in ROOMS)) return [422, { error: "room_unknown", room: body.room ?? null }];
  const nights = body.nights ?? 0;
  if (nights < 1 || nights > 21) return [422, { error: "nights_invalid", most: 21 }];
  if ((body.guests ?? 1) > ROOMS[body.room].beds) return [422, { error: "too_many_guests", beds: ROOMS[body.room].beds }];
  return null;
}

function quote(body) {
  const refused = wrong(body);
  if (refused) return refused;
  const arrival = Date.parse(body.arrival);
  return [200, {
    quoteId: `qt_${drawn.token(20)}`, price: price(body.room, arrival, body.nights, body.guests ?? 1),
    validUntil: Math.floor(drawn.now() + 900_000), leaves: day(arrival + body.nights * DAY),
  }];
}

function book(body) {
  const refused = wrong(body);
  if (refused) return refused;
  const arrival = Date.parse(body.arrival);
  const leaves = arrival + body.nights * DAY;
  if (taken.some(([room, start, end]) => room === body.room && arrival < end && leaves > start)) {
    return [409, { error: "room_taken", room: body.room }];
  }
  if (body.hold) taken.push([body.room, arrival, leaves]);
  const reference = drawn.uuid();
  const booking = {
    reference, code: drawn.token(6).toUpperCase(), serial: ++serial,
    state: (body.deposit ?? 0) > 0 ? "confirmed" : "pending", room: shown(body.room), arrival: body.arrival,
    leaves: day(leaves), price: price(body.room, arrival, body.nights, body.guests ?? 1),
    bookedAt: new Date(drawn.now()).toISOString(), calendar: `https://rooms.test/ics/${reference}.ics`,
  };
  bookings.set(reference, booking);
  return [201, booking];
}

function rooms(query) {
  const [beds, size, start] = [Number(query.beds ?? 1), Number(query.size ?? 2), Number(query.from ?? 0)];
  const fitting = Object.keys(ROOMS).sort().filter((name) => ROOMS[name].beds >= beds);
  const following = start + size;
  return [200, {
    rooms: fitting.slice(start, following).map(shown), matches: fitting.length,
    page: { size, token: following < fitting.length ? `${following}.${drawn.token(8)}` : null },
    servedBy: `node-${drawn.token(4)}`,
  }];
}

serve((method, path, query, body) => {
  const parts = path.replace(/^\/|\/$/g, "").split("/");
  if (parts[0] === "rooms" && method === "GET") {
    if (parts.length === 1) return rooms(query);
    return parts[1] in ROOMS ? [200, shown(parts[1])] : [404, { error: "room_unknown", room: parts[1] }];
  }
  if (parts[0] === "quotes" && method === "POST") return quote(body ?? {});
  if (parts[0] === "bookings" && method === "POST" && parts.length === 1) return book(body ?? {});
  const booking = parts[0] === "bookings" ? bookings.get(parts[1]) : undefined;
  if (parts[0] !== "bookings") return [404, { error: "path_unknown" }];
  if (!booking) return [404, { error: "booking_unknown" }];
  if (method === "DELETE") {
    booking.state = "released";
    return [200, { code: booking.code, state: "released" }];
  }
  return [200, booking];
});
