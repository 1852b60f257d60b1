"""Mechanism that every service stands on; no business rules live here."""
