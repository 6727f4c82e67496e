"""EN.2: a scenario is a plan, and a program that builds what the plan says.

The plan is plain JSON, as it would stand in a file:

    {"regions": {"paris tokyo": 0.24},
     "boxes": [{"name": "home", "kind": "symmetric", "region": "tokyo"}],
     "hosts": [{"name": "bob", "region": "tokyo", "behind": "home", "mbit": 10}, …],
     "events": [{"at": 5.0, "do": "crash", "who": "bob"}, {"at": 9.0, "do": "restart", "who": "bob"},
                {"at": 20.0, "do": "cut", "who": "bob", "from": "alice", "for": 3.5}]}

`behind` is None for a host on the open Internet; `mbit` is the bandwidth each way, None for no limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libp2p_lab import sim
from libp2p_lab.coursework.checks import Check, Rule
from libp2p_lab.coursework.exam import Exam
from libp2p_lab.sim.events import BoxAdded, Healed, MachineAdded, MachineChanged, Partitioned
from libp2p_lab.trace import Entry

Plan = dict[str, Any]

KINDS = {
    "full-cone": sim.FULL_CONE,
    "port-restricted": sim.PORT_RESTRICTED,
    "symmetric": sim.SYMMETRIC,
}
CITIES = ("paris", "tokyo", "lima", "accra", "quito")
NAMES = ("ada", "bela", "chidi", "dora", "emil", "fatou", "goran", "hana")


def make_plan(exam: Exam) -> Plan:
    """A plan from the exam's seed: two boxes, six hosts, four events."""
    rng = exam.rng
    cities = rng.sample(CITIES, 3)
    pairs = [(cities[0], cities[1]), (cities[0], cities[2]), (cities[1], cities[2])]
    boxes = [
        {"name": name, "kind": rng.choice(sorted(KINDS)), "region": rng.choice(cities)}
        for name in ("home", "office")
    ]
    hosts = []
    for number, name in enumerate(rng.sample(NAMES, 6)):
        box = boxes[number] if number < 2 else rng.choice([None, *boxes])
        region = box["region"] if box else rng.choice(cities)
        behind = box["name"] if box else None
        mbit = rng.choice([None, 1, 10, 100])
        hosts.append({"name": name, "region": region, "behind": behind, "mbit": mbit})
    rng.shuffle(hosts)
    one, other, third = rng.sample([host["name"] for host in hosts], 3)
    start = round(rng.uniform(2, 20), 1)
    return {
        "regions": {" ".join(pair): round(rng.uniform(0.05, 0.3), 3) for pair in pairs},
        "boxes": boxes,
        "hosts": hosts,
        "events": [
            {"at": start, "do": "crash", "who": one},
            {"at": round(start + rng.uniform(3, 30), 1), "do": "restart", "who": one},
            {
                "at": round(start + rng.uniform(1, 30), 1),
                "do": "cut",
                "who": other,
                "from": third,
                "for": round(rng.uniform(1, 9), 1),
            },
        ],
    }


def _examine_hosts(exam: Exam, net: sim.Internet, plan: Plan) -> None:
    """What stands where."""
    scene = net.scene()
    boxes = {event.name: event for event in scene if isinstance(event, BoxAdded)}
    machines = {event.name: event for event in scene if isinstance(event, MachineAdded)}
    for box in plan["boxes"]:
        name, kind = box["name"], box["kind"]
        exam.require(name in boxes, "missing", f"there is no box {name!r}")
        exam.equal(boxes[name].region, box["region"], "wrong-region", f"where {name} stands")
        is_so = net.network.boxes[name].behaviour == KINDS[kind]
        exam.require(is_so, "wrong-kind", f"{name} is no {kind} box", got=boxes[name].behaviour)
    extra = sorted(machines.keys() - {host["name"] for host in plan["hosts"]})
    exam.require(not extra, "extra", f"the plan knows no {', '.join(extra)}")
    for host in plan["hosts"]:
        name = host["name"]
        exam.require(name in machines, "missing", f"there is no host {name!r}")
        exam.equal(machines[name].box, host["behind"] or "", "not-behind", f"the box of {name}")
        exam.equal(machines[name].region, host["region"], "wrong-region", f"where {name} stands")
        rate = None if host["mbit"] is None else sim.mbit(host["mbit"])
        machine = net.network.machines[name]
        for way, pipe in (("up", machine.up), ("down", machine.down)):
            exam.require(
                (pipe.rate if pipe else None) == rate,
                "wrong-rate",
                f"the bandwidth {way} of {name}",
                got=f"{pipe.rate if pipe else None} bytes a second",
                expected=f"{rate} bytes a second",
            )
        exam.count("machines compared")
    for pair, seconds in plan["regions"].items():
        one, other = pair.split()
        found = 2 * net.network.geography.delay(one, other)
        exam.require(
            abs(found - seconds) < 1e-6,
            "wrong-distance",
            f"the way from {one} to {other} and back",
            got=f"{found:.3f} s",
            expected=f"{seconds:.3f} s",
        )


def _expected_events(plan: Plan) -> list[tuple[float, str]]:
    found = []
    for event in plan["events"]:
        match event["do"]:
            case "crash":
                found.append((event["at"], f"{event['who']} is crashed"))
            case "restart":
                found.append((event["at"], f"{event['who']} is up"))
            case _:
                ends = " and ".join(sorted((event["who"], event["from"])))
                found.append((event["at"], f"cut between {ends}"))
                found.append((round(event["at"] + event["for"], 6), f"mended between {ends}"))
    return sorted(found)


def _told(record: list[Entry]) -> list[tuple[float, str]]:
    """The same from what the internet told."""
    found, cuts = [], {}
    for entry in record:
        match entry.what:
            case MachineChanged(name, state):
                found.append((round(entry.time, 6), f"{name} is {state}"))
            case Partitioned() as cut:
                ends = cuts[cut.number] = " and ".join(sorted((*cut.a, *cut.b)))
                found.append((round(entry.time, 6), f"cut between {ends}"))
            case Healed(number):
                found.append((round(entry.time, 6), f"mended between {cuts[number]}"))
    return sorted(found)


def _examine_events(exam: Exam, plan: Plan, told: list[tuple[float, str]]) -> None:
    """What happens when."""
    for when, what in _expected_events(plan):
        times = [time for time, text in told if text == what]
        rule = "not-mended" if what.startswith("mended") else "no-event"
        exam.require(times, rule, f"nothing of the kind happened: {what}, at {when:g} s")
        exam.require(
            any(abs(time - when) < 0.001 for time in times),
            "wrong-time",
            f"not then: {what}",
            got=", ".join(f"{time:g} s" for time in times),
            expected=f"{when:g} s",
        )
        exam.count("events compared")


async def examine_scenario(exam: Exam, build: Callable[[Plan], sim.Internet]) -> None:
    """EN.2: what the program builds from a plan that it has not seen, and what happens there."""
    import ifaddr  # noqa: F401 - its import asks the linker, which would count as the answer's doing

    plan = make_plan(exam)
    net = exam.call(build, plan)
    exam.require(isinstance(net, sim.Internet), "no-internet", "build gives the internet back")
    record: list[Entry] = []
    try:
        exam.require(net.now == 0, "ran-already", f"it is {net.now:g} s: let the examiner run it")
        stop = net.trace.listen(record.append)
        _examine_hosts(exam, net, plan)
        net.run(until=90.0)
        stop()
    finally:
        net.close()
    _examine_events(exam, plan, _told(record))


SCENARIO = Check(
    id="net.scenario",
    exercise="EN.2",
    title="An internet from its plan",
    level="L3",
    points=2,
    objectives=("1.1",),
    starter='''\
def build(plan):
    """The lab.sim.Internet that the plan describes, its events included. Do not run it."""
    raise NotImplementedError


await lab.check("net.scenario", build)
''',
    hints=(
        "Begin with the regions: the first argument of section 1's Internet. Then boxes, then hosts, then net.at for "
        "each event.",
        "net.nat takes behaviour=lab.sim.SYMMETRIC and region=…; net.host takes nat=box and up=, down= in bytes a "
        "second, for which lab.sim.mbit(10) is short. What net.at is given runs at that moment and not before.",
        'for event in plan["events"]: net.at(event["at"], act, event), with def act(event): …; a cut is '
        'heal = net.partition(hosts[event["who"]], hosts[event["from"]]), and net.at(net.now + event["for"], heal).',
    ),
    rules=(
        Rule("no-internet", "Return the lab.sim.Internet that you built."),
        Rule("ran-already", "Build only: net.run and net.run_for are for who uses the scenario."),
        Rule(
            "missing",
            "Every box and every host of the plan stands in the internet, under its name.",
        ),
        Rule("extra", "Only what the plan names stands there."),
        Rule("wrong-region", "Boxes and hosts stand in the region that the plan says: region=…."),
        Rule(
            "wrong-distance",
            'The keys of plan["regions"] are "one other"; Internet takes (one, other).',
        ),
        Rule(
            "wrong-kind",
            "The kind of a box is its behaviour: lab.sim.FULL_CONE, PORT_RESTRICTED or SYMMETRIC.",
        ),
        Rule(
            "not-behind",
            "A host behind a box is made with nat=box; one with None is on the open Internet.",
        ),
        Rule(
            "wrong-rate",
            "mbit is millions of bits a second, up= and down= take bytes: lab.sim.mbit does the sum. "
            "None is no limit, and both directions count.",
        ),
        Rule("no-event", "Each event of the plan has to happen by itself: net.at(time, function)."),
        Rule(
            "not-mended", "A cut ends after event['for'] seconds: call what net.partition returned."
        ),
        Rule(
            "wrong-time",
            "The times of the plan are seconds from the beginning, and a cut ends `for` seconds after "
            "its own beginning.",
        ),
    ),
    examine=examine_scenario,
    time_limit=60.0,
)
