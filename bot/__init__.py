"""TinyApprover: one card and one page with everything a responder would look up, and a person's answer carried out."""
