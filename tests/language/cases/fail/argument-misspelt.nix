({ abc, ... }: abc) { abd = 1; }
