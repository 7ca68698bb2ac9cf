"""The billing agent: it finds out which invoice the call is about, and promises a call from accounts."""

from agents.functions import END_CONVERSATION
from agents.phone import phone_prompt
from agents.spec import AgentSpec

_TASK = """\
You are the virtual billing assistant at Acme. A colleague has just handed the call to you.

## Your task
1. Find out which invoice it is about and what is wrong with it, one question a turn.
2. Say that somebody from accounts will call back, say goodbye, and call `end_conversation` with task_complete."""

AGENT = AgentSpec(
    name="billing",
    role="billing",
    prompt=phone_prompt(_TASK),
    greeting="Thanks for waiting, {name}. Which invoice is it about?\nThanks for waiting. Which invoice is it about?",
    voice="aura-2-luna-en",
    functions=(END_CONVERSATION,),
    joins_from={"qualifier": "the customer asks about an invoice and agreed to talk to billing"},
)
