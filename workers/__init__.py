"""HOW one candidate is made and scored: tensors live here; Ray actors are thin shells around it."""
