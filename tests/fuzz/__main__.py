"""Runs atheris: `python -m tests.fuzz [name …] [--seconds 600]`. Ends with 1 if anything was found.

Each target has a process of its own, which ends at the first input that it minds; that input is kept in the corpus, so
that the tests fail until it is mended. `--child` is how the processes are started.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

ALL = "all"  # every target at once, for a short run
CORPUS = Path(__file__).parent / "corpus"
LONGEST = 4096  # bytes of one input


def child(name: str, seconds: int, keep: bool) -> None:
    """Fuzz one target in this process; never returns."""
    import atheris

    with atheris.instrument_imports(include=["libp2p_lab"]):
        from tests.fuzz.targets import TARGETS

    folder = CORPUS / name
    if name == ALL:
        names = list(TARGETS)
        target = by_first_byte(list(TARGETS.values()))
        folder = Path(tempfile.mkdtemp())
        for number, one in enumerate(names):
            for path in (CORPUS / one).iterdir():
                (folder / f"{one}-{path.name}").write_bytes(bytes((number,)) + path.read_bytes())
    else:
        target = TARGETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={folder}/crash-",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-verbosity=0",
        "-print_final_stats=1",
        *([str(folder)] if keep else [f"-seed_inputs={','.join(map(str, folder.iterdir()))}"]),
    ]
    atheris.Setup(arguments, target)
    atheris.Fuzz()


def by_first_byte(targets: Sequence[Callable[[bytes], None]]) -> Callable[[bytes], None]:
    """All targets as one: the first byte says which, the rest is for it."""

    def target(data: bytes) -> None:
        if data:
            targets[data[0] % len(targets)](data[1:])

    return target


def run(names: Sequence[str], seconds: int, keep: bool) -> list[str]:
    """Fuzz these targets one after another; the names of those that minded something."""
    failed = []
    for name in names:
        command = [sys.executable, "-m", "tests.fuzz", "--child", name, "--seconds", str(seconds)]
        if keep:
            command.append("--keep")
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        stats = dict(
            line.removeprefix("stat::").split(":", 1)
            for line in done.stderr.splitlines()
            if line.startswith("stat::")
        )
        executed = stats.get("number_of_executed_units", "?").strip()
        outcome = "ok" if done.returncode == 0 else "FAILED"
        print(f"{name:20} {outcome:6} {executed:>10} inputs", flush=True)
        if done.returncode:
            print(done.stdout[-3000:] + done.stderr[-3000:], flush=True)
            failed.append(name)
    return failed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help="targets, or `all` for all in one run; each by itself by default"
    )
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    parser.add_argument("--keep", action="store_true", help="keep inputs of interest in the corpus")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        child(options.child, options.seconds, options.keep)
    from tests.fuzz.targets import TARGETS

    if unknown := set(options.names) - TARGETS.keys() - {ALL}:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    return int(bool(run(options.names or list(TARGETS), options.seconds, options.keep)))


if __name__ == "__main__":
    sys.exit(main())
