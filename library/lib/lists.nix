# Lists.
rec {
  # optional condition element: a list of one, or none.
  optional = condition: element: if condition then [ element ] else [ ];

  # optionals condition list: the list, or the empty one.
  optionals = condition: list: if condition then list else [ ];

  # toList value: a list as it is, any other value as a list of one.
  toList = value: if builtins.isList value then value else [ value ];

  # unique list: the first of equal elements, in order. Quadratic: for short lists.
  unique = builtins.foldl' (seen: element: if builtins.elem element seen then seen else seen ++ [ element ]) [ ];

  # last list: the last element; an empty list is an error.
  last = list:
    if list == [ ] then throw "last: the list is empty"
    else builtins.elemAt list (builtins.length list - 1);
}
