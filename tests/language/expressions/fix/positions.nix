{
  # attributes on lines of their own
  first = 1;
  second =
    2;
  inherit (builtins) head;
  nested.deep.value = 3;
}
