"""Fetching weights from a server on this machine: whole, checked, resumed, or a clear error."""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.weights.loopback import CONTENT, SHA256, Server, serving
from thvideo.errors import InputError, UsageError, WorkspaceError
from thvideo.weights.fetch import Fetched, Fetching, fetch, verify_fetched
from thvideo.weights.sources import SOURCES, Source, fetched_folder, source


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as state:
        yield state


def made(server: Server, sha256: str = SHA256[:8], n_bytes: int = 0) -> Source:
    return Source("made", "a test", "w.pth", (server.url,), "none", n_bytes, sha256)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_good_file_arrives_whole_with_its_progress_and_its_card(
    server: Server, tmp_path: Path
) -> None:
    *progress, last = fetch(made(server), tmp_path / "new")
    path = tmp_path / "new" / "w.pth"
    assert last == Fetched(path, SHA256, is_new=True)
    assert path.read_bytes() == CONTENT
    assert progress[-1] == Fetching(len(CONTENT), len(CONTENT))
    assert names(path.parent) == {"w.pth", "w.json"}
    card = json.loads((path.parent / "w.json").read_text())
    assert card["sha256"] == SHA256 and card["url"] == server.url


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(CONTENT)  # put there by hand
    assert list(fetch(made(server), tmp_path)) == [Fetched(tmp_path / "w.pth", SHA256, False)]
    assert server.ranges == []


def test_a_wrong_checksum_leaves_nothing_that_could_be_used(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        list(fetch(made(server, "0badc0de"), tmp_path))
    assert SHA256[:8] in error.value.fact and "0badc0de" in error.value.fact
    assert names(tmp_path) == set()


def test_a_wrong_size_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{len(CONTENT)} bytes, not 7"):
        list(fetch(made(server, n_bytes=7), tmp_path))


@pytest.mark.parametrize("content", [b"", b"\n<!DOCTYPE html><html>log in</html>"])
def test_without_a_published_digest_a_page_or_nothing_is_no_file(
    server: Server, tmp_path: Path, content: bytes
) -> None:
    server.content = content
    with pytest.raises(InputError):
        list(fetch(made(server, sha256=""), tmp_path, is_trusted=True))
    assert names(tmp_path) == set()


def test_a_broken_download_goes_on_where_it_ended(server: Server, tmp_path: Path) -> None:
    server.stop_after = 300_000
    with pytest.raises(InputError, match="300000 of 1024000 bytes"):
        list(fetch(made(server), tmp_path))
    assert names(tmp_path) == {".w.pth.partial"}
    server.stop_after = None
    *progress, last = fetch(made(server), tmp_path)
    assert isinstance(last, Fetched) and last.path.read_bytes() == CONTENT
    assert progress[-1] == Fetching(len(CONTENT), len(CONTENT))
    assert server.ranges == [None, "bytes=300000-"]


def test_a_server_without_ranges_is_asked_for_all_of_it(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".w.pth.partial").write_bytes(CONTENT[:1000])
    server.knows_ranges = False
    *_, last = fetch(made(server), tmp_path)
    assert isinstance(last, Fetched) and last.path.read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"of another file" * 100, CONTENT + b"more", CONTENT])
def test_what_was_left_of_another_file_is_given_up(
    server: Server, tmp_path: Path, left: bytes
) -> None:
    (tmp_path / ".w.pth.partial").write_bytes(left)
    *_, last = fetch(made(server), tmp_path)
    assert isinstance(last, Fetched) and last.path.read_bytes() == CONTENT
    assert len(server.ranges) == (1 if left == CONTENT else 2)


def test_nothing_is_resumed_that_no_digest_could_check(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".w.pth.partial").write_bytes(b"of another file")
    *_, last = fetch(made(server, sha256=""), tmp_path, is_trusted=True)
    assert isinstance(last, Fetched) and last.path.read_bytes() == CONTENT
    assert server.ranges == [None]


def test_a_missing_page_names_the_address_and_where_to_put_the_file(
    server: Server, tmp_path: Path
) -> None:
    server.status = 404
    with pytest.raises(InputError, match="404") as error:
        list(fetch(made(server), tmp_path))
    assert server.url in error.value.hint
    assert str(tmp_path / "w.pth") in error.value.hint


def test_no_network_names_the_address_and_where_to_put_the_file(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/w.pth"
        offline = Source("made", "a test", "w.pth", (url,), "none")
        with pytest.raises(InputError, match="no connection") as error:
            list(fetch(offline, tmp_path, is_trusted=True))
    assert url in error.value.hint and str(tmp_path / "w.pth") in error.value.hint


def test_the_next_address_is_tried_where_one_fails(server: Server, tmp_path: Path) -> None:
    refused = server.url.replace(str(server.port), "9")
    two = replace(made(server), urls=(refused, server.url))
    *_, last = fetch(two, tmp_path)
    assert isinstance(last, Fetched) and last.path.read_bytes() == CONTENT


UNSAFE = ["file:///etc/hostname", "ftp://127.0.0.1/w.pth", "http://example.invalid/w.pth", "//[x"]


@pytest.mark.parametrize("url", UNSAFE)
def test_only_https_is_spoken(server: Server, tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="https only"):
        list(fetch(replace(made(server), urls=(url,)), tmp_path))
    server.location = url
    with pytest.raises(InputError):
        list(fetch(made(server), tmp_path))
    assert not (tmp_path / "w.pth").exists()


BROKEN = {
    "a length of letters": {"length": "many"},
    "a length below nothing": {"length": "-1"},
    "a length of digits without end": {"length": "9" * 6000},
    "another length than is known": {"length": str(len(CONTENT) + 1)},
    "a body without end": {"is_endless": True},
    "a way to nowhere": {"location": "http://127.0.0.1:port/"},
    "a way that is none": {"location": "http://[127.0.0.1/"},
    "a way in a circle": {"location": "/weights.pth"},
    "a way to plain http": {"location": "http://example.invalid/w.pth"},
    "nothing": {"status": 204},
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=list(BROKEN))
def test_the_next_address_is_tried_where_an_answer_is_broken(
    server: Server, tmp_path: Path, fault: dict[str, Any]
) -> None:
    with serving() as broken:
        for name, value in fault.items():
            setattr(broken, name, value)
        two = replace(made(server, n_bytes=len(CONTENT)), urls=(broken.url, server.url))
        *_, last = fetch(two, tmp_path)
    assert isinstance(last, Fetched) and last.path.read_bytes() == CONTENT
    assert broken.ranges and server.ranges
    # A body without end is left soon: what lies between is held by sockets.
    assert broken.n_sent < 64 << 20


def test_a_body_without_end_is_cut_off_where_no_size_is_known(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("thvideo.weights.fetch._MOST_BYTES", 4 << 20)
    server.is_endless = True
    with pytest.raises(InputError, match="goes on after 4194304 bytes"):
        list(fetch(made(server), tmp_path))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 0


def test_what_nobody_can_check_is_fetched_only_if_the_person_says_so(
    server: Server, tmp_path: Path
) -> None:
    unpublished = made(server, sha256="")
    with pytest.raises(UsageError, match="nobody published") as error:
        list(fetch(unpublished, tmp_path))
    assert "--sha256" in error.value.hint and "--trust" in error.value.hint
    assert server.ranges == []
    *_, last = fetch(replace(unpublished, sha256=SHA256), tmp_path)
    assert isinstance(last, Fetched) and last.is_new


def test_two_processes_do_not_fetch_the_same(server: Server, tmp_path: Path) -> None:
    with FileLock(tmp_path / ".w.pth.lock"), pytest.raises(WorkspaceError, match="another process"):
        list(fetch(made(server), tmp_path))


def test_a_folder_that_cannot_be_made_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError) as error:
        list(fetch(made(server), tmp_path / "file" / "weights"))
    assert "THVIDEO_CACHE" in error.value.hint


def test_a_file_that_changed_since_it_came_is_found(server: Server, tmp_path: Path) -> None:
    unpublished = made(server, sha256="")
    list(fetch(unpublished, tmp_path, is_trusted=True))
    assert verify_fetched(unpublished, tmp_path) == SHA256
    (tmp_path / "w.pth").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(InputError, match=f"was {SHA256[:8]}"):
        verify_fetched(unpublished, tmp_path)
    (tmp_path / "w.pth").unlink()
    with pytest.raises(InputError) as error:
        verify_fetched(unpublished, tmp_path)
    assert error.value.hint == "thvideo weights fetch made"


@pytest.mark.parametrize("text", ["{}", "[1]", "{", "no card"])
def test_a_damaged_card_is_told(server: Server, tmp_path: Path, text: str) -> None:
    unpublished = made(server, sha256="")
    list(fetch(unpublished, tmp_path, is_trusted=True))
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(InputError, match=r"w\.json is damaged") as error:
        verify_fetched(unpublished, tmp_path)
    assert "w.pth, then thvideo weights fetch made" in error.value.hint


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THVIDEO_CACHE", str(tmp_path))
    assert fetched_folder() == tmp_path / "weights"
    monkeypatch.delenv("THVIDEO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert fetched_folder() == tmp_path / "xdg" / "thvideo" / "weights"


def test_every_public_source_is_named_once_and_spoken_to_over_https() -> None:
    assert len({one.name for one in SOURCES}) == len({one.file for one in SOURCES}) == len(SOURCES)
    for one in SOURCES:
        assert all(url.startswith("https://") for url in one.urls)
        assert source(one.name) is one
        named = re.search(r"-([0-9a-f]{8})\.pth$", one.file)
        assert named is None or named[1] == one.sha256
    with pytest.raises(UsageError) as error:
        source("vgg")
    assert "vgg19" in error.value.hint
