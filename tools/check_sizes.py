"""Part of `make lint`: limits that keep a file readable, and the core free of Python and torch.

A module has at most 400 lines, a function at most 60 (docstring included), a public function at
most 8 parameters; C++ and CUDA files have at most 450 lines. Prints every breach and exits 1.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FILE_LINES = 400
FUNCTION_LINES = 60
PUBLIC_PARAMETERS = 8
_FORBIDDEN_IN_CORE = re.compile(r"torch/|ATen/|pybind11|Python\.h")


def _tracked(*patterns: str) -> list[Path]:
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--", *patterns]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [path for name in names.split("\0") if name and (path := REPOSITORY / name).exists()]


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = function.args
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def _is_command(path: Path) -> bool:
    """Typer reads a command's options from its parameters, so their number is the user's choice."""
    return path.parent == REPOSITORY / "vasa_cam" / "cli"


def _python_breaches(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    name = path.relative_to(REPOSITORY)
    if (lines := source.count("\n")) > FILE_LINES:
        yield f"{name}: {lines} lines, at most {FILE_LINES}"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            yield f"{name}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"
        count = _parameters(node)
        public = not node.name.startswith("_") and not _is_command(path)
        if public and "tests" not in path.parts and count > PUBLIC_PARAMETERS:
            yield (
                f"{name}:{node.lineno}: {node.name} has {count} parameters, "
                f"at most {PUBLIC_PARAMETERS}"
            )


def _native_breaches(path: Path) -> Iterator[str]:
    source = path.read_text(encoding="utf-8")
    name = path.relative_to(REPOSITORY)
    if (lines := source.count("\n")) > FILE_LINES:
        yield f"{name}: {lines} lines, at most {FILE_LINES}"
    if name.parts[0] == "csrc":
        for number, line in enumerate(source.splitlines(), 1):
            if _FORBIDDEN_IN_CORE.search(line):
                yield f"{name}:{number}: csrc may include neither torch nor Python: {line.strip()}"


def main() -> int:
    """Check all tracked files; the exit code of the process."""
    breaches = [
        *(breach for path in _tracked("*.py") for breach in _python_breaches(path)),
        *(
            breach
            for path in _tracked("*.cpp", "*.h", "*.cu", "*.cuh")
            for breach in _native_breaches(path)
        ),
    ]
    print("\n".join(breaches) if breaches else "sizes and includes are within the limits")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
