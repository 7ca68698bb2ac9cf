"""The pages for operators: sign-in, the list of calls, one call afterwards and live, the browser phone.

Server-rendered pages and plain ES modules. A page shows records and events and decides nothing; `web.app` registers it.
"""
