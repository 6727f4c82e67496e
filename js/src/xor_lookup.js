// A lookup up to a certain step: what is known of whom, and who is asked next.

const KINDS = ["waiting", "answered", "failed"];

/** Replays the first `count` steps of a trail: the shortlist, the lanes, and whom the rule asks next. */
export function stateAfter(trail, count) {
  const states = new Map(trail.seeds.map((peer) => [peer, { kind: "heard", round: 1, by: null }]));
  let inFlight = 0;
  let last = null;
  let time = 0;
  for (const [when, kind, peer, round, lane, named, why] of trail.steps.slice(0, count)) {
    time = when;
    const state = states.get(peer) ?? { kind: "heard", round, by: null };
    states.set(peer, { ...state, kind: KINDS[kind], lane, why });
    inFlight += kind === 0 ? 1 : -1;
    for (const other of named) if (!states.has(other)) states.set(other, { kind: "heard", round: state.round + 1, by: peer });
    last = { kind: KINDS[kind], peer, named, why };
  }
  const alive = trail.order.filter((peer) => states.has(peer) && states.get(peer).kind !== "failed");
  const shortlist = alive.slice(0, trail.k);
  const free = Math.max(0, trail.alpha - inFlight);
  const next = shortlist.filter((peer) => states.get(peer).kind === "heard").slice(0, free);
  const isOver = shortlist.every((peer) => states.get(peer).kind === "answered");
  return { states, shortlist, next, inFlight, last, time, isOver };
}

/** Each request as a bar: [lane, from, to, peer, failed, hop]. */
export function requests(trail) {
  const open = new Map();
  const bars = [];
  for (const [when, kind, peer, round, lane] of trail.steps) {
    if (kind === 0) open.set(peer, [lane, when, round]);
    else if (open.has(peer)) {
      const [place, start, hop] = open.get(peer);
      open.delete(peer);
      bars.push([place, start, when, peer, kind === 2, hop]);
    }
  }
  for (const [peer, [place, start, hop]] of open) bars.push([place, start, trail.seconds, peer, false, hop]);
  return bars;
}
