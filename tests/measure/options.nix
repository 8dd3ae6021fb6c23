# A module system at work: a thousand options of many types in a hundred modules, defined with priorities, merged,
# looked at by one another. `lib` is the library of nixpkgs.
{ lib }:
let
  inherit (lib) mkOption mkIf mkDefault mkForce mkMerge mkBefore mkAfter types;
  name = n: "option${toString n}";
  kinds = [
    (n: { type = types.int; default = n; })
    (n: { type = types.str; default = "value ${toString n}"; })
    (n: { type = types.listOf types.str; default = [ ]; })
    (n: { type = types.attrsOf (types.either types.int types.str); default = { }; })
    (n: { type = types.nullOr types.bool; default = null; })
    (n: { type = types.enum [ "a" "b" (name n) ]; default = "a"; })
    (n: { type = types.lines; default = ""; })
    (n: {
      type = types.attrsOf (types.submodule ({ name, ... }: {
        options.enable = mkOption { type = types.bool; default = true; };
        options.label = mkOption { type = types.str; default = "${name} of ${toString n}"; };
      }));
      default = { };
    })
    (n: { type = types.submodule { options.port = mkOption { type = types.port; default = 1024 + n; }; }; default = { }; })
    (n: { type = types.functionTo types.int; default = argument: argument + n; apply = function: function 1; })
  ];
  definitions = n: [
    (mkForce (n + 1))
    (mkIf (n > 20) (mkDefault "changed ${toString n}"))
    (mkMerge [ (mkBefore [ "first" ]) [ (name n) ] (mkAfter [ "last" ]) ])
    { one = 1; two = "two"; }
    (mkIf (n / 20 * 20 == n) true)
    (mkDefault (name n))
    (mkMerge [ "line ${toString n}" (mkAfter "end") ])
    { left = { }; right.enable = mkForce false; right.label = "right"; }
    { port = mkDefault (2000 + n); }
    (argument: argument * n)
  ];
  module = group: { config, ... }: {
    options.groups."group${toString group}" =
      lib.listToAttrs (lib.genList (at: lib.nameValuePair (name at) (mkOption (lib.elemAt kinds at (10 * group + at) // {
        description = "Option ${toString at} of group ${toString group}.";
      }))) 10);
    options.sums."group${toString group}" = mkOption { type = types.int; };
    config.groups."group${toString group}" =
      lib.listToAttrs (lib.genList (at: lib.nameValuePair (name at) (lib.elemAt (definitions (10 * group + at)) at)) 10);
    config.sums."group${toString group}" =
      config.groups."group${toString group}".option0 + (if group == 0 then 0 else config.sums."group${toString (group - 1)}");
  };
  evaluated = lib.evalModules { modules = lib.genList module 100; };
in
builtins.hashString "sha256" (builtins.toJSON { inherit (evaluated.config) groups sums; })
