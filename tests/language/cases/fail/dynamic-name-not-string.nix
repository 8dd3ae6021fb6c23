{ ${toString 1 + "x"} = 1; ${1} = 2; }
