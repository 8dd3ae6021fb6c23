# Selection with defaults, tests for attributes, the keyword `or` as a name.
let
  set = { a.b = 1; "x y" = 2; or = 3; n = null; };
  key = "a";
  or = a: b: "called with ${toString b}";
in
[
  set.a.b
  set.${key}.b
  set."x y"
  set."${key}".b
  (set.c or 4)
  (set.a.c or (set.d or 5))
  (set.n.deeper or 6)
  (set.a.b.c or 7)
  (set ? a.b)
  (set ? ${key}.c)
  (set ? "x y")
  set.or
  ((x: y: x y 1) or (y: "or is a name"))
]
