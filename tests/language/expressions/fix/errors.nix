rec {
  a = b.missing;
  b = { present = 1; };
  c.d = throw "at d";
  e = x: x.y;
  f = { need, give ? 1 }: need;
  g = { x, y }@both: both;
  h = 1 + "text";
  i = [ 1 2 ] ++ 3;
  j =
    let
      inner = k;
    in
      inner.deeper;
  k = if 1 then 2 else 3;
  l = assert b.present == 2; "l";
  m = "${toString 1}${b}";
  n = builtins.map (x: x.z) [ b ];
  o = with b; [ present absent ];
  deep.er.still = builtins.head (builtins.filter (x: x > 5) [ 1 2 3 ]);
  call = n: helper (n - 1);
  helper = n: if n < 0 then throw "below zero" else call n;
}
