"""What people test their agents with: whole calls in memory, under trio's mock clock.

It may import actors, agents, simulators, protocol and store, and the client that asks for Briefs; nothing of the server
may import it. Our own tests use the same harness and the same oracle.
"""
