"""The S3 that fails does what it is told, and our storage deals with each of its faults."""

from __future__ import annotations

import asyncio
import http.client
from urllib.parse import urlsplit

import pytest

pytest.importorskip("s3fs", reason="NOT RUN: pip install 'aesweep[aws]'")
pytest.importorskip("moto.server", reason="NOT RUN: pip install 'aesweep[test]'")

from aesweep.storage import s3_client
from aesweep.storage.journal import Journal
from aesweep.storage.object_store import Storage
from aesweep.storage.replica import Replica, read_segments
from aesweep.storage.run_folder import RunFolder
from tests.chaos import unreliable_s3
from tests.chaos.unreliable_s3 import BUSY, CONFLICT, FAULTS, LOST, REFUSED, REPEATED, TORN, UnreliableS3


@pytest.fixture(scope="module")
def server():
    s3 = UnreliableS3()
    yield s3
    s3.close()


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The pauses between a client's attempts, in seconds, which are not waited for."""
    found: list[float] = []
    monkeypatch.setattr("asyncio.sleep", lambda seconds, *_, sleep=asyncio.sleep: found.append(seconds) or sleep(0))
    return found


@pytest.fixture
def s3(server, waits, monkeypatch):
    import s3fs

    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(unreliable_s3, "SLOW_S", 0.05)
    s3fs.S3FileSystem.clear_instance_cache()
    yield server
    server.recover()


# moto looks at who signs, and not at the signature.
SIGNED = {
    "Authorization": "AWS4-HMAC-SHA256 Credential=made-up/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, "
    "Signature=0"
}


def put(s3: UnreliableS3, name: str, content: bytes, **headers: str) -> int | None:
    """The status of the answer to one request; None without an answer."""
    connection = http.client.HTTPConnection(urlsplit(s3.url).netloc, timeout=20)
    try:
        connection.request("PUT", f"/{s3.BUCKET}/{name}", content, {**SIGNED, **headers})
        return connection.getresponse().status
    except (http.client.HTTPException, ConnectionError):
        return None
    finally:
        connection.close()


def kept(s3: UnreliableS3, name: str) -> bytes | None:
    status, _, content = s3.forward("GET", f"/{s3.BUCKET}/{name}", SIGNED, b"")
    return content if status == 200 else None


@pytest.mark.parametrize(
    ("how", "answer", "is_kept"),
    [(REFUSED, None, False), (TORN, None, False), (BUSY, 503, False), (LOST, None, True), (REPEATED, 412, True)],
)
def test_fault_is_what_its_name_says(s3, how, answer, is_kept):
    name = how.replace(" ", "-").replace(":", "").replace(",", "")
    s3.disturb(how, 1)
    found = put(s3, name, b"content" * 1000, **{"If-None-Match": "*"})
    assert found == answer
    assert kept(s3, name) == (b"content" * 1000 if is_kept else None)
    assert put(s3, f"{name}-after", b"x") == 200


@pytest.mark.parametrize("how", [*FAULTS, CONFLICT])
def test_journal_and_files_arrive_whole_whatever_happens_to_a_request(s3, how, tmp_path):
    folder = RunFolder.create(tmp_path, "run")
    storage = Storage(f"s3://{s3.BUCKET}/{how.replace(' ', '-').replace(':', '').replace(',', '')}")
    replica = Replica(folder, storage)
    before = s3.num_disturbed
    with Journal(folder.journal, replica.send_journal) as journal:
        for number in range(4):
            s3.disturb(how, 2)
            journal.append("trial_ended", number=number)
            s3.disturb(how, 1)
            replica.files.write(f"states/{number}", b"%d" % number * 1000)
            s3.recover()
            assert read_segments(storage) == folder.journal.read_bytes()
            assert storage.read(f"states/{number}") == b"%d" % number * 1000
    assert s3.num_disturbed > before


@pytest.mark.parametrize("how", [REFUSED, BUSY])
def test_storage_out_of_reach_is_an_error_of_one_line_and_loses_nothing(s3, waits, how, tmp_path):
    folder = RunFolder.create(tmp_path, "run")
    storage = Storage(f"s3://{s3.BUCKET}/out-{how[-3:]}")
    replica = Replica(folder, storage)
    with Journal(folder.journal, replica.send_journal) as journal:
        journal.append("run_started")
        s3.disturb(how, 10**6)
        with pytest.raises(OSError) as raised:
            replica.files.write("states/a", b"a")
        assert len(str(raised.value).splitlines()) == 1
        assert len(waits) >= s3_client._ATTEMPTS - 1
        s3.recover()
        journal.append("trial_ended")
    assert read_segments(storage) == folder.journal.read_bytes()
