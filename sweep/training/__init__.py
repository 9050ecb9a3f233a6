"""Pure torch training of a pack of autoencoders; no Ray, usable in a notebook."""
