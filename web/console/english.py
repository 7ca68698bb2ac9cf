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
