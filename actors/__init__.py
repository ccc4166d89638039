"""One package per context with its pure decider, and the host that runs load → observe → decide → commit → evolve."""
