# Packages that need no building: their results are folders beside this file.
let
  package = name: source: more: {
    type = "derivation";
    inherit name;
    system = "x86_64-linux";
    outPath = builtins.path { path = source; inherit name; };
  } // more;
in
{
  one = package "one-1.0" ./one {
    meta = { description = "The \"first\" one"; broken = null; nested.list = [ 1 2.5 true "four" ]; };
  };
  two = package "two-1.0" ./two { };
  newer = package "two-2.0" ./two { meta.priority = 7; };
  foreign = package "two-3.0" ./two { system = "i686-linux"; };
  inner = { recurseForDerivations = true; deep = package "deep-1" ./one { }; };
  hidden.deep = package "hidden-1" ./one { };
  broken = throw "not for you";
}
