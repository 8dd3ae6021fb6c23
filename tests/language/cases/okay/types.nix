with builtins;
[
  (map typeOf [ 1 1.5 true "s" /p null { } [ ] (x: x) map (map (x: x)) ])
  (map isInt [ 1 1.5 ])
  (map isFloat [ 1 1.5 ])
  (map isBool [ true 1 ])
  (map isString [ "s" 1 ])
  (map isPath [ /p "p" ])
  (map isNull [ null 1 ])
  (map isAttrs [ { } [ ] ])
  (map isList [ [ ] { } ])
  (map isFunction [ map (x: x) { __functor = self: x: x; } ])
]
