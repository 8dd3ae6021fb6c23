# Indentation, escapes, and where text begins.
[
  ''
    one
      two

    three''
  ''  spaces''
  ''
	tab
    spaces
  ''
  ''a ''$ b ''' c ''\n d ''\${ e''
  ''$${x} $ ' '$ ''
  ''
    ${"x"}
      y
    ${''
      z
    ''}
  ''
  ''
     ''${not}
    a
  ''
  ''''
  ''
  ''
  ''
    last line has more
       ''
]
