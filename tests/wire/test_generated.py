"""The committed protobuf code is what the pinned generator makes of the .proto files."""

from __future__ import annotations

import re
import sys

import pytest

from libp2p_lab.curriculum import CHAPTERS
from tests.support import REPOSITORY, repository_files

PROTOS = repository_files("libp2p_lab/*.proto")
GENERATED = repository_files("libp2p_lab/*_pb2.py", "libp2p_lab/*_pb2.pyi")


def test_every_package_name_is_ours() -> None:
    """One pool of message names serves the whole process, and another libp2p may be in it."""
    folders = {package for chapter in CHAPTERS for package in chapter.packages}
    assert PROTOS
    for path in PROTOS:
        chapter = path.parent.parent.name
        assert chapter in folders
        assert path == REPOSITORY / "libp2p_lab" / chapter / "pb" / path.name
        package = re.search(r"^package (.*);$", path.read_text("utf-8"), re.MULTILINE)
        assert package, path
        assert package[1] == f"libp2p_lab.{chapter}", path


# The generator has no build for newer Pythons. What it makes does not depend on Python.
if sys.version_info < (3, 13):

    @pytest.fixture(scope="module")
    def regenerated(tmp_path_factory):
        from tools.generate_protobuf import generate

        output = tmp_path_factory.mktemp("generated")
        generate(output)
        return output

    def test_generated_code_is_current(regenerated) -> None:
        made = {p.relative_to(regenerated): p.read_text() for p in regenerated.rglob("*_pb2.py*")}
        committed = {p.relative_to(REPOSITORY): p.read_text() for p in GENERATED}
        assert made.keys() == committed.keys()
        old = [str(path) for path in made if made[path] != committed[path]]
        assert not old, "run `python tools/generate_protobuf.py`"
