# The tests of lib: evaluates to the list of failures, which must be empty.
#
#   nix-instantiate --eval --strict library/lib/tests.nix
#
# A case is { expression, expected }; a function of lib without a case is a failure of its own.
let
  lib = import ./.;
  fails = value: !(builtins.tryEval (builtins.deepSeq value value)).success;

  cases = {
    fix-1 = { expression = (lib.fix (self: { a = 1; b = self.a + 1; })).b; expected = 2; };
    extends-1 = {
      expression = lib.fix (lib.extends (final: previous: { a = previous.a * 10; c = final.b; }) (self: { a = 1; b = self.a; }));
      expected = { a = 10; b = 10; c = 10; };
    };
    composeExtensions-1 = {
      expression = lib.fix (lib.extends (lib.composeExtensions (_: p: { a = p.a + 1; }) (_: p: { a = p.a * 2; })) (_: { a = 1; }));
      expected = { a = 4; };
    };
    composeManyExtensions-1 = {
      expression = lib.composeManyExtensions [ ] { a = 1; } { a = 2; };
      expected = { };
    };
    fixWithOverlays-1 = {
      expression = lib.fixWithOverlays (self: { a = 1; b = self.a; }) [ (_: _: { a = 2; }) (final: previous: { c = previous.a + final.b; }) ];
      expected = { a = 2; b = 2; c = 4; };
    };

    makeOverridable-set = { expression = ((lib.makeOverridable ({ a, b ? 1 }: { sum = a + b; }) { a = 1; }).override { b = 5; }).sum; expected = 6; };
    makeOverridable-function = { expression = ((lib.makeOverridable ({ a }: { inherit a; }) { a = 1; }).override (old: { a = old.a + 1; })).a; expected = 2; };
    makeOverridable-twice = { expression = (((lib.makeOverridable ({ a, b }: { sum = a + b; }) { a = 1; b = 1; }).override { a = 2; }).override { b = 2; }).sum; expected = 4; };
    makeOverridable-not-a-set = { expression = lib.makeOverridable ({ a }: a) { a = 1; }; expected = 1; };
    makeOverridable-keeps-overrideAttrs = {
      expression =
        let make = { a }: let self = attrs: attrs // { overrideAttrs = f: self (attrs // f attrs); }; in self { inherit a; b = 1; };
        in (((lib.makeOverridable make { a = 1; }).overrideAttrs (old: { b = old.b + 1; })).override { a = 7; }).b;
      expected = 2;
    };
    callPackageWith-1 = { expression = (lib.callPackageWith { a = 1; b = 2; } ({ a, b ? 9, c ? 3 }: { sum = a + b + c; }) { }).sum; expected = 6; };
    callPackageWith-extra = { expression = (lib.callPackageWith { a = 1; } ({ a }: { inherit a; }) { a = 2; }).a; expected = 2; };
    callPackageWith-missing = { expression = fails (lib.callPackageWith { } ({ a }: { inherit a; }) { }); expected = true; };

    optionalAttrs-1 = { expression = [ (lib.optionalAttrs true { a = 1; }) (lib.optionalAttrs false { a = 1; }) ]; expected = [ { a = 1; } { } ]; };
    filterAttrs-1 = { expression = lib.filterAttrs (n: v: n != "a" && v > 1) { a = 5; b = 1; c = 2; }; expected = { c = 2; }; };
    genAttrs-1 = { expression = lib.genAttrs [ "x" "y" ] (n: n + n); expected = { x = "xx"; y = "yy"; }; };
    mapAttrsToList-1 = { expression = lib.mapAttrsToList (n: v: n + v) { b = "2"; a = "1"; }; expected = [ "a1" "b2" ]; };
    prefixAttrs-1 = { expression = lib.prefixAttrs "p-" { a = 1; }; expected = { p-a = 1; }; };
    isDerivation-1 = { expression = map lib.isDerivation [ { type = "derivation"; } { type = "x"; } { } 1 ]; expected = [ true false false false ]; };

    optional-1 = { expression = [ (lib.optional true 1) (lib.optional false 1) ]; expected = [ [ 1 ] [ ] ]; };
    optionals-1 = { expression = [ (lib.optionals true [ 1 2 ]) (lib.optionals false [ 1 ]) ]; expected = [ [ 1 2 ] [ ] ]; };
    toList-1 = { expression = [ (lib.toList 1) (lib.toList [ 1 ]) (lib.toList [ ]) ]; expected = [ [ 1 ] [ 1 ] [ ] ]; };
    unique-1 = { expression = lib.unique [ 3 1 3 2 1 ]; expected = [ 3 1 2 ]; };
    last-1 = { expression = lib.last [ 1 2 3 ]; expected = 3; };
    last-empty = { expression = fails (lib.last [ ]); expected = true; };

    optionalString-1 = { expression = [ (lib.optionalString true "a") (lib.optionalString false "a") ]; expected = [ "a" "" ]; };
    hasPrefix-1 = { expression = map (p: lib.hasPrefix p "abc") [ "" "ab" "abc" "abcd" "b" ]; expected = [ true true true false false ]; };
    hasSuffix-1 = { expression = map (s: lib.hasSuffix s "abc") [ "" "bc" "abc" "xabc" "b" ]; expected = [ true true true false false ]; };
    removePrefix-1 = { expression = [ (lib.removePrefix "a" "abc") (lib.removePrefix "x" "abc") (lib.removePrefix "abc" "abc") ]; expected = [ "bc" "abc" "" ]; };
    removeSuffix-1 = { expression = [ (lib.removeSuffix "c" "abc") (lib.removeSuffix "x" "abc") (lib.removeSuffix "abc" "abc") ]; expected = [ "ab" "abc" "" ]; };
    escapeShellArg-1 = { expression = lib.escapeShellArg "it's $x"; expected = "'it'\\''s $x'"; };
    escapeShellArgs-1 = { expression = lib.escapeShellArgs [ "a b" 1 ]; expected = "'a b' '1'"; };
    storeName-1 = {
      expression = map lib.storeName [ "a_1:2.0~rc1.deb" "@scope/name" ".hidden" "plain-1.0+b1" "%3a" ];
      expected = [ "a_1_2.0_rc1.deb" "_scope_name" "_hidden" "plain-1.0+b1" "_3a" ];
    };

    getExe-1 = { expression = lib.getExe { name = "p"; outPath = "/p"; meta.mainProgram = "run"; }; expected = "/p/bin/run"; };
    getExe-bin-output = { expression = lib.getExe { bin = "/p-bin"; outPath = "/p"; meta.mainProgram = "run"; }; expected = "/p-bin/bin/run"; };
    getExe-unnamed = { expression = fails (lib.getExe { name = "p"; outPath = "/p"; meta = { }; }); expected = true; };
    getOutput-1 = { expression = map (o: lib.getOutput o { out = "o"; dev = "d"; }) [ "dev" "man" ]; expected = [ "d" "o" ]; };
    licenses-1 = { expression = lib.licenses.gpl3Plus.spdxId; expected = "GPL-3.0-or-later"; };
  };

  failures = builtins.filter (failure: failure != null) (builtins.attrValues (builtins.mapAttrs
    (name: case: if case.expression == case.expected then null else { inherit name; inherit (case) expression expected; })
    cases));

  tested = map (name: builtins.head (builtins.split "-" name)) (builtins.attrNames cases);
  untested = builtins.filter (name: !builtins.elem name tested) (builtins.attrNames lib);
in
failures ++ map (name: { inherit name; expected = "a test"; }) untested
