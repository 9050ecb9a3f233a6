"""The server of `aesweep view`: nobody without the token, and new rows as they are recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from synthetic import EMPTY_FIGURE, write_events

from aesweep.report.view.server import HEADERS, application
from aesweep.storage.run_folder import RunFolder

TOKEN = "a-token"
Events = list[dict[str, Any]]


def plain(events: Events) -> Events:
    return [{name: value for name, value in e.items() if name not in ("seq", "time", "crc")} for e in events]


def served(folder: RunFolder, talk: Callable[[TestClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with TestClient(TestServer(application(folder, TOKEN))) as client:
            await talk(client)

    asyncio.run(main())


@pytest.mark.parametrize(
    "address",
    ["/", "/updates", "/updates?after=1", "/a-toke", "/a-token2/", "/A-TOKEN/", "//a-token/", "/%00/",
     "/tables/trials.csv", "/\N{SNOWMAN}/", "/?token=a-token"],
)  # fmt: skip
def test_nobody_without_the_token_gets_an_answer(folder: RunFolder, address: str) -> None:
    async def talk(client: TestClient) -> None:
        async with ClientSession() as session:
            for method in ("GET", "POST", "OPTIONS", "HEAD"):
                async with session.request(method, f"{client.make_url('')}".rstrip("/") + address) as answer:
                    assert answer.status == 403
                    assert "Access-Control-Allow-Origin" not in answer.headers

    served(folder, talk)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.nip.io:{port}"]
)
def test_foreign_name_for_this_machine_is_refused(folder: RunFolder, host: str) -> None:
    async def talk(client: TestClient) -> None:
        name = host.format(port=client.port)
        assert (await client.get(f"/{TOKEN}/updates?after=0", headers={"Host": name})).status == 403
        for own in (f"127.0.0.1:{client.port}", f"localhost:{client.port}"):
            assert (await client.get(f"/{TOKEN}/updates?after=0", headers={"Host": own})).status == 200

    served(folder, talk)


def test_every_answer_forbids_what_a_browser_might_do_with_it(folder: RunFolder) -> None:
    async def talk(client: TestClient) -> None:
        for address in ("/", f"/{TOKEN}/updates?after=0", f"/{TOKEN}/nothing", f"/{TOKEN}/updates?after=x"):
            answer = await client.get(address)
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS
            assert "Access-Control-Allow-Origin" not in answer.headers and "Set-Cookie" not in answer.headers

    served(folder, talk)


def test_rows_are_told_as_they_are_recorded(events: Events, other_folder: RunFolder, folder: RunFolder) -> None:
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    rows = [number for number, event in enumerate(events) if event["kind"] == "row"]
    cut = rows[100]
    other_folder.root.mkdir()
    other_folder.journal.write_bytes(b"".join(lines[:cut]))

    async def talk(client: TestClient) -> None:
        async def after(number: int) -> dict[str, Any]:
            return json.loads(await (await client.get(f"/{TOKEN}/updates?after={number}")).text())

        first = await after(-1)
        assert first["seq"] == cut - 1 and first["status"] == "unfinished"
        assert (await after(first["seq"]))["trials"] == []
        with open(other_folder.journal, "ab") as journal:
            journal.write(lines[cut] + lines[cut + 1][:30])  # and a line that is being written
        told = await after(first["seq"])
        assert told["seq"] == cut and [trial[1] for trial in told["trials"]] == [events[cut]["trial"]]
        with open(other_folder.journal, "ab") as journal:
            journal.write(lines[cut + 1][30:] + b"".join(lines[cut + 2 :]))
        whole = await after(-1)
        assert whole["seq"] == len(events) - 1 and whole["status"] == "completed"

    served(other_folder, talk)


def test_page_is_that_of_the_report_and_may_ask_its_server(
    events: Events, other_folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aesweep.report.sections.contents.encoded", lambda *_: EMPTY_FIGURE)
    write_events(other_folder, plain(events[:300]))

    async def talk(client: TestClient) -> None:
        answer = await client.get(f"/{TOKEN}")  # leads to the address with a slash, from which links are relative
        text = await answer.text()
        assert answer.status == 200 and str(answer.url).endswith(f"/{TOKEN}/")
        assert "connect-src &#39;self&#39;" in text and 'id="live"' in text and "This run has not ended." in text
        assert TOKEN not in text
        assert await (await client.get(f"/{TOKEN}/")).text() == text

    served(other_folder, talk)
    assert {path.name for path in other_folder.root.iterdir()} == {"journal.jsonl"}


def test_files_of_the_report_are_shown_and_no_others(
    folder: RunFolder, other_folder: RunFolder, tmp_path: Path
) -> None:
    write_events(other_folder, [])
    for part in (other_folder.tables, other_folder.figures):
        part.mkdir()
    (other_folder.tables / "trials.csv").write_text("a,b\n")
    (other_folder.figures / "a.svg").write_text("<svg/>")
    (other_folder.tables / "link.csv").symlink_to(other_folder.journal)
    (other_folder.tables / "notes.txt").write_text("x")

    async def talk(client: TestClient) -> None:
        table = await client.get(f"/{TOKEN}/tables/trials.csv")
        assert (await table.text(), table.content_type) == ("a,b\n", "text/csv")
        figure = await client.get(f"/{TOKEN}/figures/a.svg")
        assert figure.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
        for name in ("link.csv", "notes.txt", "missing.csv", "..%2fjournal.jsonl", "..%2f..%2fx.csv", ".csv"):
            assert (await client.get(f"/{TOKEN}/tables/{name}")).status == 404
        assert (await client.get(f"/{TOKEN}/journal.jsonl")).status == 404

    served(other_folder, talk)


def test_damaged_journal_is_told_and_does_not_end_the_server(other_folder: RunFolder, events: Events) -> None:
    write_events(other_folder, plain(events[:5]))
    content = other_folder.journal.read_bytes()
    other_folder.journal.write_bytes(content.replace(b"run_started", b"run_startee"))

    async def talk(client: TestClient) -> None:
        answer = await client.get(f"/{TOKEN}/updates?after=-1")
        assert answer.status == 500 and "line 1: expected event 0" in await answer.text()
        other_folder.journal.write_bytes(content)
        assert (await client.get(f"/{TOKEN}/updates?after=-1")).status == 200

    served(other_folder, talk)
