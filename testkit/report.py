"""One HTML file of the calls of failed tests: what was expected, the picture, the transcript and the audio of each.

The file stands alone: the picture is inline SVG, the audio a data URL in stereo, the caller on the left.
"""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from testkit.played_call import PlayedCall
from web.picture.timeline import render_timeline

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #1b1b1b }
h2 { border-top: 2px solid #c33; padding-top: 1rem; overflow-wrap: anywhere }
pre { background: #f5f5f2; padding: 1rem; overflow-x: auto; font-size: 13px }
.picture { overflow-x: auto } audio { width: 100% }
"""


def draw_call(call: PlayedCall) -> str:
    """Draw one call as a piece of HTML."""
    picture = render_timeline(call.entries, title=call.script.name)
    wav = call.caller.heard.wav() if call.caller is not None else b""
    broken = "".join(f"<li>{escape(sentence)}</li>" for sentence in call.broken)
    return (
        f"<section><h3>{escape(call.script.name)}</h3><ul>{broken}</ul>"
        f"<div class='picture'>{picture[picture.index('<svg') :]}</div>"
        f"<audio controls src='data:audio/wav;base64,{b64encode(wav).decode()}'></audio>"
        f"<pre>{escape(call.transcript.text())}</pre></section>"
    )


def write_report(path: Path, failed: Sequence[tuple[str, str, str]]) -> None:
    """Write the calls of failed tests: each test's name, what pytest says of it, and its drawn calls."""
    tests = "".join(
        f"<h2>{escape(name)}</h2>{drawn or '<p>It played no call.</p>'}"
        f"<details><summary>What pytest says</summary><pre>{escape(why)}</pre></details>"
        for name, why, drawn in failed
    )
    body = tests or "<p>No test that played a call has failed.</p>"
    path.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Calls of failed tests</title>"
        f"<style>{_STYLE}</style><h1>Calls of failed tests</h1>{body}</html>",
        encoding="utf-8",
    )
