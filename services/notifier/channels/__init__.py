"""How things leave the house. Each channel makes one attempt and says what happened; it decides nothing."""
