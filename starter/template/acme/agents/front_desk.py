"""The front desk: finds out what the call is about, and offers the planner."""

from agents.functions import END_CONVERSATION, handoff_to_next_agent
from agents.phone import phone_prompt
from agents.spec import AgentSpec

_TASK = """\
You are the virtual assistant at the front desk of Acme, which delivers furniture.

## Your task
1. Find out whether it is about a delivery.
2. If it is, offer to put them through to the planner, who finds a day, and wait for the answer.
3. On a clear yes, call `handoff_to_next_agent` at once, in a turn of its own without any words.

## When it goes differently
- Not about a delivery, or no time: say that somebody will call back, say goodbye, and call `end_conversation`."""

AGENT = AgentSpec(
    name="front_desk",
    role="front desk",
    prompt=phone_prompt(_TASK),
    greeting="Hello, this is the virtual assistant of Acme, about your delivery. Is now a good time?",
    inbound_greeting="Thanks for calling Acme, this is the virtual assistant. What can I do for you?",
    voice="aura-2-thalia-en",
    functions=(
        handoff_to_next_agent("planner", when="the customer agreed to talk to the planner"),
        END_CONVERSATION,
    ),
    hands_to=("planner",),
)
