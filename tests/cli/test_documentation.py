"""README and docs/cli.md say what the program does: options exist, the example runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from command_line import TIMEOUT_S, run_cli
from PIL import Image

import vasa_cam

REPOSITORY = Path(__file__).resolve().parents[2]
COMMANDS = (
    "bench",
    "demo",
    "enrol",
    "evaluate",
    "info",
    "models add",
    "models list",
    "models verify",
    "poses",
    "render",
    "track",
    "latency",
    "live",
    "ctl",
    "config",
    "devices",
    "doctor",
    "install-service",
)


def _options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - {"--help", "--version", "--verbose"}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_of_commands_names_exactly_the_options_there_are(
    command: str, tmp_path: Path
) -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {command}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/cli.md has no section {command}"
    there_are = _options(run_cli(*command.split(), "--help", cwd=tmp_path).stdout)
    assert _options(section[1]) == there_are


def test_the_example_in_readme_runs(tmp_path: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    assert example[1].count("\n") <= 15
    with resources.as_file(resources.files("vasa_cam") / "assets" / "astronaut.vasa") as avatar:
        shutil.copy(avatar, tmp_path / "me.vasa")
    subprocess.run(
        [sys.executable, "-c", example[1]],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(vasa_cam.__file__).parents[1])},
        check=True,
        timeout=TIMEOUT_S,
    )
    with Image.open(tmp_path / "me.png") as picture:
        assert picture.size == (512, 512)


def test_links_between_documents_lead_somewhere() -> None:
    for page in (*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
