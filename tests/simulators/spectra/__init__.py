"""An ear for speech that went through a microphone: it compares spectra where `simulators.hearing` compares bytes.

It needs numpy, which is in the development group.
"""
