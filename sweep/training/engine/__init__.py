"""One epoch of a stack of models with a shape in common: parameters, products, optimizer, random streams, precision."""
