"""What the README and the pages of docs/ point to is there: links, files, commands with their options, make targets."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import re
from pathlib import Path

import click
import pytest
import yaml
from PIL import Image

from aesweep.cli.commands import commands
from aesweep.process import errors
from aesweep.study.configuration import ACTIVATIONS, INITIALIZATIONS, OUTPUTS, REGULARIZERS, SCHEDULES, Configuration
from aesweep.study.schema import Stage, Study
from aesweep.study.study_file import check_study

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "LOG.md")]
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(page: Path) -> list[str]:
    """Lines of code blocks, and what stands between backticks."""
    text = page.read_text()
    blocks = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    return blocks + re.findall(r"`([^`\n]+)`", text)


@by_page
def test_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            path = page.parent / name if name else page
            assert path.exists(), target
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE) if anchor else []
            assert not anchor or anchor in [
                re.sub(r"[^\w -]", "", found.lower()).replace(" ", "-") for found in headings
            ]


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
    assert len(text.splitlines()) <= 200 and len(text.split()) <= 1_500


def rows(page: Path) -> list[tuple[str, ...]]:
    """Rows of the tables of a page, each a tuple of cells."""
    lines = [line for line in page.read_text().splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def test_results_of_the_readme_are_those_of_the_results_page():
    results = [row for row in rows(ROOT / "README.md") if row[0].isdigit()]
    assert len(results) == 4
    assert set(results) <= set(rows(ROOT / "docs" / "RESULTS.md"))


@pytest.mark.parametrize("name", ["README.md", "docs/STUDY_FILE.md"])
def test_study_that_is_shown_is_valid(name):
    (text,) = re.findall(r"^    name: mine\n(?:    .*\n)+", (ROOT / name).read_text(), re.MULTILINE)
    check_study(yaml.safe_load(text), name)


def described() -> dict[str, tuple[str, ...]]:
    """Rows of the tables of the page on study files, by each name in their first cell."""
    return {name: row for row in rows(ROOT / "docs" / "STUDY_FILE.md") for name in re.findall(r"`(\w+)`", row[0])}


def test_every_option_of_a_run_and_every_exit_code_is_on_the_page_on_commands():
    first = " ".join(row[0] for row in rows(ROOT / "docs" / "COMMANDS.md"))
    options = {option for parameter in commands.commands["run"].params for option in parameter.opts if "--" in option}
    assert options <= set(re.findall(r"--[a-z-]+", first))
    codes = {code for name, code in vars(errors).items() if name.startswith("EX_")}
    assert codes | {0, 1, 2, 129, 130, 143} == {int(code) for code in re.findall(r"\d+", first)}


def test_every_key_of_a_study_is_on_its_page_with_its_default():
    table = described()
    for model in (Study, Stage):
        for key, field in model.model_fields.items():
            name = field.alias or key
            if name == "mode":  # follows from the metric
                continue
            assert name in table, name
            if isinstance(field.default, (int, float, str)) and field.default is not True:
                assert table[name][1].strip("`") == str(field.default), name


def test_every_axis_is_on_the_page_with_its_default_and_values():
    table = described()
    for field in dataclasses.fields(Configuration):
        assert field.name in table, field.name
        if field.name not in ("hidden_layers", "latent_dim", "channels", "options"):
            assert field.default in [parsed(text) for text in table[field.name][1].split(", ")], field.name
    for name, values in (
        *(("activation", ACTIVATIONS), ("output", OUTPUTS), ("initialization", INITIALIZATIONS)),
        *(("schedule", SCHEDULES), ("regularizer", REGULARIZERS)),
    ):
        assert set(re.findall(r"\w+", table[name][2])) >= set(values), name


def parsed(text: str) -> object:
    return yaml.safe_load(text.strip("` "))
