"""An ear for speech that went through a microphone: it compares spectra where `simulators.hearing` compares bytes.

Nothing but the tests imports it, and it alone imports numpy, which is in the development group.
"""
