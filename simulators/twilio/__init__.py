"""Twilio, simulated: the caller's end of a Media Stream, and the REST service that places and ends calls."""
