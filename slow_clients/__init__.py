"""Bounds what slow clients hold of the server: their heads, their bodies and the answers that they do not take."""
