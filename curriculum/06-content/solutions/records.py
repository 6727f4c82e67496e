"""E6.3, the reference answer."""

import struct

import libp2p_lab as lab


def validate(key, value, now):
    """Signed by whom the key names, and not expired."""
    if len(value) < 80:
        raise ValueError("too short")
    head, signature = value[:-64], value[-64:]
    _, expires = struct.unpack(">QQ", head[:16])
    try:
        public = lab.PeerId(key.removeprefix(b"/note/")).public_key()
    except lab.LabError as nobody:
        raise ValueError("nobody's key") from nobody
    if public is None or not public.verify(b"libp2p-lab-note:" + head, signature):
        raise ValueError("not signed by its owner")
    if now >= expires:
        raise ValueError("expired")


def select(key, values):
    """The newest, then the longest, then the greatest bytes."""
    return max(range(len(values)), key=lambda n: (struct.unpack(">QQ", values[n][:16]), values[n]))


answer = (validate, select)
