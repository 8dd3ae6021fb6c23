# Escapes, interpolation, line ends.
[
  "plain"
  "\"\\\n\r\t\a\${x}$"
  "$${x}$$"
  "a${"b${"c"}"}d"
  "${"only"}"
  "two
lines"
  "${{ outPath = "out"; }} ${{ __toString = self: self.a; a = "self"; }}"
  ("a" + "b" + "c")
  https://example.org/a?b=c
  x:x
]
