"""Generate the Python code of every .proto file: `python tools/generate_protobuf.py`.

The generator is pinned (grpcio-tools 1.62.3): what it writes imports under every protobuf runtime
from 4.25 on. Files are named by their path from the repository's root, because the runtime's pool
of names is shared by the whole process, and another libp2p may live in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent


def proto_files() -> list[Path]:
    """Every .proto file of the package, as paths from the repository's root."""
    return sorted(path.relative_to(ROOT) for path in ROOT.glob("libp2p_lab/*/pb/*.proto"))


def generate(output: Path) -> None:
    """Write code and type stubs below `output`, in folders as in the repository."""
    files = [path.as_posix() for path in proto_files()]
    status = protoc.main(
        ["protoc", f"--proto_path={ROOT}", f"--python_out={output}", f"--pyi_out={output}", *files]
    )
    if status:
        sys.exit(f"protoc failed with status {status}")


if __name__ == "__main__":
    generate(ROOT)
