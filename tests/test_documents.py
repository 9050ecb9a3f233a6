"""What the README and the pages of docs/ point to is there: links, files, commands with their options, make targets."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import click
import pytest
from PIL import Image

from aesweep.cli.commands import commands

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "LOG.md")]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(page: Path) -> list[str]:
    """Lines of code blocks, and what stands between backticks."""
    text = page.read_text()
    blocks = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    return blocks + re.findall(r"`([^`\n]+)`", text)


@by_page
def test_link_leads_to_a_file(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@by_page
def test_file_that_is_named_is_there(page):
    for path in re.findall(r"`((?:sweep|models|data|jobs|tests|docs)/[\w./]+)`", page.read_text()):
        assert (ROOT / path).exists(), path


@by_page
def test_command_that_is_named_exists_with_its_options(page):
    for line in code(page):
        for words in re.findall(r"(?:^|&&|bin/|'|\|)\s*aesweep ([a-z][^|&#']*)", line):
            name, *rest = words.replace("[", " ").replace("]", " ").split()
            command = commands.commands.get(name)
            assert command is not None, line
            if isinstance(command, click.Group):
                assert rest[0] in command.commands, line
                command = command.commands[rest[0]]
            known = {option for parameter in command.params for option in parameter.opts}
            assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known, line


@by_page
def test_make_target_that_is_named_exists(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in code(page):
        assert set(re.findall(r"(?:^|&& )make ([a-z-]+)", line)) <= targets, line


@by_page
def test_import_that_is_shown_works(page):
    for line in code(page):
        if re.match(r"from aesweep[\w.]* import \w", line):
            (statement,) = ast.parse(line).body
            module = importlib.import_module(statement.module)
            assert all(hasattr(module, alias.name) for alias in statement.names), line


def test_walks_pass_no_file_twice():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text().partition("## Walks")[2].partition("\n## ")[0]
    walks = [part for part in text.split("\n\n") if part.strip()]
    assert len(walks) == 3
    for walk in walks:
        files = re.findall(r"`(sweep/[\w/.]+)`", walk)
        assert len(files) >= 5 and len(set(files)) == len(files), walk


def test_picture_of_the_readme_is_small_and_whole():
    (name,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    with Image.open(ROOT / name) as picture:
        picture.load()
        assert picture.format == "PNG" and picture.width >= 800
    assert (ROOT / name).stat().st_size < 200_000


def test_readme_fits_a_few_screens():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120 and len(text.split()) <= 1_100
