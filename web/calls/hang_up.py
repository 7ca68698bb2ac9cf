"""Hang-up by an operator: at once, or with a goodbye that is heard.

`HangUp` tells the call, on whichever worker it runs, so that its record says who ended it, and its agent can say the
last sentence. A call that cannot be told (its worker shares no database with this one) is reached by the network alone:
Twilio says the sentence then. It raises what the line does.
"""

import attrs

from actors.endings.last_words import say_and_end
from actors.messages import CloseCall, EndCallNow
from web.calls.context import AppContext
from web.calls.page_calls import is_page_call

BY_OPERATOR = "ended_by_operator"
"""The outcome of a call that an operator has ended."""


@attrs.frozen
class HangUp:
    """Ends the calls of one application."""

    context: AppContext

    async def at_once(self, call_sid: str) -> str:
        """End a call; return what Twilio will say of it.

        Raises: `LineError`.
        """
        await self.context.commands.tell(call_sid, EndCallNow(BY_OPERATOR))
        if not is_page_call(self.context.live_calls.find(call_sid)):
            await self.context.line.hang_up(call_sid)
        return "completed"

    async def politely(self, call_sid: str) -> str:
        """Have a closing sentence said and the call ended; return how the call goes until then.

        Raises: `LineError`.
        """
        context = self.context
        if await context.commands.tell(call_sid, CloseCall(BY_OPERATOR)):
            return "in-progress"
        if is_page_call(context.live_calls.find(call_sid)) or await context.line.status_of(call_sid) != "in-progress":
            return await self.at_once(call_sid)  # nobody has picked up yet
        await context.line.redirect(call_sid, say_and_end(context.services.policy.wording.closing))
        return "in-progress"
