# if, assert, and what catches what.
[
  (if 1 < 2 then "yes" else "no")
  (assert true; "asserted")
  (builtins.tryEval (throw "caught"))
  (builtins.tryEval (assert false; 1))
  (builtins.tryEval 1)
  (builtins.seq 1 2)
  (builtins.tryEval (builtins.seq (throw "x") 2)).success
  (builtins.deepSeq [ { a = 1; } ] 3)
  (builtins.tryEval (builtins.deepSeq { a = [ (throw "x") ]; } 3)).success
  (builtins.addErrorContext "context" 4)
  (builtins.trace "to standard error" 5)
  (builtins.genericClosure {
    startSet = [ { key = 1; } ];
    operator = item: if item.key < 4 then [ { key = item.key + 1; } { key = item.key * 2; } ] else [ ];
  })
]
