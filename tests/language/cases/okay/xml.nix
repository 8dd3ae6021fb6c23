builtins.toXML [
  1
  (-2)
  1.5
  "a<b>&\"\n"
  true
  null
  [ ]
  { b = 1; a = { }; }
  (x: x)
  ({ a, b ? 1, ... }@c: a)
  builtins.map
]
