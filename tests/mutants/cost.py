"""E8.4b: another right answer, and wrong ones."""

from tests.mutants import Mutant


def whole(amount, limit):
    return -(-amount // limit)


def another(load, ways, price):
    """In whole numbers, as far as they go."""
    there, back, seconds = load
    sent = [there * seconds, back * seconds]
    circuits = max(whole(seconds, 120), *(whole(n, 131072) for n in sent))
    to_relay, from_relay, direct = ways
    return {
        "circuits": circuits,
        "relay_bytes": sum(sent),
        "money": price * sum(sent) / 10**9,
        "added_delay": (to_relay + from_relay) - direct,
    }


def changed(**parts):
    def cost(load, ways, price):
        return another(load, ways, price) | {k: f(load, ways, price) for k, f in parts.items()}

    return cost


one_way = changed(relay_bytes=lambda load, _w, _p: load[0] * load[2])
in_and_out = changed(relay_bytes=lambda load, _w, _p: 2 * (load[0] + load[1]) * load[2])
whole_detour = changed(added_delay=lambda _l, ways, _p: ways[0] + ways[1])
never_faster = changed(added_delay=lambda _l, ways, _p: max(0, ways[0] + ways[1] - ways[2]))
one_purse = changed(
    circuits=lambda load, _w, _p: max(
        whole(load[2], 120), whole((load[0] + load[1]) * load[2], 131072)
    )
)
timeless = changed(circuits=lambda load, _w, _p: max(1, whole(load[0] * load[2], 131072)))
gibi = changed(money=lambda load, _w, price: (load[0] + load[1]) * load[2] / 2**30 * price)


def a_number(load, ways, price):
    return 0


ANOTHER = another
MUTANTS = [
    Mutant(one_way, "bytes"),
    Mutant(in_and_out, "bytes"),
    Mutant(whole_detour, "delay"),
    Mutant(never_faster, "delay"),
    Mutant(one_purse, "circuits"),
    Mutant(timeless, "circuits"),
    Mutant(gibi, "money"),
    Mutant(a_number, "wrong-type"),
]
