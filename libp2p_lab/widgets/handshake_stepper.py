"""`HandshakeStepper`: Noise, TLS and plaintext, one message at a time; and mallory, who changes them."""

from __future__ import annotations

import random
from typing import Any

from libp2p_lab.errors import LocalError
from libp2p_lab.identity.keys import KeyPair
from libp2p_lab.widgets.handshake_noise import noise_script
from libp2p_lab.widgets.handshake_script import ATTACKS, FACTS, PROTOCOLS, Script, Setting
from libp2p_lab.widgets.handshake_tls import plaintext_script, tls_script
from libp2p_lab.widgets.static_form import opened, page, table, text_table
from libp2p_lab.widgets.view import Batch, View


class HandshakeStepper:
    """A handshake of two peers, step by step, on live bytes.

    Nothing is simulated: both sides run the library's own code, and every setting runs it anew.

    Args:
        alice: who dials; None makes a fresh key.
        bob: who is dialed.
        protocol: "noise", "tls" or "plaintext".
    """

    def __init__(
        self, alice: KeyPair | None = None, bob: KeyPair | None = None, protocol: str = "noise"
    ) -> None:
        self._alice = alice if alice is not None else KeyPair.generate()
        self._bob = bob if bob is not None else KeyPair.generate()
        self._seed = random.SystemRandom().getrandbits(64)
        self._mallory = KeyPair.generate()
        self._setting = Setting()
        self._script = self._write(Setting())
        self._view = View("handshake_stepper", on_open=self._snapshot, on_message=self._hear)
        if protocol != "noise":
            self.use(protocol)

    @property
    def script(self) -> Script:
        """What is shown: every step, every message."""
        return self._script

    def use(self, protocol: str, attack: str = "", flip: tuple[int, int] | None = None) -> None:
        """Show another handshake.

        Args:
            protocol: "noise", "tls" or "plaintext".
            attack: what mallory does: a key of `ATTACKS`.
            flip: (message, byte) of which one bit is turned over on the way.

        Raises: `LocalError` for a protocol or an attack that does not exist, or not together.
        """
        if protocol not in PROTOCOLS:
            raise LocalError(f"protocol is one of {', '.join(PROTOCOLS)}, not {protocol!r}")
        if attack not in ATTACKS or protocol not in ATTACKS[attack][1]:
            known = [repr(name) for name, (_, where) in ATTACKS.items() if protocol in where]
            raise LocalError(f"under {protocol} mallory may do {', '.join(known)}")
        self._setting = Setting(protocol, attack, flip)
        self._script = self._write(self._setting)
        self._view.send(self._record())

    def close(self) -> None:
        """Take it off the page."""
        self._view.close()

    @property
    def widget(self) -> object:
        """The ipywidgets widget, for putting it beside others in a box."""
        return self._view.front

    def _write(self, setting: Setting) -> Script:
        match setting.protocol:
            case "noise":
                return noise_script(setting, self._alice, self._bob, self._seed)
            case "tls":
                return tls_script(setting, self._alice, self._bob, self._mallory)
            case _:
                return plaintext_script(setting, self._alice, self._bob, self._mallory)

    # -- with the page ----------------------------------------------------------------------------

    def _record(self) -> dict[str, Any]:
        attacks = [
            [name, words]
            for name, (words, where) in ATTACKS.items()
            if self._setting.protocol in where
        ]
        protocols = [list(item) for item in PROTOCOLS.items()]
        return {
            "type": "script",
            "attacks": attacks,
            "protocols": protocols,
            **self._script.as_record(),
        }

    def _snapshot(self) -> Batch:
        return self._record(), []

    def _hear(self, content: dict[str, Any], view: str) -> None:
        now = self._setting
        match content:
            case {"type": "protocol", "name": str(name)} if name in PROTOCOLS:
                attack = now.attack if name in ATTACKS[now.attack][1] else ""
                self.use(name, attack)
            case {"type": "attack", "name": str(name)} if (
                now.protocol in ATTACKS.get(name, ("", ()))[1]
            ):
                self.use(now.protocol, name, now.flip)
            case {"type": "flip", "flight": int(flight), "byte": int(byte)} if byte >= 0:
                place = (flight, byte)
                self.use(now.protocol, now.attack, None if now.flip == place else place)
            case {"type": "reset"}:
                self.use(now.protocol)
            case _:
                return

    # -- without a page ---------------------------------------------------------------------------

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        script = self._script
        head = ("step", "who", "token", "what happens")
        rows = [
            (str(number), step.who, step.token, step.text)
            for number, step in enumerate(script.steps, 1)
        ]
        last = script.steps[-1]
        knows = [
            (fact, *(last.knows.get((fact, who), "–") for who in script.people)) for fact in FACTS
        ]
        knows_head = ("in the end", *script.people)
        mallory = (
            f"{PROTOCOLS[script.setting.protocol]}. Mallory: {ATTACKS[script.setting.attack][0]}"
        )
        messages = "".join(
            f"<p>{flight.sender} → {flight.receiver}</p>{opened(flight.message)}"
            for flight in script.flights
        )
        html = table(mallory, head, rows) + table("", knows_head, knows) + messages
        text = f"{mallory}\n\n{text_table(head, rows)}\n\n{text_table(knows_head, knows)}"
        return self._view.mimebundle(page("Handshake", html), text)
