"""The English texts that a page's modules say, by name; each page hands its modules their own as JSON.

Words that stand on a page stand in its template.
"""

from collections.abc import Mapping

LIVE: Mapping[str, str] = {
    "connecting": "Connecting to the call …",
    "connected": "Connected.",
    "lost": "The connection is lost; trying again …",
    "ringing": "Nobody has answered yet.",
    "over": "The call is over. Its page is being opened.",
    "vacant": "No agent holds the floor.",
    "holds": "holds the floor",
    "first": "it is the first agent",
    "handoff": "it was handed the floor",
    "restart": "its session was restarted",
    "since": "since",
    "caller_heard": "The caller is speaking.",
    "owed": "The caller waits for an answer.",
    "settled": "It is the caller's turn.",
    "coming": "The agent is speaking.",
    "caller": "caller",
    "not_heard": "not heard",
    "barge_in": "The caller interrupted.",
    "asked": "asked for",
    "brief_asked": "Brief asked for",
    "brief_ready": "Brief ready",
    "brief_failed": "Brief failed",
    "session_connecting": "Next session connecting",
    "session_ready": "Next session ready",
    "session_failed": "Next session failed",
    "committed": "Committed: the next agent has the floor",
    "gap": "The next agent is heard after",
    "failed": "Failed",
    "withdrawn": "Withdrawn",
    "within": "within",
    "crashed": "crashed",
    "restarting": "restarts in",
    "exhausted": "no restart is left",
    "silent": "waited",
    "filled_by": "filled by",
    "listen": "Listen in",
    "stop_listening": "Stop listening",
    "listening": "An operator listens in.",
    "listening_ended": "An operator has stopped listening.",
    "missing": "entries are not kept any more",
    "waits_for": "waits for",
    "operator": "An operator",
    "not_here": "This call cannot be heard: it is over, or its worker does not answer.",
    "out_of_reach": "This worker carries the call, and does not answer; trying again:",
}
"""What the module of the live page says."""

OPERATE: Mapping[str, str] = {
    "say": "Say",
    "whisper": "Whisper",
    "handoff": "Hand off",
    "transfer": "Transfer",
    "prompt": "Change the prompt",
    "restart": "Restart the session",
    "take-over": "Take over",
    "give-back": "Give back",
    "talk": "Take over with this page's phone",
    "talking": "You talk with the caller. Give back, or hang up here, and the agent has them again.",
    "talk_end": "Hang up, and give back",
    "given_back": "You are on the call no longer.",
    "not_taken_over": "You did not get the call: the journal says why.",
    "not_here": "The call is not with an agent.",
    "elsewhere": (
        "Your voice would come to another worker than the call's: take over by telephone, or open this page at the"
        " address of the worker that carries the call."
    ),
    "cannot_talk": "This browser cannot talk: allow the microphone, and open the page by https:// or localhost.",
    "asking": "asked …",
    "done": "done",
    "refused": "refused",
    "failed": "failed",
    "over": "the call is over",
    "pending": "not decided yet",
    "lost": "no answer from the server; it may have been done: see the journal",
}
"""The texts of the commands on the live page."""

OUTCOMES = (
    "completed", "caller_hung_up", "line_dead", "no_agent", "crashed", "cut", "ended_by_operator", "transferring",
    "transferred", "machine", "voicemail_left", "busy", "no_answer", "failed", "canceled", "never_ran", "unknown",
)  # fmt: skip
"""Outcomes to choose from; agents may end a call under others, which can be typed."""

PHONE_KEYS: Mapping[str, str] = {"*": "star", "#": "hash"}
"""How a screen reader calls the keys that are no digits."""

PHONE_TOLD: Mapping[str, str] = {
    "ready": "Ready.",
    "calling": "Calling …",
    "connected": "Connected.",
    "muted": "Connected; you are muted.",
    "over": "The call is over.",
    "completed": "The call is over.",
    "caller_hung_up": "You have hung up.",
    "ended_by_operator": "The call was ended by the operator.",
    "no_agent": "The call is over: no agent could go on.",
    "crashed": "The call broke off: something failed in the server. Its log says what.",
    "cut": "The call broke off: the server was stopped.",
    "line_dead": "The call is over: nothing came from this page any more.",
    "line_lost": "The line was lost. Call again.",
    "stalled": "The network takes no more sound: the agent does not hear you.",
    "line_back": "The network is back.",
    "no_network": "There is no network.",
    "interrupted": "The browser has stopped the sound, as it does while a telephone rings.",
    "refused": "The server did not take the call. Call again.",
    "full": "Every line is taken.",
    "draining": "The server is being shut down.",
    "server_failed": "The server did not answer as it should. Its log says why.",
    "signed_out": "You are signed out. Reload the page.",
    "cannot_call": "This browser cannot make the call. Reload the page; a browser of 2023 or later is needed.",
    "cannot_say": "This sentence cannot be said.",
    "insecure": "Browsers give no microphone to this address: open the page by https://, or by http://localhost.",
    "microphone_refused": "The microphone was refused. Allow it beside the address, and call again.",
    "no_microphone": "No microphone was found. Connect one, and call again.",
    "microphone_taken": "The microphone is in use by another program.",
    "microphone_gone": "The microphone is gone. Choose another one; until then the agent hears silence.",
    "no_loudspeaker": "This loudspeaker cannot be used.",
}
"""What the phone's page tells while it runs, by the names that its modules and the server use."""
