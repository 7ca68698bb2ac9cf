"""What a call costs this machine, and what it costs the caller: `python -m bench`."""
