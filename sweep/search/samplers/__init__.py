"""How the configurations of a stage are chosen from its search space, a module for each way."""
