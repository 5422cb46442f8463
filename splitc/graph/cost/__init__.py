"""What nodes cost: operations, weights, elements moved and held."""
