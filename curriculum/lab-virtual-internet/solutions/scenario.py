import libp2p_lab as lab


def build(plan):
    ways = {tuple(pair.split()): seconds for pair, seconds in plan["regions"].items()}
    net = lab.sim.Internet(seed=1, regions=ways)
    kinds = {"full-cone": lab.sim.FULL_CONE, "port-restricted": lab.sim.PORT_RESTRICTED}
    boxes = {None: None}
    for box in plan["boxes"]:
        behaviour = kinds.get(box["kind"], lab.sim.SYMMETRIC)
        boxes[box["name"]] = net.nat(box["name"], behaviour, region=box["region"])
    hosts = {}
    for host in plan["hosts"]:
        rate = None if host["mbit"] is None else lab.sim.mbit(host["mbit"])
        hosts[host["name"]] = net.host(
            host["name"], region=host["region"], nat=boxes[host["behind"]], up=rate, down=rate
        )

    def act(event):
        who = hosts[event["who"]]
        if event["do"] == "cut":
            net.at(net.now + event["for"], net.partition(who, hosts[event["from"]]))
        elif event["do"] == "crash":
            who.crash()
        else:
            net.at(net.now, who.restart)

    for event in plan["events"]:
        net.at(event["at"], act, event)
    return net


answer = build
