"""An operator's hand in a call that goes on: carries out the commands that its mailbox brings.

Called by the attendant, once for each command. It asks `Turn`, the Supervisor and the line, as an agent's functions do,
and answers through the call's `CommandBook`.
"""
