"""Registers, shared memory and spills of every CUDA kernel, as the assembler reports them.

    python tools/kernel_resources.py [--arch 90] > table.md

Compiles csrc/**/*.cu for one architecture with -Xptxas -v and prints a Markdown table; needs nvcc
and c++filt, no GPU. docs/kernels.md keeps the table of the last release. Exits with 1 when a kernel
spills registers into memory.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass
class Kernel:
    """What one kernel takes. Shared memory is the static part only; registers are a thread's."""

    file: str
    name: str
    registers: int = 0
    shared_bytes: int = 0
    stack_bytes: int = 0
    spilled_bytes: int = 0


def _readable(mangled: list[str]) -> list[str]:
    """Names without arguments and namespaces, template arguments kept."""
    text = "\n".join(mangled)
    done = subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True)
    names = []
    for line in done.stdout.splitlines():
        name = re.sub(r"\(anonymous namespace\)::|vasa_cam::|\bvoid ", "", line)
        depth = 0
        for at, letter in enumerate(name):  # the argument list opens outside of <>
            depth += (letter == "<") - (letter == ">")
            if letter == "(" and depth == 0:
                name = name[:at]
                break
        names.append(re.sub(r"\((?:int|bool|unsigned int|long)\)", "", name))
    return names


def kernels_of(source: Path, arch: int) -> list[Kernel]:
    """All kernels of a file. Raises CalledProcessError when it does not compile."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["nvcc", "-std=c++17", "-O3", f"-arch=sm_{arch}", "-Xptxas", "-v", "-c"]
        command += ["-DVASA_CAM_WITH_CUDA", f"-I{REPOSITORY}/csrc", f"-I{REPOSITORY}/csrc/include"]
        command += [str(source), "-o", f"{folder}/out.o"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[Kernel] = []
    for line in done.stderr.splitlines():
        if entry := _ENTRY.search(line):
            found.append(Kernel(source.stem.removesuffix("_cuda"), entry[1]))
        elif found and (stack := _STACK.search(line)):
            found[-1].stack_bytes = int(stack[1])
            found[-1].spilled_bytes = int(stack[2]) + int(stack[3])
        elif found and (used := _USED.search(line)):
            found[-1].registers = int(used[1])
            found[-1].shared_bytes = int(shared[1]) if (shared := _SHARED.search(line)) else 0
    for kernel, name in zip(found, _readable([one.name for one in found]), strict=True):
        kernel.name = name
    return found


def main() -> int:
    """Print the table; 1 when something spills, 2 when a tool is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", type=int, default=90, help="compute capability times ten")
    arch = parser.parse_args().arch
    if missing := [tool for tool in ("nvcc", "c++filt") if shutil.which(tool) is None]:
        print(f"{' and '.join(missing)} not found; install the CUDA toolkit.", file=sys.stderr)
        return 2
    print("| file | kernel | variants | registers | static shared, B | stack, B | spilled, B |")
    print("|---|---|---|---|---|---|---|")
    spilled_bytes = 0
    for source in sorted((REPOSITORY / "csrc").rglob("*.cu")):
        kernels = sorted(kernels_of(source, arch), key=lambda one: one.name.partition("<")[0])
        for name, variants in groupby(kernels, key=lambda one: one.name.partition("<")[0]):
            row = _row(name, list(variants))
            print("|", " | ".join(row), "|")
            spilled_bytes += int(row[-1])
    return 1 if spilled_bytes else 0


def _row(name: str, variants: list[Kernel]) -> list[str]:
    """One kernel in all its types: the range of registers, the most of everything else."""
    registers = sorted({one.registers for one in variants})
    span = str(registers[0]) if len(registers) == 1 else f"{registers[0]} to {registers[-1]}"
    most = [
        max(getattr(one, what) for one in variants)
        for what in ("shared_bytes", "stack_bytes", "spilled_bytes")
    ]
    return [variants[0].file, f"`{name}`", str(len(variants)), span, *map(str, most)]


if __name__ == "__main__":
    sys.exit(main())
