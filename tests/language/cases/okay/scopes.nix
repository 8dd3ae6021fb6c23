# let, rec, with, inherit, and which of them wins.
let
  x = "let";
  set = { x = "with"; y = "with"; map = "with"; };
  inner = { y = "inner"; z = "inner"; };
in
{
  with-loses = with set; x;
  with-gives = with set; y;
  innermost = with set; with inner; y;
  builtins-win = with set; builtins.typeOf map;
  lazy = with throw "never"; x;
  recursive = rec { a = b; b = "rec"; inherit x; }.a;
  inherited = { inherit x; inherit (set) y; inherit (inner) y2 z; }.z;
  shadow = let x = "inner let"; in x;
  argument = (x: x) "argument";
  mutual = let even = n: n == 0 || odd (n - 1); odd = n: n != 0 && even (n - 1); in even 10;
  ancient = let { body = a + b; a = 1; b = 2; };
  overrides = rec { a = 1; b = a; __overrides = { a = 2; }; }.b;
  quoted-inherit = let a = 1; in { inherit "a"; inherit ({ "b c" = 2; }) "b c"; };
  from-self = let inherit (v) p q; v = { p = 1; q = 2; }; in [ p q ];
}
