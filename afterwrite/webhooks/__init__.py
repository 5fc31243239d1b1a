"""Webhooks: signing, posting to public addresses only, and receiving."""
