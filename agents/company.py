"""The company for which the shipped agents work: its name, and what it never does on the telephone.

Owned by the example and not by the telephone: a roster of your own has another company, and other rules. What every
agent must mind on a telephone is in `agents/phone.py`.
"""

from typing import Final

from agents.phone import phone_prompt

COMPANY: Final = "Acme Financial Services"

RULES: Final = f"""\
## What {COMPANY} never does
- Never ask for or take account numbers, card numbers, passwords or social security numbers. If the customer
  starts to give one, stop them kindly.
- Never promise prices, returns, approvals or appointments.
- Never recommend a particular product, and never work out sums or forecasts for the customer."""


def company_prompt(task: str) -> str:
    """Put an agent's own task before the rules of the company and the manners of the telephone."""
    return phone_prompt(f"{task.strip()}\n\n{RULES}")
