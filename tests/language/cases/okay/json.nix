with builtins;
[
  (toJSON { b = [ 1 2.5 true null ]; a = "q\"\\\n\t/é"; c = { }; d.e = [ ]; })
  (toJSON [ 1.0 (-0.0) 0.1 1.0e15 1.0e16 1.0e-5 0.0001 123456789.123 ])
  (toJSON { outPath = "out"; other = throw "never"; })
  (toJSON { __toString = self: "str"; })
  (fromJSON ''{ "a": [1, -2, 3.5, 1e3, true, false, null], "b": { "c": "\u00e9\n\ud83d\ude00\/" }, "a b": {} }'')
  (fromJSON ''{"x":1,"x":2}'')
  (fromJSON "123456789012345678901234567890")
  (fromJSON "-0")
  (fromJSON " [ ] ")
  (fromJSON ''"text"'')
  (fromJSON (toJSON { a.b = [ "x" 1 ]; }) == { a.b = [ "x" 1 ]; })
]
