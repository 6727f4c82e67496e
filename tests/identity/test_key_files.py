"""Keys in files: readable by their owner alone, and never half written."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from libp2p_lab.errors import LocalError
from libp2p_lab.identity import KeyPair
from tests.support import load_vectors


@pytest.fixture
def pair() -> KeyPair:
    return KeyPair.generate()


@pytest.mark.parametrize("name", ["ed25519", "secp256k1", "ecdsa", "rsa"])
def test_save_and_load(tmp_path, name) -> None:
    pair = KeyPair.generate(name)
    pair.save(tmp_path / "key")
    assert KeyPair.load(tmp_path / "key") == pair
    assert KeyPair.load(str(tmp_path / "key")).sign(b"x") != b""
    assert (
        tmp_path / "key"
    ).read_bytes() == pair.to_protobuf()  # as other implementations store it


def test_only_the_owner_can_read_it_whatever_the_umask(tmp_path, pair) -> None:
    (tmp_path / "key").touch(mode=0o666)
    (tmp_path / "key").chmod(0o666)
    old = os.umask(0)
    try:
        pair.save(tmp_path / "key")
        pair.save(tmp_path / "new")
    finally:
        os.umask(old)
    for name in ("key", "new"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_save_changes_nothing(tmp_path, pair, monkeypatch, step) -> None:
    pair.save(tmp_path / "key")

    def fail(*_args):
        leftover = [path for path in tmp_path.iterdir() if path.name != "key"]
        assert len(leftover) == 1  # beside the target, so that renaming is atomic
        assert stat.S_IMODE(leftover[0].stat().st_mode) == 0o600
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(LocalError, match="disk is full"):
        KeyPair.generate().save(tmp_path / "key")
    assert KeyPair.load(tmp_path / "key") == pair
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_an_interrupted_save_leaves_nothing(tmp_path, pair, monkeypatch) -> None:
    def interrupt(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pair.save(tmp_path / "key")
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_on_the_disk_before_it_gets_its_name(tmp_path, pair, monkeypatch) -> None:
    steps = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def noted(*args, _name=name, _real=real):
            steps.append(_name)
            return _real(*args)

        monkeypatch.setattr(os, name, noted)
    pair.save(tmp_path / "key")
    assert steps == ["fsync", "replace"]


def test_places_that_cannot_be_written(tmp_path, pair) -> None:
    for path in (tmp_path / "no" / "such" / "folder" / "key", tmp_path):
        with pytest.raises(LocalError, match="cannot save"):
            pair.save(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"garbage", b"\0" * 100, b"\x08\x01", b"x" * 100_000])
def test_files_without_a_key(tmp_path, content) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(LocalError, match="holds no usable key"):
        KeyPair.load(tmp_path / "key")


def test_files_that_are_not_there(tmp_path) -> None:
    for path in (tmp_path / "key", tmp_path):
        with pytest.raises(LocalError, match="cannot load"):
            KeyPair.load(path)


def test_a_key_file_of_go_libp2p(tmp_path) -> None:
    rows = load_vectors("keys_and_peer_ids.json")["vectors"]
    row = next(row for row in rows if row["id"] == "go-fixture-rsa")
    (tmp_path / "key").write_bytes(bytes.fromhex(row["private_pb"]))
    pair = KeyPair.load(tmp_path / "key")
    assert pair.public.to_protobuf().hex() == row["public_pb"]
