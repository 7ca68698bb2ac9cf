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
}
