"""Every English text of the console's pages, by name.

Templates have them as `t.name`; a page's module gets its own as JSON. A name that is not here is an error.
"""

from collections.abc import Mapping

TEXT: Mapping[str, str] = {
    "product": "Switchboard",
    "skip": "Skip to content",
    "navigation": "Main",
    "calls": "Calls",
    "phone": "Phone",
    "sign_in": "Sign in",
    "sign_out": "Sign out",
    "token": "API token",
    "token_hint": "The API_TOKEN of this server.",
    "token_wrong": "This is not the API token of this server.",
    "open_here": "This server has no API_TOKEN: it serves a browser on its own machine only.",
    "open_console": "Open the console",
    # the list
    "live_now": "Now",
    "no_live": "No call is going on.",
    "search": "Search",
    "search_hint": "Call id, number, agent, outcome, or a recorded fact.",
    "filters": "Filters",
    "outcome": "Outcome",
    "any": "any",
    "direction": "Direction",
    "inbound": "inbound",
    "outbound": "outbound",
    "since": "From (UTC)",
    "until": "To (UTC)",
    "only_troubled": "With restarts or faults",
    "only_transferred": "With a transfer",
    "apply": "Apply",
    "clear": "Clear filters",
    "show_numbers": "Show numbers",
    "mask_numbers": "Mask numbers",
    "started": "Started (UTC)",
    "call": "Call",
    "caller": "Caller",
    "agents": "Agents",
    "status": "Status",
    "duration": "Duration",
    "restarts": "Restarts",
    "transfers": "Transfers",
    "newest": "Newest",
    "older": "Older",
    "pages": "Pages",
    "over": "Calls that are over",
    "no_calls": "No call has been kept yet. Place one with POST /calls, ring the number, or try: switchboard demo",
    "no_match": "No call matches these filters.",
    "end_of_list": "There are no older calls.",
    "date_wrong": "Write a date as YYYY-MM-DD, such as 2026-11-28.",
    "unknown_caller": "unknown",
    "records_away": "The records cannot be read now. Calls are not affected. Try again in some seconds.",
    "records_away_title": "Records unavailable",
    "not_found": "No such call",
    "not_found_hint": "No call of this name is kept, and none is going on here. It may have been erased.",
    "back_to_list": "All calls",
}

OUTCOMES = (
    "completed", "caller_hung_up", "line_dead", "no_agent", "crashed", "cut", "ended_by_operator", "transferring",
    "transferred", "machine", "voicemail_left", "busy", "no_answer", "failed", "canceled", "never_ran", "unknown",
)  # fmt: skip
"""Outcomes to choose from; agents may end a call under others, which can be typed."""

PHONE: Mapping[str, str] = {
    "ready": "Ready. The browser will ask for the microphone.",
    "ready_typed": "Ready. Nothing is listened to: you type, and hear both sides.",
    "no_script": "The phone needs JavaScript.",
    "call": "Call",
    "hang_up": "Hang up",
    "mute": "Mute",
    "clock": "Length of the call",
    "you": "You",
    "agent": "Agent",
    "watch": "Watch this call",
    "say_title": "Say something",
    "say_hint": "The agents are simulated: they know these sentences, and go on with their script after any other.",
    "own_sentence": "A sentence of your own",
    "say": "Say it",
    "keypad": "Keypad",
    "keys_hint": "The keyboard's digits, * and # work, too.",
    "devices": "Devices",
    "microphone": "Microphone",
    "loudspeaker": "Loudspeaker",
    "usual": "As the system has it",
    "devices_hint": "They have names once the microphone is allowed. With headphones, the agent hears only you.",
}
"""Texts of the phone's page."""

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
    "cannot_say": "This sentence cannot be said.",
    "insecure": "Browsers give no microphone to this address: open the page by https://, or by http://localhost.",
    "microphone_refused": "The microphone was refused. Allow it beside the address, and call again.",
    "no_microphone": "No microphone was found. Connect one, and call again.",
    "microphone_taken": "The microphone is in use by another program.",
    "microphone_gone": "The microphone is gone. Choose another one; until then the agent hears silence.",
    "no_loudspeaker": "This loudspeaker cannot be used.",
}
"""What the phone's page tells while it runs, by the names that its modules and the server use."""
