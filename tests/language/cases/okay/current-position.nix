[
  __curPos.line
  __curPos.column
    (let p = __curPos; in [ p.line p.column ])
  (builtins.unsafeGetAttrPos "b" { a = 1; b = 2; }).column
  (builtins.unsafeGetAttrPos "missing" { })
]
