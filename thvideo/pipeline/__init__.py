"""Recipe, graph, plan and runner: what is made, in which order, and why."""
