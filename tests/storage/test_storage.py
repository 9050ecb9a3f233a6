"""A run in a storage: in order, never behind, one writer, and whole when it is brought elsewhere.

The storages are a local disk, a disk that is mounted elsewhere, memory, and a real S3 server on loopback.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from aesweep.cli.commands import commands
from aesweep.process.errors import RecordingError, RunFolderError
from aesweep.storage import s3_client
from aesweep.storage.artifacts import FolderFiles
from aesweep.storage.journal import Journal, read_journal
from aesweep.storage.object_store import SEGMENTS, Storage, try_storage
from aesweep.storage.replica import Replica, bring_run, read_segments
from aesweep.storage.run_folder import RunFolder


@pytest.fixture(params=["disk", "mount", "memory", "s3"])
def url(request, tmp_path) -> str:
    """Of an empty storage."""
    if request.param == "disk":
        return str(tmp_path / "storage")
    if request.param == "mount":
        return str(request.getfixturevalue("other_mount") / "storage")
    if request.param == "memory":
        return f"memory://{tmp_path.name}"
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


@pytest.fixture
def other_mount(tmp_path):
    """A folder of another disk than the runs'."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second disk is mounted where one is looked for")
    with tempfile.TemporaryDirectory(dir=shared) as name:
        yield Path(name)


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "run")


def record(folder, replica, *kinds):
    with Journal(folder.journal, replica.send_journal) as journal:
        for kind in kinds:
            journal.append(kind, value=0.1)


def test_of_many_who_write_a_new_file_at_once_one_does(url):
    storage = Storage(url)
    barrier = threading.Barrier(8)

    def write(number):
        barrier.wait()
        return storage.write_new("journal/0", b"%d" % number * 1000)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(write, range(8)))
    assert done.count(True) == 1
    assert storage.read("journal/0") == b"%d" % done.index(True) * 1000


def test_names_are_relative_and_what_is_removed_is_gone(url):
    storage = Storage(url)
    assert storage.names() == []
    for name in ("states/b.1", "states/a.1", "study.yaml"):
        storage.write(name, name.encode())
    assert storage.names() == ["states/a.1", "states/b.1", "study.yaml"]
    assert storage.names("states") == ["a.1", "b.1"]
    storage.remove("states/a.1")
    storage.remove("states/a.1")
    assert storage.names("states") == ["b.1"]


def test_storage_has_every_event_that_the_run_may_rely_on(url, folder):
    storage = Storage(url)
    replica = Replica(folder, storage)
    with Journal(folder.journal, replica.send_journal) as journal:
        for number in range(6):
            journal.append("row" if number % 2 else "trial_ended", number=number)
            if not number % 2:
                assert read_segments(storage) == folder.journal.read_bytes()
    assert read_segments(storage) == folder.journal.read_bytes()


def test_run_goes_on_elsewhere_where_the_lost_machine_left_it(url, folder, tmp_path):
    storage = Storage(url)
    replica = Replica(folder, storage)
    record(folder, replica, "run_started", "row", "trial_ended")
    replica.files.write("states/a.3.safetensors", b"state")
    replica.files.write("checkpoints/b.safetensors", b"model")
    replica.files.write("states/c.1.safetensors", b"over")
    replica.files.remove("states/c.1.safetensors")
    other = RunFolder(tmp_path / "elsewhere" / "run")
    bring_run(storage, other.root)
    assert read_journal(other.journal) == read_journal(folder.journal)
    assert (other.states / "a.3.safetensors").read_bytes() == b"state"
    assert not (other.states / "c.1.safetensors").exists()
    record(other, Replica(other, storage), "resumed")
    assert [event["kind"] for event in read_journal(other.journal)][-1] == "resumed"
    assert read_segments(storage) == other.journal.read_bytes()


def test_driver_that_lost_touch_stops_once_another_has_gone_on(url, folder, tmp_path):
    storage = Storage(url)
    replica = Replica(folder, storage)
    record(folder, replica, "run_started")
    other = RunFolder(tmp_path / "elsewhere" / "run")
    bring_run(storage, other.root)
    record(other, Replica(other, storage), "resumed")
    with Journal(folder.journal, replica.send_journal) as journal:
        with pytest.raises(RunFolderError, match="another process has gone on with this run"):
            journal.append("trial_ended")
        journal._after_sync = None
    assert read_segments(storage) == other.journal.read_bytes()
    with pytest.raises(RunFolderError, match="another run"):
        Replica(folder, storage)


def test_request_that_was_sent_twice_is_no_second_writer(url, folder, monkeypatch):
    storage = Storage(url)
    replica = Replica(folder, storage)
    write_new = storage.write_new
    monkeypatch.setattr(storage, "write_new", lambda name, content: write_new(name, content) and False)
    record(folder, replica, "run_started", "trial_ended")
    assert read_segments(storage) == folder.journal.read_bytes()


def test_storage_that_holds_more_than_the_folder_is_not_overwritten(url, folder, tmp_path):
    storage = Storage(url)
    record(folder, Replica(folder, storage), "run_started", "trial_ended")
    with pytest.raises(RunFolderError, match="more of this run"):
        Replica(RunFolder.create(tmp_path / "others", "run"), storage)


def test_missing_segment_is_refused(url, folder):
    storage = Storage(url)
    record(folder, Replica(folder, storage), "run_started", "trial_ended", "run_ended")
    names = storage.names(SEGMENTS)
    assert len(names) > 2
    storage.remove(f"{SEGMENTS}/{names[1]}")
    with pytest.raises(RunFolderError, match="expected a segment from byte"):
        read_segments(storage)


def test_files_follow_the_folder(url, folder):
    storage = Storage(url)
    replica = Replica(folder, storage)
    record(folder, replica, "run_started")
    for name in ("report.md", "tables/a.csv", ".lock"):
        FolderFiles(folder.root).write(name, b"first")
    replica.send_files()
    (folder.root / "tables" / "a.csv").unlink()
    folder.report.write_bytes(b"second")
    replica.send_files()
    assert [name for name in storage.names() if not name.startswith(SEGMENTS)] == ["report.md"]
    assert storage.read("report.md") == b"second"


def test_name_that_leads_out_of_the_run_is_not_followed(url, folder, tmp_path):
    storage = Storage(url)
    record(folder, Replica(folder, storage), "run_started")
    if url.startswith("s3://"):  # other stores resolve such a name themselves
        storage.write("states/../../outside", b"planted")
        with pytest.raises(RunFolderError, match="outside"):
            bring_run(storage, tmp_path / "elsewhere")
        assert not (tmp_path / "outside").exists()


def test_url_of_nothing_and_a_store_that_cannot_keep_writers_apart_are_refused():
    with pytest.raises(RunFolderError, match="expected a folder or a URL"):
        Storage("nothing://bucket")

    class Plain(fsspec.AbstractFileSystem):
        """A store that looks whether there is a file, and then writes it."""

        protocol = "plain"

    fsspec.register_implementation("plain", Plain, clobber=True)
    with pytest.raises(RunFolderError, match="cannot keep two writers apart"):
        Storage("plain://runs")


def test_storage_that_is_tried_is_left_empty(url):
    try_storage(url)
    assert Storage(url).names() == []


def test_storage_that_writes_over_a_file_is_refused_when_tried(url, monkeypatch):
    monkeypatch.setattr(Storage, "write_new", lambda self, *file: self.write(*file) or True)
    with pytest.raises(RunFolderError, match="cannot keep two writers apart"):
        try_storage(url)
    assert Storage(url).names() == []


def another_writer(url):
    """A client that shares nothing with ours, as on another machine."""
    return fsspec.core.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)[0]


def test_what_others_write_after_a_listing_is_read_and_named(url):
    storage = Storage(url)
    storage.write("journal/0", b"ours")
    assert storage.names() == ["journal/0"]
    others = Storage(url)
    others._fs = another_writer(url)
    others.write("journal/1", b"theirs")
    assert storage.read("journal/1") == b"theirs"
    assert not storage.write_new("journal/1", b"ours")
    assert storage.names("journal") == ["0", "1"]
    others.remove("journal/0")
    with pytest.raises(FileNotFoundError, match="journal/0"):
        storage.read("journal/0")
    assert storage.names() == ["journal/1"]


@pytest.fixture
def no_server():
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        yield silent.getsockname()[1]


@pytest.mark.parametrize("is_closed", [True, False])
def test_storage_where_nobody_answers_is_told_at_once_and_in_one_line(no_server, is_closed, bucket, monkeypatch):
    if is_closed:
        with socket.create_server(("127.0.0.1", 0)) as free:
            no_server = free.getsockname()[1]
    attempts = []
    monkeypatch.setattr(s3_client, "_FIRST_TIMEOUTS_S", {"connect_timeout": 0.5, "read_timeout": 0.5})
    monkeypatch.setattr("asyncio.sleep", lambda seconds, *_, sleep=asyncio.sleep: attempts.append(seconds) or sleep(0))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{no_server}")
    with pytest.raises(OSError, match=r"s3://our-runs/a: the storage cannot be reached: .*AWS_ENDPOINT_URL") as raised:
        Storage("s3://our-runs/a")
    assert len(str(raised.value).splitlines()) == 1
    assert sum(attempts) < 1, "nobody is waited for where a command begins"


def test_patience_with_a_silent_server_is_bounded():
    seconds = s3_client._ROUNDS * s3_client._ATTEMPTS * s3_client._TIMEOUTS_S["read_timeout"]
    assert seconds <= 180
    assert sum(s3_client._FIRST_TIMEOUTS_S.values()) < 20


def test_journal_says_what_the_storage_says_and_where_the_events_are(url, folder, monkeypatch):
    """A storage's error need not have a number nor a text of the system's, and no room is short on this disk."""
    storage = Storage(url)
    replica = Replica(folder, storage)

    def fail(*_, **__):
        raise FileNotFoundError("of the store's own making")

    with pytest.raises(RecordingError) as raised, Journal(folder.journal, replica.send_journal) as journal:
        journal.append("run_started")
        monkeypatch.setattr(storage, "write_new", fail)
        journal.append("trial_ended")
    text = str(raised.value)
    assert "of the store's own making" in text and f"`aesweep resume {folder.root} --storage " in text
    assert "None" not in text and "make room" not in text and len(text.splitlines()) == 1
    assert [event["kind"] for event in read_journal(folder.journal)] == ["run_started", "trial_ended"]


def test_run_of_which_the_folder_lost_all_is_fetched_from_its_storage_and_not_begun_anew(tmp_path, folder, capsys):
    """The folder holds a torn first line; `aesweep run`, which takes over such a folder, would fail."""
    replica = Replica(folder, Storage(str(tmp_path / "runs" / folder.root.name)))
    with Journal(folder.journal, replica.send_journal) as journal:
        journal.append("run_started")
    folder.journal.write_bytes(folder.journal.read_bytes()[:20])
    words = ["resume", str(folder.root), "--storage", str(tmp_path / "runs")]
    with pytest.raises(SystemExit) as ended:
        commands(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 73 and "holds more of this run" in line and "`aesweep fetch " in line
    with pytest.raises(SystemExit) as ended:
        commands(words[:2])
    assert ended.value.code == 65 and "nothing was recorded yet" in capsys.readouterr().err
