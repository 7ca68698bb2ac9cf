"""A call as a picture: its journal becomes a standalone SVG document, for the demo and for every call of a server.

Nothing here knows a socket, a store or the rest of `web/`; the routes and the demo call `render_timeline`.
"""
