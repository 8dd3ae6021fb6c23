let base = { x = 1;
  y = 2; }; in {
  plain = base;
  updated = base // { z = 3; };
  mapped = builtins.mapAttrs (name: value: value) base;
  inherited = { inherit (base) y; };
  dyn = { ${"d"} = 1; };
  fn = { arg, opt ? 1 }: arg;
  listed = builtins.listToAttrs [ { name = "l"; value = 1; } ];
}
