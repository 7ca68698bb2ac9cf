"""How a call is ended or passed on: machines, transfers, the longest call, an operator, and Twilio's last words.

Called by the call and the sessions. It tells `Turn` what is wanted and asks the telephone network; it says nothing
itself.
"""
