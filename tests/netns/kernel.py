"""The same small network in a real kernel: a network namespace for each machine, NAT by nftables or iptables.

wan, a bridge, 1.2.3.0/24      relay 1.2.3.10 and .11; at the bridge itself 1.2.3.20 and .21
 ├── router A 1.2.3.101 / 10.1.0.1 ── host A 10.1.0.2
 └── router B 1.2.3.102 / 10.2.0.1 ── host B 10.2.0.2
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from tests.support import REPOSITORY

Kind = Literal["port restricted", "symmetric", "full cone"]
Tool = Literal["nft", "iptables"]
PATIENCE = 60  # seconds for one command


def why_no_upnp() -> str:
    """Why no router here opens ports when asked; "" if one can."""
    if not shutil.which("miniupnpd"):
        return "miniupnpd is not installed (Debian: apt-get install miniupnpd)"
    asked = subprocess.run(["miniupnpd", "--version"], capture_output=True, text=True, check=False)
    if "nftables" not in asked.stdout + asked.stderr:
        return "miniupnpd is not the one for nftables (Debian: apt-get install miniupnpd-nftables)"
    return ""


def why_not() -> str:
    """Why namespaces cannot be had here; "" if they can."""
    for tool in ("ip", "nft", "iptables", "conntrack"):
        if not shutil.which(tool):
            return f"{tool} is not installed (Debian: apt-get install iproute2 nftables iptables conntrack)"
    name = f"lab{os.getpid()}x"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"this user may not make network namespaces: {made.stderr.strip()}"
    rules = _nft("port restricted", "10.1.0.2")
    tried = subprocess.run(
        ["ip", "netns", "exec", name, "nft", "-f", "-"],
        input=rules,
        capture_output=True,
        text=True,
        check=False,
    )
    subprocess.run(["ip", "netns", "del", name], check=False)
    return f"this kernel has no NAT: {tried.stderr.strip()}" if tried.returncode else ""


def remove_leftovers() -> list[str]:
    """Remove the machines of runs that were killed; their names."""
    command = ["ip", "netns", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    names = [line.split()[0] for line in listed.stdout.splitlines() if line.strip()]
    found = [(name, re.fullmatch(r"lab(\d+)-\w+", name)) for name in names]
    left = [name for name, ours in found if ours and not Path("/proc", ours[1]).exists()]
    for name in left:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
    return left


class KernelLab:
    """The network. Use it as a context manager."""

    def __init__(self) -> None:
        self._prefix = f"lab{os.getpid()}-"
        self._made: list[str] = []
        self._port = 5000
        self._relay: subprocess.Popen[str] | None = None

    def __enter__(self) -> KernelLab:
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._relay is not None:
            self._relay.kill()
            self._relay.communicate()
        for name in self._made:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    @property
    def machines(self) -> tuple[str, ...]:
        """Their names, as `ip netns` knows them."""
        return tuple(self._made)

    def _run(self, where: str, command: str, text: str | None = None) -> None:
        words = ["ip", "netns", "exec", self._prefix + where, *command.split()]
        done = subprocess.run(
            words, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"

    def _build(self) -> None:
        for where in ("wan", "relay", "routerA", "routerB", "hostA", "hostB"):
            name = self._prefix + where
            subprocess.run(["ip", "netns", "add", name], check=True)
            self._made.append(name)
            self._run(where, "ip link set lo up")
        self._run("wan", "ip link add br0 type bridge")
        self._run("wan", "ip link set br0 up")
        for ip in ("1.2.3.20", "1.2.3.21"):
            self._run("wan", f"ip addr add {ip}/24 dev br0")
        for where, ips in (
            ("relay", ("1.2.3.10", "1.2.3.11")),
            ("routerA", ("1.2.3.101",)),
            ("routerB", ("1.2.3.102",)),
        ):
            self._link("wan", f"p{where[-5:]}", where, "wan", ips)
            self._run("wan", f"ip link set p{where[-5:]} master br0")
        for number, side in enumerate("AB", 1):
            self._link(f"router{side}", "lan", f"host{side}", "eth0", (f"10.{number}.0.2",))
            self._run(f"router{side}", f"ip addr add 10.{number}.0.1/24 dev lan")
            self._run(f"router{side}", "sysctl -qw net.ipv4.ip_forward=1")
            self._run(f"host{side}", f"ip route add default via 10.{number}.0.1")

    def _link(self, one: str, end: str, other: str, other_end: str, ips: tuple[str, ...]) -> None:
        self._run(
            one, f"ip link add {end} type veth peer name {other_end} netns {self._prefix}{other}"
        )
        self._run(one, f"ip link set {end} up")
        self._run(other, f"ip link set {other_end} up")
        for ip in ips:
            self._run(other, f"ip addr add {ip}/24 dev {other_end}")

    def set_nat(self, side: str, kind: Kind, tool: Tool) -> None:
        """Let a router do NAT of one kind, and forget all mappings."""
        where, inner = f"router{side}", f"10.{'AB'.index(side) + 1}.0.2"
        self._run(where, "nft flush ruleset")
        if tool == "nft":
            self._run(where, "nft -f -", _nft(kind, inner))
        else:
            for rule in _iptables(kind, inner):
                self._run(where, f"iptables {rule}")
        self._run(where, "conntrack -F")

    @contextlib.contextmanager
    def opening_ports(self, side: str) -> Iterator[Callable[[], None]]:
        """miniupnpd on a router: it opens ports by UPnP, NAT-PMP and PCP. Rules that `set_nat` made stay.

        Yields a function that switches it off and on: every port is forgotten, and it counts from 0 again.
        """
        where, number = f"router{side}", "AB".index(side) + 1
        running: list[subprocess.Popen[bytes]] = []

        def stop() -> None:
            for process in running:
                process.kill()
                process.wait()
            running.clear()
            self._run(where, "nft delete table inet miniupnpd")

        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder, "miniupnpd.conf")
            config.write_text(_UPNP_CONFIG.format(number=number))
            command = self.on(where, "miniupnpd", "-d", "-f", str(config), "-P", f"{folder}/pid")

            def start() -> None:
                self._run(where, "nft -f -", _UPNP_TABLE)
                quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                running.append(subprocess.Popen(command, **quiet))

            def restart() -> None:
                stop()
                start()

            start()
            try:
                yield restart
            finally:
                stop()

    def open_ports(self, side: str) -> list[str]:
        """The rules by which a router lets in who was not asked for."""
        where = self._prefix + f"router{side}"
        words = ["ip", "netns", "exec", where, "nft", "list", "ruleset"]
        listed = subprocess.run(words, capture_output=True, text=True, check=True, timeout=PATIENCE)
        return [
            rule.strip() for rule in listed.stdout.splitlines() if "dnat" in rule and "to " in rule
        ]

    def start_relay(self) -> None:
        """Run the relay until the end."""
        self._relay = subprocess.Popen(
            self._program("relay", "relay"), cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        assert self._relay.stdout is not None
        assert self._relay.stdout.readline().strip() == "ready"

    def _program(self, where: str, *arguments: str, module: str = "tests.netns.probe") -> list[str]:
        return self.on(where, sys.executable, "-m", module, *arguments)

    def on(self, where: str, *command: str) -> list[str]:
        """The command that runs `command` on one of the machines."""
        return ["ip", "netns", "exec", self._prefix + where, *command]

    @contextlib.contextmanager
    def running(
        self, where: str, *arguments: str, module: str = "tests.netns.probe"
    ) -> Iterator[subprocess.Popen[str]]:
        """A program that runs on one of the machines."""
        process = subprocess.Popen(
            self._program(where, *arguments, module=module),
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def behaviour(self) -> dict[str, Any]:
        with self.running("hostA", "behaviour") as process:
            return _answer(process)

    def punch(self, kind: str, room: str) -> list[dict[str, Any]]:
        self._port += 1  # the kernel remembers closed connections for a while
        port = str(self._port)
        with (
            self.running("hostA", kind, "A", room, port) as a,
            self.running("hostB", kind, "B", room, port) as b,
        ):
            return [_answer(a), _answer(b)]


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


_UPNP_TABLE = """
table inet miniupnpd {
  chain forward { type filter hook forward priority -25; policy accept; }
  chain prerouting { type nat hook prerouting priority dstnat; policy accept; }
  chain postrouting { type nat hook postrouting priority srcnat; policy accept; }
}
"""
# It refuses to serve where the outer address is private, or one for documentation, as 203.0.113.0/24.
# Its uptime is its own and not the machine's: switched off and on, it begins at 0, as a router does.
_UPNP_CONFIG = """
ext_ifname=wan
listening_ip=lan
port=0
enable_natpmp=yes
enable_upnp=yes
min_lifetime=120
max_lifetime=86400
secure_mode=yes
system_uptime=no
uuid=00000000-0000-0000-0000-00000000000{number}
allow 1024-65535 10.{number}.0.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
upnp_forward_chain=forward
upnp_nat_chain=prerouting
upnp_nat_postrouting_chain=postrouting
"""


def _nft(kind: Kind, inner: str) -> str:
    flag = "fully-random" if kind == "symmetric" else ""
    forward = f'iifname "wan" meta l4proto {{ tcp, udp }} dnat to {inner};'
    return f"""
table ip lab {{
  chain c_post {{ type nat hook postrouting priority srcnat; oifname "wan" masquerade {flag}; }}
  chain c_pre {{ type nat hook prerouting priority dstnat; {forward if kind == "full cone" else ""} }}
  chain c_fwd {{ type filter hook forward priority filter; policy accept;
    ct state established,related accept; ct status dnat accept; iifname "wan" drop; }}
  chain c_in {{ type filter hook input priority filter; policy accept;
    ct state established,related accept; iifname "wan" drop; }}
}}
"""


def _iptables(kind: Kind, inner: str) -> list[str]:
    rules = ["-t nat -F", "-F"]
    random = " --random-fully" if kind == "symmetric" else ""
    rules.append(f"-t nat -A POSTROUTING -o wan -j MASQUERADE{random}")
    if kind == "full cone":
        rules.append(f"-t nat -A PREROUTING -i wan -j DNAT --to-destination {inner}")
    for chain, states in (
        ("FORWARD", "ESTABLISHED,RELATED,DNAT"),
        ("INPUT", "ESTABLISHED,RELATED"),
    ):
        rules.append(f"-A {chain} -m conntrack --ctstate {states} -j ACCEPT")
        rules.append(f"-A {chain} -i wan -j DROP")
    return rules


if __name__ == "__main__":  # says why the tests cannot run here, and fails, if they cannot
    sys.exit(why_not() or None)
