builtins.fromTOML ''
  title = "TOML"
  int = 1_000
  hex = 0xff
  float = 1.5e2
  yes = true
  list = [ 1, 2, [ "a" ] ]
  literal = 'a\b'
  multi = """
  two
  lines"""
  inline = { x = 1, y.z = 2 }
  [table]
  a.b = 1
  [table.sub]
  c = 2
  [[array]]
  n = 1
  [[array]]
  n = 2
''
