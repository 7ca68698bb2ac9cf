"""The colours of the picture, for light and dark paper, as one stylesheet.

Plain classes and one media query, no custom properties: static renderers know nothing more. Text on its background
keeps a contrast of at least 4.5 to 1 in both themes, and no meaning rests on a colour alone.
"""

import attrs


@attrs.frozen
class Tone:
    """One speaker's colours: a strong one for lines, a tint to write on."""

    strong: str
    tint: str
    dark_strong: str
    dark_tint: str


CALLER_TONE = Tone("#475569", "#e6ebf2", "#b6c2d4", "#2c3646")
AGENT_TONES = (
    Tone("#0f766e", "#d8f1ed", "#5eead4", "#123f3b"),
    Tone("#6d28d9", "#ebe4fb", "#c4b5fd", "#35285f"),
    Tone("#b45309", "#fdecd3", "#fcc76b", "#4b3312"),
    Tone("#1d4ed8", "#dfe8fd", "#93c5fd", "#1c3361"),
    Tone("#be185d", "#fbe1ec", "#f9a8d4", "#551f3b"),
)

_PAPER = (
    # class, property, light, dark
    ("paper", "fill", "#fdfcfa", "#14171d"),
    ("band", "fill", "#ffffff", "#1a1e26"),
    ("band", "stroke", "#e7e3db", "#2a303b"),
    ("grid", "stroke", "#efece6", "#252b35"),
    ("grid5", "stroke", "#ddd8ce", "#343c49"),
    ("ink", "fill", "#1c2230", "#eef1f6"),
    ("soft", "fill", "#5b6372", "#a3adbd"),
    ("softline", "stroke", "#8b93a1", "#7c8798"),
    ("silence", "fill", "#f1eee8", "#242a33"),
    ("alarm", "fill", "#c01f2f", "#ff8a92"),
    ("alarmline", "stroke", "#c01f2f", "#ff8a92"),
    ("good", "fill", "#15803d", "#6ee7a0"),
    ("goodline", "stroke", "#15803d", "#6ee7a0"),
    ("amber", "fill", "#a15c00", "#fbbf4b"),
    ("onglyph", "fill", "#ffffff", "#14171d"),
    ("onglyphline", "stroke", "#ffffff", "#14171d"),
    ("pill", "fill", "#ffffff", "#1a1e26"),
)

_SHAPES = """
text{font-size:10.5px;
font-family:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",Arial,sans-serif}
.title{font-size:20px;font-weight:650}.sub{font-size:12.5px}.lane{font-size:11.5px;font-weight:600}
.tick{font-size:10px}.small{font-size:9.5px}.bold{font-weight:650}.middle{text-anchor:middle}.end{text-anchor:end}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:9.5px}
.line{fill:none;stroke-width:1.5}.hair{stroke-width:1}.thick{stroke-width:2.2}.dash{stroke-dasharray:4 3}
.dots{stroke-dasharray:1.5 3;stroke-linecap:round}.hollow{fill:none}.bar{stroke-width:1.1}
.beyond{fill-opacity:.45;stroke-opacity:.5}
"""


def tone_class(lane: str, agents: tuple[str, ...]) -> str:
    """Name the colour class of a lane; a sixth agent shares the colours of the first."""
    return f"a{agents.index(lane) % len(AGENT_TONES)}" if lane in agents else "c"


def stylesheet() -> str:
    light = "".join(f".{name}{{{rule}:{value}}}" for name, rule, value, _ in _PAPER)
    dark = "".join(f".{name}{{{rule}:{value}}}" for name, rule, _, value in _PAPER)
    for name, tone in (("c", CALLER_TONE), *((f"a{index}", tone) for index, tone in enumerate(AGENT_TONES))):
        light += _tone_rules(name, tone.strong, tone.tint)
        dark += _tone_rules(name, tone.dark_strong, tone.dark_tint)
    return f"{_SHAPES}{light}\n@media (prefers-color-scheme:dark){{{dark}}}\n"


def _tone_rules(name: str, strong: str, tint: str) -> str:
    return (
        f".{name}bar{{fill:{tint};stroke:{strong}}}.{name}fill{{fill:{strong}}}"
        f".{name}line{{stroke:{strong}}}.{name}tint{{fill:{tint}}}"
    )
