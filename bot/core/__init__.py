"""The domain: nouns, states, verdicts and the comment grammar. Standard library only, no I/O."""
