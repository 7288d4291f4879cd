"""Parts of the planner: what a step allocates at any batch size, and whether that fits under a limit."""
