"""The demo set, and configs made to learn on it."""
