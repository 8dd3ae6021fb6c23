{ ${derivation { name = "d"; system = "s"; builder = "b"; }} = 1; }
