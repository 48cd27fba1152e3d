"""Fetches public weights over HTTPS: resumed, checked, and there whole or not at all."""

import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, BinaryIO

from thvideo.errors import InputError, UsageError, WorkspaceError, reason_of
from thvideo.reading import json_of
from thvideo.weights.cards import sha256_of
from thvideo.weights.sources import Source

_BLOCK_BYTES = 1 << 18
_SILENCE_S = 30.0
_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
_BETWEEN_EVENTS_S = 0.2
# Of a file whose size nobody published; the largest that is known here has 0.6 GB.
_MOST_BYTES = 1 << 30
# What a server's answer can raise on the way: broken lines, addresses and numbers.
_BROKEN = (OSError, http.client.HTTPException, ValueError)


@dataclass(frozen=True)
class Fetching:
    """Bytes have come.

    Args:
        done_bytes: how many of the file are here.
        total_bytes: how many it has; 0 where the server does not say.
    """

    done_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Fetched:
    """The file is here and is the one that was meant.

    Args:
        path: where.
        sha256: its digest.
        is_new: whether it was fetched now.
    """

    path: Path
    sha256: str
    is_new: bool


class _UnansweredError(Exception):
    """An address gave no file, or another one."""


def fetch(
    source: Source, folder: Path, *, is_trusted: bool = False
) -> Iterator[Fetching | Fetched]:
    """Fetch public weights, unless they are there.

    What an interrupted run left is gone on with where there is a digest to check the whole by,
    and fetched anew where there is none.

    Args:
        source: what; with the digest that the person gave, where nobody published one.
        folder: where it is kept; made if missing.
        is_trusted: whether the person takes what comes where there is no digest.

    Yields:
        Progress, at last the file.

    Raises:
        InputError: no address answers with the file, or what lies there is not it.
        UsageError: an address is not of https, or there is no digest and nobody trusts it.
        WorkspaceError: the folder cannot be written, or another process fetches the same.
    """
    from filelock import FileLock, Timeout

    path = folder / source.file
    for url in source.urls:
        if not _is_safe(url):
            raise UsageError(f"{source.name} is fetched over https only, not {url}")
    if not source.sha256 and not is_trusted and not path.is_file():
        raise UsageError(
            f"nobody published a SHA-256 of {source.name}, so that what comes cannot be checked",
            hint=f"thvideo weights fetch {source.name} --sha256 HEX if you know it, or --trust",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{source.file}.lock", timeout=0):
            if path.is_file():
                yield Fetched(path, verify_fetched(source, folder), is_new=False)
            else:
                yield from _download(source, path)
    except Timeout as error:
        raise WorkspaceError(
            f"another process is fetching {source.name} to {folder}", hint="wait for it"
        ) from error
    except OSError as error:
        raise WorkspaceError(
            f"{folder} cannot be written ({error.strerror or error})",
            hint="set THVIDEO_CACHE to a folder with room that you may write to",
        ) from error


def verify_fetched(source: Source, folder: Path) -> str:
    """Compare a fetched file with what was published about it, or with how it came.

    Args:
        source: what it should be.
        folder: where it is kept.

    Returns:
        Its SHA-256, in hex.

    Raises:
        InputError: it is missing, not whole, or another file.
    """
    path = folder / source.file
    if not path.is_file():
        raise InputError(f"there is no {path}", hint=f"thvideo weights fetch {source.name}")
    sha256, fault = _examine(source, path)
    card = _card_path(path)
    if not fault and card.is_file():
        try:
            came = str(json_of(card.read_text(encoding="utf-8"))["sha256"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{card} is damaged ({reason_of(error)})",
                hint=f"remove it and {path.name}, then thvideo weights fetch {source.name}",
            ) from error
        fault = "" if came == sha256 else f"its SHA-256 was {came[:8]} and is {sha256[:8]}"
    if fault:
        hint = f"remove it, then thvideo weights fetch {source.name}"
        raise InputError(f"{path} is not {source.name}: {fault}", hint=hint)
    return sha256


def _download(source: Source, path: Path) -> Iterator[Fetching | Fetched]:
    partial = path.with_name(f".{path.name}.partial")
    failures = []
    for url in source.urls:
        try:
            yield from _receive_right(source, url, partial)
        except _UnansweredError as failure:
            failures.append(f"{url}: {failure}")
            continue
        sha256 = sha256_of(partial)
        card = {"name": source.name, "what": source.what, "use": source.licence, "url": url}
        text = json.dumps(card | {"sha256": sha256}, indent=2) + "\n"
        _card_path(path).write_text(text, encoding="utf-8")
        partial.replace(path)
        yield Fetched(path, sha256, is_new=True)
        return
    raise InputError(
        f"{source.name} could not be fetched ({'; '.join(failures)})",
        hint=f"run it again when the network is there, or get {source.urls[0]} by another way "
        f"and put it at {path}",
    )


def _receive_right(source: Source, url: str, partial: Path) -> Iterator[Fetching]:
    """Receive a file and examine it; what is wrong is removed."""
    if not source.sha256:
        partial.unlink(missing_ok=True)
    # What was left may have been of another file: then once more, from the start.
    for _ in range(2 if partial.exists() else 1):
        yield from _receive(url, partial, source.n_bytes)
        _, fault = _examine(source, partial)
        if not fault:
            return
        partial.unlink()
    raise _UnansweredError(fault)


def _examine(source: Source, path: Path) -> tuple[str, str]:
    """SHA-256 of a file, and what shows that it is not the one meant; empty if nothing does."""
    n_bytes, sha256 = path.stat().st_size, sha256_of(path)
    with path.open("rb") as file:
        begins = file.read(64).lstrip()
    if source.n_bytes and n_bytes != source.n_bytes:
        return sha256, f"it has {n_bytes} bytes, not {source.n_bytes}"
    if not sha256.startswith(source.sha256):
        return sha256, f"its SHA-256 begins with {sha256[:8]}, not {source.sha256[:8]}"
    if not begins:
        return sha256, "it is empty"
    # Where no digest was published, a page that a portal shows instead is the likely mistake.
    return sha256, "it is a web page" if begins.startswith(b"<") else ""


def _receive(url: str, partial: Path, n_bytes: int) -> Iterator[Fetching]:
    """Append what is missing of a file, or write all of it where the server cannot go on.

    Args:
        url: where it is.
        partial: where it comes to.
        n_bytes: its size; 0 where nobody published it.
    """
    start = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "thvideo"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = _opener().open(request, timeout=_SILENCE_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is here already, or it is of another file: the digest tells
        raise _UnansweredError(f"the server says {error.code} {error.reason}") from error
    except _BROKEN as error:
        reason = getattr(error, "reason", None) or error
        raise _UnansweredError(f"no connection ({reason})") from error
    with answer:
        is_rest = answer.status == HTTPStatus.PARTIAL_CONTENT
        if is_rest and not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise _UnansweredError("the server sends another part than asked for")
        done = start if is_rest else 0
        left = _stated_length(answer)
        total, most = done + left if left else 0, n_bytes or _MOST_BYTES
        if total > most:
            raise _UnansweredError(f"it has {total} bytes, not {most}")
        with partial.open("ab" if is_rest else "wb") as file:
            yield from _copy(answer, file, Fetching(done, total), most)


def _stated_length(answer: http.client.HTTPResponse) -> int:
    """How many bytes follow; 0 where the server does not say."""
    said = answer.headers.get("Content-Length", "0").strip()
    if not re.fullmatch(r"[0-9]{1,15}", said):
        raise _UnansweredError(f"its Content-Length is {said[:40]!r}")
    return int(said)


def _copy(
    answer: http.client.HTTPResponse, file: BinaryIO, begun: Fetching, most: int
) -> Iterator[Fetching]:
    told_s = time.monotonic()
    done, total = begun.done_bytes, begun.total_bytes
    while block := _read(answer):
        done += len(block)
        if done > most:
            file.truncate(0)
            raise _UnansweredError(f"it goes on after {most} bytes")
        file.write(block)
        if time.monotonic() - told_s > _BETWEEN_EVENTS_S:
            told_s = time.monotonic()
            yield Fetching(done, total)
    yield Fetching(done, total)
    if done < total:
        raise _UnansweredError(f"the connection ended after {done} of {total} bytes; they are kept")


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_BLOCK_BYTES)
    except _BROKEN as error:
        reason = str(error) or type(error).__name__
        raise _UnansweredError(f"the connection broke ({reason}); what came is kept") from error


def _is_safe(url: str) -> bool:
    """Whether nobody on the way can change what comes: https, or a server on this machine."""
    try:
        parts = urllib.parse.urlsplit(url)
        on_this_machine = parts.scheme == "http" and parts.hostname in _THIS_MACHINE
    except ValueError:
        return False
    return parts.scheme == "https" or on_this_machine


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to no address that is not safe."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not _is_safe(newurl):
            raise urllib.error.URLError(f"it leads on to {newurl[:80]}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Opens https and nothing else, wherever a server redirects to."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        _SafeRedirects,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener


def _card_path(path: Path) -> Path:
    return path.with_suffix(".json")
