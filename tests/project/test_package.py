"""The package's front page: every public name is there, and what a peer can do without comes only when it is named."""

from __future__ import annotations

import subprocess
import sys

import pytest

import libp2p_lab as lab
from tests.support import REPOSITORY


def test_every_public_name_is_there() -> None:
    for name in lab.__all__:
        assert getattr(lab, name) is not None
    assert set(lab.__all__) <= set(dir(lab))


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Hots'"):
        lab.Hots  # noqa: B018


def test_the_import_loads_no_more_than_a_peer_needs() -> None:
    program = (
        "import sys, libp2p_lab\n"
        "late = ('coursework', 'widgets', 'recording', 'pubsub', 'sim')\n"
        "print(*[name for name in late if f'libp2p_lab.{name}' in sys.modules])\n"
        "heavy = ('aioquic', 'OpenSSL', 'websockets', 'zeroconf', 'dns', 'pandas', 'IPython', 'aiortc')\n"
        "print(*[name for name in heavy if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
