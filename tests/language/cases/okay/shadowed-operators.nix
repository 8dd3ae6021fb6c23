# Arithmetic is a call of a named function, and the name may mean something else.
let
  __sub = a: b: "sub ${toString a} ${toString b}";
  __mul = a: b: "mul";
  __div = a: b: "div";
  __lessThan = a: b: a == 1;
  __findFile = path: name: name;
  __nixPath = [ ];
in
[
  (1 - 2)
  (-5)
  (1 * 2)
  (1 / 2)
  (1 < 2)
  (2 > 1)
  (1 >= 2)
  <a/b>
]
