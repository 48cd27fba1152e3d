"""Neural networks, as nn.Modules only."""
