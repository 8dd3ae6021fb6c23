with builtins;
[
  (attrNames { b = 1; a = 2; })
  (attrValues { b = 1; a = 2; })
  (getAttr "a" { a = 1; })
  (hasAttr "b" { a = 1; })
  (removeAttrs { a = 1; b = 2; c = 3; } [ "b" "d" ])
  (listToAttrs [ { name = "a"; value = 1; } { name = "a"; value = 2; } { name = "b"; value = 3; } ])
  (intersectAttrs { a = 1; b = 2; } { b = 3; c = 4; })
  (catAttrs "a" [ { a = 1; } { b = 2; } { a = 3; } ])
  (mapAttrs (name: value: "${name}=${toString value}") { a = 1; b = 2; })
  (zipAttrsWith (name: values: [ name values ]) [ { a = 1; } { a = 2; b = 3; } ])
  (attrNames (mapAttrs (name: value: throw "never") { x = 1; }))
  (functionArgs ({ a, b ? 1 }: a))
]
