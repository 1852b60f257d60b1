"""The engine's tables and the statements on them: nothing else in the engine writes SQL."""
