# What is not asked for is not evaluated.
[
  (builtins.length [ (throw "a") (throw "b") ])
  ({ a = throw "a"; b = 1; }.b)
  ((x: 1) (throw "x"))
  (let a = throw "a"; in 2)
  (builtins.attrNames { a = throw "a"; })
  ((rec { a = b; b = 3; c = throw "c"; }).a)
  (if true then 4 else throw "else")
  (builtins.head (map (x: x) [ 5 (throw "second") ]))
  (let fix = f: let x = f x; in x; in (fix (self: { a = 1; b = self.a + 5; })).b)
  (builtins.tryEval (throw "memoised" + 1)).success
]
