"""The Settings with which the yardsticks open a session: as short as the service takes them."""

import json


def settings(call_sid: str) -> str:
    """Write them for one call."""
    audio = {"encoding": "mulaw", "sample_rate": 8000}
    return json.dumps(
        {
            "type": "Settings",
            "tags": [f"call:{call_sid}"],
            "audio": {"input": audio, "output": {**audio, "container": "none"}},
            "agent": {
                "listen": {"provider": {"type": "deepgram", "version": "v2", "model": "flux-general-en"}},
                "think": {"provider": {"type": "open_ai", "model": "gpt-5.4-mini"}, "prompt": "Be brief."},
                "speak": {"provider": {"type": "deepgram", "model": "aura-2-thalia-en"}},
            },
        }
    )
