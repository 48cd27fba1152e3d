"""``thvideo doctor``: try everything a run needs, and say what to do where it fails."""

import time
from typing import Any

from thvideo.cli import options
from thvideo.cli.checks import Check, Finding, checks
from thvideo.cli.console import one_line, paint, say
from thvideo.cli.options import Given, Opt, takes
from thvideo.cli.render import as_json
from thvideo.errors import ThvideoError

_COLOURS = {"ok": "32", "warn": "33", "fail": "1;31"}
_NAME_WIDTH = 14


@takes(
    *options.WORKSPACE,
    options.RESOURCES[0],
    Opt("json", options.RUNNING, "Print one JSON object a line and nothing else.", kind=bool),
    Opt("verbose", options.RUNNING, "Show the traceback of an error.", kind=bool),
)
def doctor(given: Given) -> int:
    """Check this machine: packages, device, ffmpeg, tracker, weights, space."""
    worst: dict[str, int] = {"ok": 0, "warn": 0, "fail": 0}
    for check in checks(given.values["workspace"], given.values["device"]):
        started_s = time.monotonic()
        for finding in _tried(check):
            worst[finding.status] += 1
            _print(check, finding, time.monotonic() - started_s, given)
    if not given.flag("json"):
        say()
        say(_verdict(worst))
    return 1 if worst["fail"] else 0


def _tried(check: Check) -> list[Finding]:
    """Run a check; whatever it raises is its finding."""
    try:
        return check.try_it()
    except ThvideoError as error:
        return [Finding("fail", error.fact, error.hint)]
    except Exception as error:
        # A broken installation can raise anything, and the other checks still matter.
        return [Finding("fail", f"{type(error).__name__}: {error}", check.hint)]


def _print(check: Check, finding: Finding, seconds: float, given: Given) -> None:
    if given.flag("json"):
        line: dict[str, Any] = {"event": "check", "name": check.name, "status": finding.status}
        facts = {"text": finding.text, "hint": finding.hint, "seconds": round(seconds, 2)}
        say(as_json(line | facts))
        return
    status = paint(f"{finding.status:<4}", _COLOURS[finding.status])
    say(f"{status}  {check.name:<{_NAME_WIDTH}}  {one_line(finding.text)}")
    if finding.hint:
        say(f"{'':<4}  {'':<{_NAME_WIDTH}}  -> {one_line(finding.hint)}")


def _verdict(counted: dict[str, int]) -> str:
    if counted["fail"]:
        return f"{counted['fail']} of {sum(counted.values())} checks failed"
    if counted["warn"]:
        return f"thvideo can work here; {counted['warn']} of its abilities are missing or limited"
    return "all is well"
