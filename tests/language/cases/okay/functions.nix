# Heads of functions and calls.
let
  simple = x: x + 1;
  curried = a: b: c: a + b * c;
  pattern = { a, b ? a + 1, ... }@args: [ a b (args ? b) ];
  other = args@{ a ? args.z or 9, z ? 1 }: [ a z ];
  closed = { }: "none";
  trailing = { a, b, }: a + b;
  functor = { __functor = self: x: self.y + x; y = 10; };
in
[
  (simple 1)
  (curried 1 2 3)
  (map (curried 1 2) [ 3 4 ])
  (pattern { a = 1; c = 3; })
  (pattern { a = 1; b = 5; })
  (other { })
  (closed { })
  (trailing { a = 1; b = 2; })
  (functor 5)
  (map functor [ 1 2 ])
  ((x: y: x) 1 (throw "never"))
  (builtins.functionArgs pattern)
  (builtins.functionArgs simple)
]
