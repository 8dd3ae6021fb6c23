# Literals, arithmetic and what is exact about it.
{
  literals = [ 0 007 9223372036854775807 1.5 .5 5. 1.0e3 12.5e-1 ];
  not-a-float = let e3 = 4; f = x: x; in [ 1e3 ];
  smallest = -9223372036854775807 - 1;
  mixed = [ (1 + 1.0) (3 / 2.0) (9007199254740993 == 9007199254740992.0) (-0.0) ];
  printed = [ (0.1 + 0.2) 123456789.123 1.0 100000.0 1000000.0 0.0001 0.00001 ];
  strings = map toString [ 1.5 0.1 1.0e-7 (-3) ];
  functions = [
    (builtins.add 1 2)
    (builtins.sub 1 2)
    (builtins.mul 3 4)
    (builtins.div 9 2)
    (builtins.lessThan 1 2)
    (builtins.bitAnd 12 10)
    (builtins.bitOr 12 10)
    (builtins.bitXor 12 10)
    (builtins.ceil 1.2)
    (builtins.floor (-1.2))
    (builtins.ceil 3)
  ];
}
