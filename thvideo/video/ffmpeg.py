"""Find ffmpeg, build its argument lists, and run it without leaving children behind."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from thvideo.errors import StageError, ThvideoError, WorkspaceError

# -fps_mode came with 5.1; without it frames can be dropped or doubled.
OLDEST_FFMPEG = (5, 1)
# Files are taken for what these demuxers find in them. The others read playlists, which open
# further files, or go by the name alone: any text is a video to the one for terminals.
_DEMUXERS = (
    "mov,matroska,webm,avi,flv,live_flv,mpegts,mpeg,mpegvideo,asf,ogg,mxf,gxf,dv,rm,wtv,nut,ivf,"
    "obu,av1,h261,h263,h264,hevc,vvc,m4v,mjpeg,vc1,cavsvideo,dhav,nuv,ty,pva,yuv4mpegpipe,"
    "jpegxl_anim,jpegxl_pipe,gif,apng,wav,w64,aiff,caf,mp3,aac,loas,ac3,eac3,dts,dtshd,truehd,"
    "mlp,flac,ape,wv,tta,tak,mpc,mpc8,iamf,amr,au,iff,dsf,oma,voc"
)
#: Options before a file: nothing that it refers to (data: and http: links) is ever opened.
READS_ONLY_THE_FILE = {"protocol_whitelist": "file,pipe", "format_whitelist": _DEMUXERS}
QUIET = ("-hide_banner", "-nostdin", "-loglevel", "level+error")
# What stands before ffmpeg's words on its newer versions' first line of an error.
_PREFIX = re.compile(r"^(\[[^\]]*\] ?)*(Error opening (input|output): )?")
# Lines that only say that an error was reported before them.
_EMPTY_LINES = re.compile(
    r"Conversion failed|Error (opening (in|out)put|while|closing|writing|muxing|submitting|sending)"
    r"|Nothing was written|Terminating thread|Task finished|Last message repeated|Exiting"
    r"|Could not open encoder|received no packets|At least one output file"
)


@lru_cache(maxsize=1)
def ffmpeg_path() -> Path:
    """Return the ffmpeg to use: ``THVIDEO_FFMPEG``, the system's, or imageio-ffmpeg's.

    Raises:
        StageError: ``THVIDEO_FFMPEG`` does not run, or there is no ffmpeg at all.
    """
    chosen = os.environ.get("THVIDEO_FFMPEG")
    if chosen:
        if _version(chosen) is None:
            raise StageError(
                f"THVIDEO_FFMPEG={chosen} is not an ffmpeg that runs",
                hint="unset THVIDEO_FFMPEG, or let it name the ffmpeg program",
            )
        return Path(chosen)
    system = shutil.which("ffmpeg")
    if system and (_version(system) or (0, 0)) >= OLDEST_FFMPEG:
        return Path(system)
    import imageio_ffmpeg

    try:
        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise StageError(
            "no ffmpeg was found", hint="install one: apt install ffmpeg, or brew install ffmpeg"
        ) from error


def _version(program: str) -> tuple[int, int] | None:
    """Return (major, minor), or None if the program does not run; builds from git count as new."""
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):
        return None
    found = re.match(r"ffmpeg version n?(\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (99, 0)


@lru_cache(maxsize=1)
def available(kind: str) -> frozenset[str]:
    """Return the names of this ffmpeg's ``"filters"`` or ``"encoders"``."""
    done = run_ffmpeg([f"-{kind}"])
    return frozenset(re.findall(r"^ [A-Z.|]+ +(\w+) ", done.decode("utf-8", "replace"), re.M))


def file_url(path: Path) -> str:
    """Return the path as a graph takes it: no dash, colon or percent sign can be misread.

    A name is bytes and need not be text, which ffmpeg-python wants; so each byte stands as one
    letter until ``arguments`` makes the name of them again.
    """
    return "file:" + os.fsencode(path.absolute()).decode("latin-1")


def _with_true_names(args: list[str]) -> list[str]:
    return [os.fsdecode(arg.encode("latin-1")) if arg.startswith("file:") else arg for arg in args]


def seconds_text(seconds: Fraction, rounding: Callable[[Fraction], int] = round) -> str:
    """Return seconds as ffmpeg takes them, to the microsecond."""
    return f"{rounding(seconds * 1_000_000)}us"


def media_input(path: Path, **options: Any) -> Any:
    """Return a graph's input that reads the file and nothing that the file refers to."""
    import ffmpeg

    return ffmpeg.input(file_url(path), **{**READS_ONLY_THE_FILE, **options})


def pipe_input(**options: Any) -> Any:
    """Return a graph's input that reads standard input."""
    import ffmpeg

    return ffmpeg.input("pipe:0", protocol_whitelist="file,pipe", **options)


def arguments(*outputs: Any) -> list[str]:
    """Return the argument list (without the program) of a graph with these outputs."""
    import ffmpeg

    node = ffmpeg.merge_outputs(*outputs) if len(outputs) > 1 else outputs[0]
    return [*QUIET, *_with_true_names(node.get_args(overwrite_output=True))]


@dataclass(frozen=True)
class Child:
    """A running ffmpeg.

    Args:
        process: The process; its pipes are unbuffered.
        log: Its standard error: a file, so that a talkative ffmpeg can never block.
    """

    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def lines(self) -> list[str]:
        """Return what ffmpeg wrote to standard error so far."""
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace").splitlines()

    def finish(self, what: str) -> list[str]:
        """Wait for the end and return the log; see ``failure`` for what is raised."""
        code = self.process.wait()
        lines = self.lines()
        if code != 0:
            raise failure(what, lines)
        return lines


def nameless_file() -> IO[bytes]:
    """Open a file without a name: nothing of it is left, however the process ends.

    Raises:
        WorkspaceError: There is no place for temporary files.
    """
    if hasattr(os, "memfd_create"):
        with suppress(OSError):  # some sandboxes forbid it
            return os.fdopen(os.memfd_create("thvideo"), "w+b", buffering=0)
    try:
        return tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise WorkspaceError(
            f"no temporary file can be made ({error.strerror})",
            hint="free some space, or let TMPDIR name a folder that you may write to",
        ) from error


@contextmanager
def running(
    args: Sequence[str],
    *,
    feeds: bool = False,
    reads: bool = False,
    cwd: Path | None = None,
    shares: IO[bytes] | None = None,
) -> Iterator[Child]:
    """Run ffmpeg; whatever happens inside the block, it is dead after it.

    Args:
        args: Arguments as ``arguments`` returns them.
        feeds: Whether the caller writes to ``process.stdin``.
        reads: Whether the caller reads ``process.stdout``.
        cwd: The folder in which relative names are meant.
        shares: An open file that it may write to, as ``pipe:`` and its number.
    """
    with nameless_file() as log:
        process = subprocess.Popen(
            [str(ffmpeg_path()), *args],
            stdin=subprocess.PIPE if feeds else subprocess.DEVNULL,
            stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
            stderr=log,
            bufsize=0,
            cwd=cwd,
            pass_fds=() if shares is None else (shares.fileno(),),
        )
        try:
            yield Child(process, log)
        finally:
            if process.poll() is None:
                process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.wait()


def run_ffmpeg(
    args: Sequence[str], *, what: str = "ffmpeg failed", cwd: Path | None = None, feed: bytes = b""
) -> bytes:
    """Run ffmpeg to its end and return its standard output.

    Args:
        args: Arguments as ``arguments`` returns them.
        what: The start of the error's text, such as "cannot write out.mp4".
        cwd: The folder in which relative names are meant.
        feed: Standard input; at most a pipe's worth (a list of file names).

    Raises:
        WorkspaceError: The disk is full or a place cannot be written.
        StageError: Anything else, with ffmpeg's last meaningful line.
    """
    with running(args, feeds=bool(feed), reads=True, cwd=cwd) as child:
        if child.process.stdin is not None:
            try:
                child.process.stdin.write(feed)
            except BrokenPipeError:
                child.finish(what)
            child.process.stdin.close()
        assert child.process.stdout is not None  # reads=True makes the pipe
        output = child.process.stdout.read()
        child.finish(what)
        return output


def failure(what: str, log: Sequence[str]) -> ThvideoError:
    """Return the error that explains an ffmpeg that failed, from its log."""
    text = "\n".join(log)
    if "No space left on device" in text:
        return WorkspaceError(
            f"{what}: the disk is full",
            hint="free some space, or choose another disk with --workspace",
        )
    if "Permission denied" in text or "Read-only file system" in text:
        return WorkspaceError(
            f"{what}: the place cannot be written", hint="check the folder's permissions"
        )
    return StageError(f"{what}: {meaningful_line(log)}")


def meaningful_line(log: Sequence[str]) -> str:
    """Return the last line of a log that says something, without ffmpeg's prefixes."""
    for line in reversed(log):
        plain = _PREFIX.sub("", line).strip()
        if plain and not _EMPTY_LINES.search(plain):
            return plain
    return "ffmpeg gave no reason"
