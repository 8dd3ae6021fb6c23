# Attribute paths, merging, dynamic names, keywords as names.
let
  name = "dynamic";
in
{
  a.b.c = 1;
  a.b.d = 2;
  a.e = { f = 3; };
  a.e.g = 4;
  m = { x = 1; };
  m.y = 2;
  "quoted name" = 1;
  ${name} = 2;
  "pre-${name}" = 3;
  ${null} = throw "left out";
  nested.${name}.z = 4;
  or = 5;
  "${"literal"}" = 6;
  r = rec { p = 1; q = p; };
  r.s = 7;
  first-decides = { t = 1; };
  first-decides = rec { u = 2; };
  empty = { };
}
