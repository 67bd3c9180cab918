"""Slack's side of the story: what people see (cards, forms, home) and what they press (intake)."""
